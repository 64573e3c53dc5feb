"""Performance profiles and comparisons of all pairs of seeds (Agarwal et al. 2021, 2108.13264).

Every family counts alike.  Their bootstrap is stratified: runs are drawn within each task.  Here one training
serves all tasks, so a draw takes whole seeds, and tasks as well, within each family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hmrl_cli.evaluation.statistics import (
    DRAWS,
    at_extremes,
    bootstrap_weights,
    drawn_means,
    percentile_interval,
    streams_of,
    trials_over_families,
    unrounded,
    wilson_interval,
)
from hmrl_cli.lazy import np

FEW_DRAWS = 2000  # of profiles and probabilities; differences take more, as elsewhere
OTHER_SEEDS = 5000  # the first stream of the seeds of a second arm


def fractions(per_task: Any) -> Any:
    """Scores [seed, task] after the last update: fractions of the way from flat to feasible return.

    Tasks whose gap is below a tenth of the mean gap are left out.  None without a feasible return, or
    without a positive mean gap.

    Args:
        per_task: that part of an evaluation document.
    """
    if per_task["flat"] is None or per_task["feasible"] is None:
        return None
    flat = np.asarray(per_task["flat"])
    gaps = np.asarray(per_task["feasible"]) - flat
    wide = gaps >= 0.1 * gaps.mean()
    if gaps.mean() <= 0:
        return None
    return (np.asarray(per_task["return"])[..., -1] - flat)[:, wide] / gaps[wide]


def performance_profile(families: Sequence[Any], thresholds: Any) -> dict[str, Any]:
    """The share of (seed, task) pairs whose score is above each threshold, with pointwise 95 % bands.

    It is the mean over families of F(tau) = mean of 1[score > tau], their section 4.2.  A band is at least as
    wide as Wilson's interval.

    Args:
        families: for each one, scores [seed, task].
        thresholds: [K].

    Returns:
        arrays "mean", "low" and "high" [K].
    """
    drawn, means = [], []
    for i, scores in enumerate(map(np.asarray, families)):
        above = (scores[..., None] > np.asarray(thresholds)).astype(np.float32)  # [seed, task, K]
        seeds, tasks = (
            bootstrap_weights(count, FEW_DRAWS, stream).astype(np.float32)
            for stream, count in zip(streams_of(i), scores.shape, strict=True)
        )
        means.append(above.mean(axis=(0, 1)))
        drawn.append(np.stack([drawn_means(above[..., k], seeds, tasks) for k in range(above.shape[-1])]))
    middle = np.mean(means, axis=0)
    low, high = np.percentile(np.mean(drawn, axis=0), [2.5, 97.5], axis=1)
    wilson = wilson_interval(middle, trials_over_families(map(np.size, families)))
    return {"mean": middle, "low": np.minimum(low, wilson[0]), "high": np.maximum(high, wilson[1])}


def probability_of_improvement(pairs: Sequence[tuple[Any, Any]], paired: Sequence[bool]) -> dict[str, float]:
    """P(X > Y): how often a seed of X beats a seed of Y on a task; a tie counts half.

    It is the mean over tasks of the Mann-Whitney statistic, their section 4.3, and over families.

    Args:
        pairs: for each family, scores [seed, task] of X and of Y on the same tasks.
        paired: for each family, whether row i of both uses the same skills.  Then a draw takes the same rows.

    Returns:
        "mean", "low" and "high", an interval that is at least as wide as Wilson's.
    """
    found = _over_pairs(pairs, paired, lambda x, y: (x > y) + 0.5 * (x == y), FEW_DRAWS)
    trials = trials_over_families(min(np.size(x), np.size(y)) for x, y in pairs)
    low, high = wilson_interval(found["mean"], trials)
    return found | {"low": min(found["low"], float(low)), "high": max(found["high"], float(high))}


def difference_over_families(pairs: Sequence[tuple[Any, Any]], paired: Sequence[bool]) -> dict[str, float]:
    """Mean over families of the mean of X minus that of Y: "mean", "low" and "high".

    The interval is as wide as `statistics.at_extremes` says.

    Args:
        pairs: for each family, rates [seed, task] of X and of Y on the same tasks.
        paired: see `probability_of_improvement`.
    """
    found = _over_pairs(pairs, paired, np.subtract, DRAWS)
    found = at_extremes(found, *(_rate([pair[side] for pair in pairs]) for side in (0, 1)))
    return unrounded(found, 1.0)


def _rate(of_families: Sequence[Any]) -> tuple[float, float]:
    """Mean over families of the mean rate, and its equivalent number of trials."""
    rate = float(np.mean([np.mean(one) for one in of_families]))
    return rate, trials_over_families(map(np.size, of_families))


def _over_pairs(
    pairs: Sequence[tuple[Any, Any]],
    paired: Sequence[bool],
    compare: Callable[[Any, Any], Any],
    draws: int,
) -> dict[str, float]:
    """Mean over families of `compare` for all seeds of X, seeds of Y and tasks, with its interval."""
    means, drawn = [], []
    for i, ((x, y), same) in enumerate(zip(pairs, paired, strict=True)):
        found = compare(np.asarray(x)[:, None], np.asarray(y)[None])  # [seed, other seed, task]
        of_seeds, of_tasks = streams_of(i)
        seeds = bootstrap_weights(len(x), draws, of_seeds)
        others = seeds if same else bootstrap_weights(len(y), draws, OTHER_SEEDS + i)
        tasks = bootstrap_weights(found.shape[-1], draws, of_tasks)
        means.append(found.mean())
        per_pair = np.einsum("dt,ijt->dij", tasks, found, optimize=True)
        drawn.append(np.einsum("di,dj,dij->d", seeds, others, per_pair, optimize=True))
    low, high = percentile_interval(np.mean(drawn, axis=0))
    return {"mean": float(np.mean(means)), "low": low, "high": high}
