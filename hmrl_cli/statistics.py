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
    """Interquartile mean of scores [seed, task, step] and its interval, as lists over steps."""
    low, high = bootstrap_interval(scores)
    return {"iqm": interquartile_mean(scores, (0, 1)).tolist(), "low": low.tolist(), "high": high.tolist()}


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
