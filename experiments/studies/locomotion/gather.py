"""Make the study's files of FOLDER, the suite `locomotion`.

PYTHONPATH=experiments/studies python experiments/studies/locomotion/gather.py [FOLDER]
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from shared import figures, results

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
ARMS = {"rl2": "RL^2", "pearl": "PEARL", "maml": "MAML"}
FAMILIES = {"half_cheetah_vel": "speed", "half_cheetah_dir": "direction"}
MEASURES = ("return", "fraction")
BEFORE_AND_AFTER = {"before": ("return_first", "return_before"), "after": ("return_last", "return_after")}


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays; returns and fractions of the way after each number of updates."""
    summary, arrays = results.gather_suite(HERE, folder, MEASURES)
    summary["adapted"] = {}
    for arm, split in itertools.product(summary["runs"], ("test", "hidden")):
        curves = {name: arrays.get(f"{arm}/{split}-dense-own/{name}_curve") for name in MEASURES}
        rows = {
            f"{name} after {step}": one
            for name, curve in curves.items()
            if curve is not None
            for step, one in enumerate(curve.T)
        }
        summary["adapted"] |= {f"{arm}, {split}": rows} if rows else {}
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Returns on training tasks before and after adaptation, against steps of a seed."""
    for family, goal in FAMILIES.items():
        lines = []
        for (arm, label), (when, names) in itertools.product(ARMS.items(), BEFORE_AND_AFTER.items()):
            for values in (arrays.get(f"{family}/{arm}/metrics/{name}") for name in names):
                if values is not None:
                    steps = arrays[f"{family}/{arm}/metrics/env_steps"] / 1e6
                    band = values.min(axis=1), values.max(axis=1)
                    lines.append(figures.Line(f"{label}, {when}", steps, np.mean(values, axis=1), *band))
        panel = figures.Panel(f"half-cheetah, {goal}", lines)
        figures.curves(study / f"{goal}.svg", [panel], "million steps of a seed", "return")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
