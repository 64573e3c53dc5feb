"""Make the study's files of FOLDER, the suite `outer_steps`: its arms are ALGORITHM_ARM.

PYTHONPATH=experiments/studies python experiments/studies/outer_steps/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import arms, figures, results

HERE = Path(__file__).parent
ARMS = {
    "ten_remembering": "ten products, memory",
    "ten_alone": "ten products",
    "five_remembering": "five products, memory",
    "five_alone": "five products",
    "clipped": "ProMP",
}


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder)
    measures = ["return_after", "success_after"]
    summary["training"] = arms.training_rows(arrays, list(summary["runs"]), measures)
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Success of each arm in training."""
    panels = []
    for algorithm in ("maesn", "maml"):
        lines = [
            figures.Line(
                name, *arms.training_curve(arrays, f"wheeled/{algorithm}_{arm}", "success_after")[:2]
            )
            for arm, name in ARMS.items()
        ]
        panels.append(figures.Panel(algorithm.upper(), lines))
    figures.curves(study / "training.svg", panels, "environment steps, millions", "success, share")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
