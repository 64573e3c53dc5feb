"""Make the study's files of FOLDER/ARM, the runs of run.sh and their evaluations.

PYTHONPATH=experiments/studies python experiments/studies/pusher/gather.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from shared import arms, figures, results

HERE = Path(__file__).parent


def main(folder: Path) -> None:
    """Write summary, arrays and figure."""
    summary, arrays = results.gather(folder)
    measures = ["return_after", "success_after", "latent_kl"]
    summary["training"] = arms.training_rows(arrays, list(summary["runs"]), measures)
    names = {arm: arm.replace("_", " ") for arm in summary["runs"]}
    learned = {name: summary["training"][arm]["success_after"]["last_fifth"] for arm, name in names.items()}
    carried = {
        name: summary["evaluations"][arm]["test-sparse-refit"]["fraction"] for arm, name in names.items()
    }
    panels = {
        "success on training tasks, dense": learned,
        "fraction on test tasks, sparse, by refit": carried,
    }
    figures.intervals(HERE / "arms.svg", panels, "share, or fraction of flat to feasible")
    results.write(HERE, summary, arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
