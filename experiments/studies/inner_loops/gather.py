"""Make the study's files of FOLDER/ARM, the runs of run.sh and their evaluations.

PYTHONPATH=experiments/studies python experiments/studies/inner_loops/gather.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from shared import figures, results

from hmrl_cli.evaluation.statistics import bootstrap_interval
from hmrl_cli.lazy import np

HERE = Path(__file__).parent
PANELS = {"trust region": "trpo", "ProMP": "promp"}


def main(folder: Path) -> None:
    """Write summary, arrays and figure; means of returns after each number of updates."""
    summary, arrays = results.gather(folder)
    summary["mean return"], lines = {}, {}
    for key in (f"{arm}/{name}" for arm, rows in summary["evaluations"].items() for name in rows):
        returned = arrays[f"{key}/return"].astype(float)  # [seed, task, step]
        low, high = bootstrap_interval(returned, np.mean)
        kept = arrays.get(f"{key}/mean_return", [returned.mean(axis=(0, 1)), low, high])
        summary["mean return"][key] = {"mean": kept[0], "last": [values[-1] for values in kept]}
        name = key.split("/")[0] + ("_halved" if key.endswith("halved") else "")
        label = (
            name.split("_", 1)[1].replace("_", " ").replace("1", "1 update", 1).replace("3", "3 updates", 1)
        )
        lines[name] = figures.Line(label, np.arange(len(kept[0])), kept[0])
    panels = [
        figures.Panel(title, [line for name, line in sorted(lines.items()) if name.startswith(start)])
        for title, start in PANELS.items()
    ]
    figures.curves(HERE / "returns.svg", panels, "inner updates", "mean return", columns=2)
    results.write(HERE, summary, arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
