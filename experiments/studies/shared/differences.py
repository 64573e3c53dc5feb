"""Differences between arms, in means: [mean, low, high] with 95 % intervals, paired where pairs exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hmrl_cli.evaluation.statistics import paired_difference, paired_rate_difference

Arrays = dict[str, Any]


def of_evaluations(
    arrays: Arrays,
    ours: str,
    theirs: str,
    *,
    same_skills: bool,
    measures: Sequence[str] = ("success", "reached"),
) -> dict[str, Any]:
    """One evaluation minus another on the same tasks, after the last update.

    Args:
        arrays: what `per_task.npz` holds.
        ours: ARM/SPLIT-REWARD-RULE, and so `theirs`.
        same_skills: whether seed i of both stands on the same skills, so that seeds are paired, too.
        measures: of the evaluation.
    """
    found = {}
    for measure in measures:
        compared = paired_difference if measure == "return" else paired_rate_difference
        last = [arrays[f"{key}/{measure}"][..., -1].astype(float) for key in (ours, theirs)]
        found[measure] = _triple(compared(*last, seeds_paired=same_skills))
    return found


def of_trainings(rows: dict[str, Any], ours: str, theirs: str, *, seeds_paired: bool) -> dict[str, Any]:
    """One row of `arms.training_rows` minus another: each measure over all of training and its last fifth."""
    found: dict[str, Any] = {}
    for measure in rows[ours]:
        for when in ("all", "last_fifth"):
            both = [row[measure][f"{when}_per_seed"][:, None] for row in (rows[ours], rows[theirs])]
            triple = _triple(paired_difference(*both, seeds_paired=seeds_paired))
            found.setdefault(measure, {})[when] = triple
    return found


def _triple(found: dict[str, float]) -> list[float]:
    return [found["mean"], found["low"], found["high"]]
