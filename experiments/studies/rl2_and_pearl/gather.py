"""Make the study's files of FOLDER, the suite `rl2_and_pearl`.

PYTHONPATH=experiments/studies python experiments/studies/rl2_and_pearl/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import figures, results

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
KEY = "sparse_point/{}/{}-sparse-own"
NAMES = {"rl2": "RL^2", "pearl": "PEARL"}


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder)
    summary["return after each update"] = {
        KEY.format(arm, "test"): arrays[f"{KEY.format(arm, 'test')}/return_curve"].T for arm in NAMES
    }
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Success after each update."""
    panels = []
    for split in ("test", "hidden"):
        lines = []
        for arm, name in NAMES.items():
            middle, low, high = arrays[f"{KEY.format(arm, split)}/success_curve"]
            lines.append(figures.Line(name, np.arange(len(middle)), middle, low, high))
        panels.append(figures.Panel(f"{split} goals", lines))
    figures.curves(study / "success.svg", panels, "updates", "success, share")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
