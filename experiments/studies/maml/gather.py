"""Make the study's files of FOLDER, the suite `maml`.

PYTHONPATH=experiments/studies python experiments/studies/maml/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import figures, results

from hmrl_cli.evaluation.statistics import bootstrap_interval
from hmrl_cli.lazy import np

HERE = Path(__file__).parent
PUBLISHED = (-40.4, -11.7, -3.3, -3.2, -3.4)  # means of Finn et al. 2017 (1703.03400)
TICKS = (-60, -20, -10, -5, -2, -1, -0.5)
NAMES = {
    "point/maml": "MAML",
    "point/least_squares": "MAML over a least-squares baseline",  # of an earlier hmrl, kept beside the suite
}


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder)
    summary["mean return"] = {}
    for key in (f"{arm}/{name}" for arm, rows in summary["evaluations"].items() for name in rows):
        returned = arrays[f"{key}/return"].astype(float)  # [seed, task, step]
        mean = returned.mean(axis=(0, 1))
        intervals = np.stack([mean, *bootstrap_interval(returned, np.mean)], axis=1)
        summary["mean return"][key] = {"mean": intervals, "per_seed": returned.mean(axis=1)}
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Mean returns, and the least and the greatest seed of each."""
    lines = []
    for arm, name in NAMES.items():
        if f"{arm}/test-dense-own" not in summary["mean return"]:
            continue
        per_seed = np.array(summary["mean return"][f"{arm}/test-dense-own"]["per_seed"])  # [seed, step]
        spread = per_seed.min(axis=0), per_seed.max(axis=0)
        lines.append(figures.Line(name, range(per_seed.shape[1]), per_seed.mean(axis=0), *spread))
    lines.append(figures.Line("published for MAML", range(len(PUBLISHED)), PUBLISHED))
    levels = {"doing nothing": float(arrays["point/maml/test-dense-own/flat"].mean())}
    panel = figures.Panel("2-D navigation", lines, levels)
    figures.curves(study / "returns.svg", [panel], "inner updates of 40 episodes", "mean return", ticks=TICKS)


if __name__ == "__main__":
    results.main(HERE, collect, draw)
