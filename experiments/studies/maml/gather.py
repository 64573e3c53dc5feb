"""Make the study's files of FOLDER/maml, the run of run.sh and its evaluation.

PYTHONPATH=experiments/studies python experiments/studies/maml/gather.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from shared import figures, results

from hmrl_cli.evaluation.statistics import bootstrap_interval
from hmrl_cli.lazy import np

HERE = Path(__file__).parent
PUBLISHED = (-40.4, -11.7, -3.3, -3.2, -3.4)  # means of Finn et al. 2017 (1703.03400)
NAMES = {"maml": "MAML", "least_squares": "MAML over a least-squares baseline"}


def main(folder: Path) -> None:
    """Write summary, arrays and figure."""
    summary, arrays = results.gather(folder)
    summary["mean return"], lines = {}, []
    for key in (f"{arm}/{name}" for arm, rows in summary["evaluations"].items() for name in rows):
        returned = arrays[f"{key}/return"].astype(float)  # [seed, task, step]
        mean = returned.mean(axis=(0, 1))
        intervals = np.stack([mean, *bootstrap_interval(returned, np.mean)], axis=1)
        summary["mean return"][key] = {"mean": intervals, "per_seed": returned.mean(axis=1)}
        spread = returned.mean(axis=1)
        name = NAMES[key.split("/")[0]]
        lines.append(figures.Line(name, np.arange(len(mean)), mean, spread.min(axis=0), spread.max(axis=0)))
        levels = {"doing nothing": float(arrays[f"{key}/flat"].mean())}
    lines.append(figures.Line("published for MAML", np.arange(len(PUBLISHED)), PUBLISHED))
    panel = figures.Panel("2-D navigation", lines, levels)
    figures.curves(HERE / "returns.svg", [panel], "inner updates", "mean return")
    results.write(HERE, summary, arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
