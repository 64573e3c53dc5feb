"""Robust summaries of scores over seeds and tasks (Agarwal et al. 2021, 2108.13264)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hmrl_cli.lazy import np


def interquartile_mean(scores: Any, axes: tuple[int, ...] | None = None) -> Any:
    """Mean of the middle half over `axes` (all by default), a quarter trimmed at either end."""
    from scipy.stats import trim_mean

    scores = np.asarray(scores)
    axes = tuple(range(scores.ndim)) if axes is None else axes
    kept = [size for axis, size in enumerate(scores.shape) if axis not in axes]
    return trim_mean(np.moveaxis(scores, axes, range(-len(axes), 0)).reshape(*kept, -1), 0.25, axis=-1)


def bootstrap_interval(
    scores: Any, statistic: Callable[..., Any] = interquartile_mean, *, level: float = 0.95, draws: int = 2000
) -> tuple[Any, Any]:
    """Percentile interval of a statistic, resampling seeds and tasks.

    Tasks are shared by all seeds, so both are drawn with replacement: rows and columns of
    scores [seed, task, ...].  With one seed the interval speaks of tasks alone.

    Returns:
        low and high, each [...].
    """
    scores = np.asarray(scores)
    drawn = _drawn(scores, draws)
    # one step at a time: draws x seeds x tasks numbers are enough to hold
    flat = scores.reshape(*scores.shape[:2], -1)
    values = [statistic(flat[..., i][drawn], (1, 2)) for i in range(flat.shape[-1])]
    low, high = _middle(np.array(values), level)
    return low.reshape(scores.shape[2:]), high.reshape(scores.shape[2:])


def _drawn(scores: Any, draws: int) -> tuple[Any, Any]:
    """Rows [draws, S, 1] and columns [draws, 1, T] of scores [S, T, ...], with replacement.

    Scores of one shape have the same draws.
    """
    rng = np.random.default_rng(0)
    num_seeds, num_tasks = scores.shape[:2]
    seeds = rng.integers(num_seeds, size=(draws, num_seeds, 1))
    return seeds, rng.integers(num_tasks, size=(draws, 1, num_tasks))


def _middle(values: Any, level: float = 0.95) -> Any:
    """The percentiles [2, ...] that hold `level` of the values [..., draws] between them."""
    tail = 100 * (1 - level) / 2
    return np.percentile(values, [tail, 100 - tail], axis=-1)


def wilson_interval(rate: Any, count: int, z: float = 1.96) -> tuple[Any, Any]:
    """Score interval of a rate seen in `count` trials (Wilson 1927), sound at rates of 0 and 1 too."""
    centre = (rate + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count) * np.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2))
    return np.maximum(centre - spread, 0.0), np.minimum(centre + spread, 1.0)


def score_summary(scores: Any) -> dict[str, Any]:
    """Interquartile mean of scores [seed, task, step] and its interval, as lists over steps; the mean beside.

    The mean is there to be compared with published means.
    """
    low, high = bootstrap_interval(scores)
    return {
        "iqm": interquartile_mean(scores, (0, 1)).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "mean": np.mean(scores, axis=(0, 1)).tolist(),
    }


def rate_summary(rates: Any) -> dict[str, Any]:
    """Mean of success rates [seed, task, step] and its interval, as lists over steps; the iqm beside them.

    The interquartile mean of nearly binary scores hides a quarter of successes, so the interval is that of
    the mean: the wider of the bootstrap, which knows that seeds and tasks differ, and Wilson's over
    (seed, task), which knows that no success in n trials does not prove a rate of 0.
    """
    rates = np.asarray(rates)
    middle = rates.mean(axis=(0, 1))
    low, high = bootstrap_interval(rates, np.mean)
    wilson_low, wilson_high = wilson_interval(middle, rates.shape[0] * rates.shape[1])
    return {
        "mean": middle.tolist(),
        "low": np.minimum(low, wilson_low).tolist(),
        "high": np.maximum(high, wilson_high).tolist(),
        "iqm": interquartile_mean(rates, (0, 1)).tolist(),
    }


def fraction_summary(returned: Any, flat: Any, feasible: Any, draws: int = 2000) -> dict[str, Any] | None:
    """How much of the way from the flat to the feasible return was gone, as lists over steps.

    Every return is paired with the lines of its own task, so that tasks may differ in difficulty.  The mean
    is the paired ratio of means, sum(R - flat) / sum(feasible - flat): the fractions of tasks, each weighted
    by its gap.  A task of hardly any gap, whose own fraction may be anything, hardly counts in it.  A draw
    of the interval takes a task's lines along with its returns.  The interquartile mean beside it is of the
    fractions of tasks whose gap is at least a tenth of the mean gap.  It hides a quarter of failures.

    Args:
        returned: [seed, task, step].
        flat: [task].
        feasible: [task].
        draws: of the bootstrap.

    Returns:
        None where the mean gap is not positive in every draw: then there is no way to go a fraction of.
    """
    returned, flat = np.asarray(returned), np.asarray(flat)
    gained, gaps = returned - flat[:, None], np.asarray(feasible) - flat
    drawn = _drawn(returned, draws)
    # as large as the gains, and so of equal rounding: half of every gap is a half exactly
    gap = np.broadcast_to(gaps, returned.shape[:2])
    of_draws = gap[drawn].mean(axis=(1, 2))
    if gap.mean() <= 0 or of_draws.min() <= 0:
        return None
    ratios = [gained[..., i][drawn].mean(axis=(1, 2)) / of_draws for i in range(gained.shape[-1])]
    low, high = _middle(np.array(ratios))
    wide = gaps >= 0.1 * gaps.mean()
    return {
        "mean": (gained.mean(axis=(0, 1)) / gap.mean()).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "iqm": interquartile_mean(gained[:, wide] / gaps[wide, None], (0, 1)).tolist(),
    }


def paired_difference(ours: Any, theirs: Any, *, seeds_paired: bool, draws: int = 2000) -> dict[str, float]:
    """Mean of ours [seed, task] minus theirs on the same tasks, and its interval: "mean", "low", "high".

    A draw takes the same tasks of both.  Where row i of both stands on the same skills, it takes the same
    rows too; otherwise each has its own.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    seeds, tasks = _drawn(ours, draws)
    others = seeds
    if not seeds_paired:
        others = np.random.default_rng(1).integers(len(theirs), size=(draws, len(theirs), 1))
    low, high = _middle(ours[seeds, tasks].mean(axis=(1, 2)) - theirs[others, tasks].mean(axis=(1, 2)))
    return {"mean": float(ours.mean() - theirs.mean()), "low": float(low), "high": float(high)}


def paired_rate_difference(ours: Any, theirs: Any, *, seeds_paired: bool) -> dict[str, float]:
    """The paired difference of rates [seed, task].

    Where both are 0, or both 1, everywhere, it is as far from certain as Wilson's interval of such a rate.
    """
    found = paired_difference(ours, theirs, seeds_paired=seeds_paired)
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.min() == ours.max() == theirs.min() == theirs.max():
        _, wide = wilson_interval(0.0, min(ours.size, theirs.size))
        return found | {"low": -float(wide), "high": float(wide)}
    return found
