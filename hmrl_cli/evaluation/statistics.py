"""Robust summaries of scores over seeds and tasks (Agarwal et al. 2021, 2108.13264)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hmrl_cli.lazy import np

DRAWS = 10_000  # of a bootstrap of means, which is cheap


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
    rng = np.random.default_rng(0)  # the same scores give the same interval
    num_seeds, num_tasks = scores.shape[:2]
    seeds = rng.integers(num_seeds, size=(draws, num_seeds, 1))
    tasks = rng.integers(num_tasks, size=(draws, 1, num_tasks))
    # one step at a time: draws x seeds x tasks numbers are enough to hold
    flat = scores.reshape(num_seeds, num_tasks, -1)
    values = [statistic(flat[..., i][seeds, tasks], (1, 2)) for i in range(flat.shape[-1])]
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(np.array(values), [tail, 100 - tail], axis=1)
    return low.reshape(scores.shape[2:]), high.reshape(scores.shape[2:])


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


def _weights(count: int, draws: int, stream: int) -> Any:
    """How much each of `count` counts in draws with replacement [draws, count]; rows sum to 1."""
    rng = np.random.default_rng((0, stream))
    return rng.multinomial(count, np.full(count, 1 / count), size=draws) / count


def _drawn_means(scores: Any, seeds: Any, tasks: Any) -> Any:
    """Means [draws] of scores [seed, task] under weights [draws, seed] and [draws, task]."""
    return ((seeds @ scores) * tasks).sum(axis=1)


def _interval(values: Any) -> tuple[float, float]:
    """The percentiles that hold 95 % of the values [draws] between them."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def fraction_summary(returned: Any, flat: Any, feasible: Any) -> dict[str, Any] | None:
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

    Returns:
        "mean", "low", "high", "iqm"; None where the mean gap is not above 0 for certain, by its own 95 %
        interval.
    """
    returned, flat = np.asarray(returned), np.asarray(flat)
    gained, gaps = returned - flat[:, None], np.asarray(feasible) - flat
    gap = np.broadcast_to(gaps, gained.shape[:2])
    weights = [_weights(count, DRAWS, stream) for stream, count in enumerate(gap.shape)]
    gap_of_draws = _drawn_means(gap, *weights)
    if _interval(gap_of_draws)[0] <= 0:
        return None
    there = gap_of_draws > 0
    middle = gained.mean(axis=(0, 1)) / gap.mean()
    # of what is beside the mean, so that nothing is there but noise where all tasks have one fraction
    beside = np.moveaxis(gained - middle * gap[..., None], 2, 0)
    low, high = np.transpose(
        [_interval(_drawn_means(step, *weights)[there] / gap_of_draws[there]) for step in beside]
    )
    wide = gaps >= 0.1 * gaps.mean()
    return {
        "mean": middle.tolist(),
        "low": (middle + low).tolist(),
        "high": (middle + high).tolist(),
        "iqm": interquartile_mean(gained[:, wide] / gaps[wide, None], (0, 1)).tolist(),
    }


def paired_difference(ours: Any, theirs: Any, *, seeds_paired: bool) -> dict[str, float]:
    """Mean of ours [seed, task] minus theirs on the same tasks, and its interval: "mean", "low", "high".

    A draw takes the same tasks of both.  Where row i of both stands on the same skills, it takes the same
    rows too; otherwise each has its own.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    tasks = _weights(ours.shape[1], DRAWS, stream=1)
    seeds = _weights(len(ours), DRAWS, stream=0)
    others = seeds if seeds_paired else _weights(len(theirs), DRAWS, stream=2)
    low, high = _interval(_drawn_means(ours, seeds, tasks) - _drawn_means(theirs, others, tasks))
    return {"mean": float(ours.mean() - theirs.mean()), "low": low, "high": high}


def paired_rate_difference(ours: Any, theirs: Any, *, seeds_paired: bool) -> dict[str, float]:
    """The paired difference of rates [seed, task].

    Where both may be 0, or both 1, by Wilson's interval of such a rate, it reaches as far to either side: a
    bootstrap of hardly any success takes two arms for equal for certain.
    """
    found = paired_difference(ours, theirs, seeds_paired=seeds_paired)
    rates = [float(np.mean(x)) for x in (ours, theirs)]
    _, wide = wilson_interval(0.0, min(np.size(ours), np.size(theirs)))
    if max(rates) > wide and min(rates) < 1 - wide:
        return found
    return found | {"low": min(found["low"], -float(wide)), "high": max(found["high"], float(wide))}
