"""Make the study's files of FOLDER/FAMILY/BONUS, the runs of run.sh.

PYTHONPATH=experiments/studies python experiments/studies/bonuses/gather.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from shared import arms, figures, results
from shared.differences import of_trainings

HERE = Path(__file__).parent
FAMILIES = {"sparse_point": "sparse point", "wheeled": "wheeled robot", "ant_maze": "ant in a maze"}
BONUSES = ("none", "icm", "rnd", "counts", "information_gain")


def main(folder: Path) -> None:
    """Write summary, arrays and figure."""
    summary, arrays = results.gather(folder)
    summary["training"] = arms.training_rows(arrays, list(summary["runs"]), ["reached", "success"])
    summary["above no bonus"] = {
        arm: of_trainings(summary["training"], arm, f"{arm.split('/')[0]}/none", seeds_paired=True)
        for arm in summary["runs"]
        if not arm.endswith("/none")
    }
    panels = []
    for family, title in FAMILIES.items():
        present = [bonus for bonus in BONUSES if f"{family}/{bonus}" in summary["runs"]]
        lines = [
            figures.Line(bonus, *arms.training_curve(arrays, f"{family}/{bonus}", "reached")[:2])
            for bonus in present
        ]
        panels.append(figures.Panel(title, lines))
    figures.curves(
        HERE / "training.svg", panels, "environment steps, millions", "share that reaches the goal"
    )
    results.write(HERE, summary, arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
