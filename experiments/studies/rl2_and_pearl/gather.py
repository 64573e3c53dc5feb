"""Make the study's files of FOLDER/ALGORITHM, the runs of run.sh and their evaluations.

PYTHONPATH=experiments/studies python experiments/studies/rl2_and_pearl/gather.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from shared import figures, results

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
NAMES = {"rl2": "RL^2", "pearl": "PEARL"}


def main(folder: Path) -> None:
    """Write summary, arrays and figure."""
    summary, arrays = results.gather(folder)
    key = "{}/{}-sparse-own"
    summary["return after each update"] = {
        key.format(arm, "test"): arrays[f"{key.format(arm, 'test')}/return_curve"].T for arm in NAMES
    }
    panels = []
    for split in ("test", "hidden"):
        lines = []
        for arm, name in NAMES.items():
            middle, low, high = arrays[f"{key.format(arm, split)}/success_curve"]
            lines.append(figures.Line(name, np.arange(len(middle)), middle, low, high))
        panels.append(figures.Panel(f"{split} goals", lines))
    figures.curves(HERE / "success.svg", panels, "updates of 20 episodes", "success, share of episodes")
    results.write(HERE, summary, arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
