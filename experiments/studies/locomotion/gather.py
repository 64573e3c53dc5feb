"""Make the study's files of FOLDER/FAMILY/ARM, the runs of run.sh and their evaluations.

PYTHONPATH=experiments/studies python experiments/studies/locomotion/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import figures, results

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
ARMS = {"rl2": "RL^2", "pearl": "PEARL", "maml": "MAML", "promp": "ProMP", "maesn": "MAESN"}
FAMILIES = {
    "half_cheetah_vel": "half-cheetah, speed",
    "half_cheetah_dir": "half-cheetah, direction",
    "ant_vel": "ant, speed",
    "ant_dir": "ant, direction",
    "ant_fb": "ant, ahead or back",
}
ADAPTED = ("return_last", "return_after")  # metrics of adaptation to training tasks, by algorithm


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays; returns and fractions of the way after each number of updates."""
    summary, arrays = results.gather(folder, ("return", "fraction"))
    summary["adapted"] = {}
    for family in FAMILIES:
        for arm in ARMS:
            for split in ("test", "hidden"):
                rows = {
                    f"{measure} after {step}": curve[:, step].round(3).tolist()
                    for measure in ("return", "fraction")
                    for key in [f"{family}/{arm}/{split}-dense-own/{measure}_curve"]
                    for curve in [arrays.get(key)]
                    if curve is not None
                    for step in range(curve.shape[-1])
                }
                if rows:
                    summary["adapted"][f"{family}, {split}: {arm}"] = rows
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Returns after adaptation to training tasks, against steps of a seed."""
    panels = []
    for family, title in FAMILIES.items():
        lines = []
        for arm, label in ARMS.items():
            names = [f"{family}/{arm}/metrics/{name}" for name in ADAPTED]
            for values in (arrays[name] for name in names if name in arrays):
                steps = arrays[f"{family}/{arm}/metrics/env_steps"] / 1e6
                lines.append(figures.Line(label, steps, values.mean(axis=1), *extremes(values)))
        if lines:
            panels.append(figures.Panel(title, lines))
    figures.curves(study / "training.svg", panels, "million steps of a seed", "return", columns=2)


def extremes(values: Any) -> tuple[Any, Any]:
    """The least and the largest value over seeds [epoch]."""
    return np.min(values, axis=1), np.max(values, axis=1)


if __name__ == "__main__":
    results.main(HERE, collect, draw)
