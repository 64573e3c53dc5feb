"""Make the study's files of FOLDER, the runs of run.sh.

    PYTHONPATH=experiments/studies python experiments/studies/stochasticity/gather.py [FOLDER]

Every arm's success is a mean over 0, 4, ..., 60 episodes, and over test and hidden goals alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import results

from hmrl_cli.evaluation.statistics import paired_difference
from hmrl_cli.lazy import np

HERE = Path(__file__).parent
BASE = "entropy_0.001-mean"  # the default
SAME_SKILLS = ("sampled", "noise")  # as those of the default


def area(arrays: results.Arrays, arm: str, rule: str) -> Any:
    """Mean success [seed, task] after 0, 4, ... episodes, on the tasks of both splits."""
    splits = (arrays[f"{arm}/{split}-sparse-{rule}/success"] for split in ("test", "hidden"))
    return np.concatenate(list(splits), axis=1).astype(float).mean(axis=-1)


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather(folder, ("success", "reached"))
    summary["success"], summary["differences"] = {}, {}
    for family in ("sparse_point", "wheeled"):
        found = {
            f"{arm.split('/')[1]}-{name.removeprefix('test-sparse-')}": area(
                arrays, arm, name.removeprefix("test-sparse-")
            )
            for arm, rows in summary["evaluations"].items()
            for name in rows
            if arm.startswith(f"{family}/") and name.startswith("test-")
        }
        for name, values in found.items():
            zero = np.zeros_like(values)
            whole = paired_difference(values, zero, seeds_paired=True)
            summary["success"][f"{family}: {name}"] = list(whole.values())
            if name != BASE:
                paired = any(one in name for one in SAME_SKILLS)
                less = paired_difference(values, found[BASE], seeds_paired=paired)
                summary["differences"][f"{family}: {name} - default"] = list(less.values())
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """The study is one table."""


if __name__ == "__main__":
    results.main(HERE, collect, draw)
