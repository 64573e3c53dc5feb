"""Make the study's files of FOLDER, the suite `bonuses`.

PYTHONPATH=experiments/studies python experiments/studies/bonuses/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import arms, figures, results
from shared.differences import of_trainings

HERE = Path(__file__).parent
FAMILIES = {"sparse_point": "sparse point", "wheeled": "wheeled robot", "ant_maze": "ant in a maze"}
BONUSES = {"none": "PPO"} | {
    bonus: f"PPO with {bonus}" for bonus in ("icm", "rnd", "counts", "information_gain")
}


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder)
    del summary["evaluations"], summary["protocols"]
    summary["training"] = arms.training_rows(arrays, list(summary["runs"]), ["reached", "success"])
    summary["above no bonus"] = {
        arm: of_trainings(summary["training"], arm, f"{arm.split('/')[0]}/none", seeds_paired=True)
        for arm in summary["runs"]
        if not arm.endswith("/none")
    }
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """How often each bonus reaches the goal."""
    panels = []
    for family, title in FAMILIES.items():
        lines = [
            figures.Line(name, *arms.training_curve(arrays, f"{family}/{bonus}", "reached")[:2])
            for bonus, name in BONUSES.items()
            if f"{family}/{bonus}" in summary["runs"]
        ]
        panels.append(figures.Panel(title, lines))
    figures.curves(
        study / "training.svg", panels, "environment steps, millions", "episodes at the goal, share"
    )


if __name__ == "__main__":
    results.main(HERE, collect, draw)
