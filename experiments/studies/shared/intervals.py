"""Means and paired differences over seeds and goals, with 95 % intervals by the bootstrap.

A mix of splits weighs each equally.  So its goals come in groups of equal size, one after another, and a draw
takes goals anew within each group.
"""

from __future__ import annotations

from typing import Any

from hmrl_cli.evaluation.statistics import (
    DRAWS,
    bootstrap_weights,
    drawn_means,
    percentile_interval,
    unrounded,
)
from hmrl_cli.lazy import np


def interval(values: Any, *, groups: int = 1) -> list[float]:
    """Mean of values [seed, task] with its interval: mean, low, high."""
    return difference(values, np.zeros_like(values), groups=groups)


def difference(ours: Any, theirs: Any, *, groups: int = 1, same_skills: bool = True) -> list[float]:
    """Mean of ours minus theirs on the same tasks with its interval: mean, low, high.

    With one group it is `hmrl_cli.evaluation.statistics.paired_difference`.

    Args:
        ours: scores [seed, task].
        theirs: scores [seed, task] on the same tasks.
        groups: of tasks.
        same_skills: whether row i of both is over the same skills.  Then a draw takes the same rows of both.
    """
    size, rest = divmod(ours.shape[1], groups)
    assert not rest, f"{ours.shape[1]} tasks are not {groups} groups of equal size"
    tasks = [bootstrap_weights(size, DRAWS, stream=1 + 10 * group) for group in range(groups)]
    seeds = bootstrap_weights(len(ours), DRAWS, stream=0)
    others = seeds if same_skills else bootstrap_weights(len(theirs), DRAWS, stream=2)
    of_all = np.concatenate(tasks, axis=1) / groups
    low, high = percentile_interval(drawn_means(ours, seeds, of_all) - drawn_means(theirs, others, of_all))
    found = {"mean": float(ours.mean() - theirs.mean()), "low": low, "high": high}
    return list(unrounded(found, ours, theirs).values())
