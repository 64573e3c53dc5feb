"""Means and paired differences over seeds and goals as [mean, low, high], with 95 % intervals.

A mix of splits weighs each equally.  So its goals come in groups of equal size, one after another, and a draw
takes goals anew within each group.
"""

from __future__ import annotations

from typing import Any

from hmrl_cli.evaluation.statistics import paired_difference
from hmrl_cli.lazy import np


def interval(values: Any, *, groups: int = 1) -> list[float]:
    """Mean of values [seed, task]."""
    return difference(values, np.zeros_like(values), groups=groups)


def difference(ours: Any, theirs: Any, *, groups: int = 1, same_skills: bool = True) -> list[float]:
    """Mean of ours minus theirs, as of `paired_difference`."""
    return list(paired_difference(ours, theirs, seeds_paired=same_skills, groups=groups).values())
