"""Make the study's files of FOLDER/ALGORITHM/ARM, the runs of run.sh.

PYTHONPATH=experiments/studies python experiments/studies/outer_steps/gather.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from shared import arms, figures, results

HERE = Path(__file__).parent
ARMS = ("ten_remembering", "ten_alone", "five_remembering", "five_alone", "clipped")


def main(folder: Path) -> None:
    """Write summary, arrays and figure."""
    summary, arrays = results.gather(folder)
    measures = ["return_after", "success_after"]
    summary["training"] = arms.training_rows(arrays, list(summary["runs"]), measures)
    panels = []
    for algorithm in ("maesn", "maml"):
        curves = {arm: arms.training_curve(arrays, f"{algorithm}/{arm}", "success_after") for arm in ARMS}
        lines = [figures.Line(arm.replace("_", " "), *curve[:2]) for arm, curve in curves.items()]
        panels.append(figures.Panel(algorithm.upper(), lines))
    figures.curves(HERE / "training.svg", panels, "environment steps, millions", "success, share of episodes")
    results.write(HERE, summary, arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
