"""Make the study's files of FOLDER, the suite `locomotion`.

PYTHONPATH=experiments/studies python experiments/studies/locomotion/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import figures, results

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
ARMS = {"rl2": "RL^2", "pearl": "PEARL", "maml": "MAML"}
FAMILY = "half_cheetah_vel"
BEFORE_AND_AFTER = {"before": ("return_first", "return_before"), "after": ("return_last", "return_after")}


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays; returns and fractions of the way after each number of updates."""
    summary, arrays = results.gather_suite(HERE, folder, ("return", "fraction"))
    summary["adapted"] = {}
    for arm in summary["runs"]:
        for split in ("test", "hidden"):
            rows = {}
            for measure in ("return", "fraction"):
                curve = arrays[f"{arm}/{split}-dense-own/{measure}_curve"]
                rows |= {f"{measure} after {step}": one for step, one in enumerate(curve.T)}
            summary["adapted"][f"{arm}, {split}"] = rows
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Returns on training tasks before and after adaptation, against steps of a seed."""
    lines = []
    for arm, label in ARMS.items():
        steps = arrays[f"{FAMILY}/{arm}/metrics/env_steps"] / 1e6
        for when, names in BEFORE_AND_AFTER.items():
            for values in (arrays.get(f"{FAMILY}/{arm}/metrics/{name}") for name in names):
                if values is not None:
                    band = values.min(axis=1), values.max(axis=1)
                    lines.append(figures.Line(f"{label}, {when}", steps, np.mean(values, axis=1), *band))
    panels = [figures.Panel("half-cheetah, speed", lines)]
    figures.curves(study / "training.svg", panels, "million steps of a seed", "return", columns=2)


if __name__ == "__main__":
    results.main(HERE, collect, draw)
