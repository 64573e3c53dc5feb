"""Robust summaries of scores over seeds and tasks (Agarwal et al. 2021, 2108.13264)."""

from __future__ import annotations

from typing import Any

from hmrl_cli.lazy import np


def interquartile_mean(scores: Any, axes: tuple[int, ...] | None = None) -> Any:
    """Mean of the middle half over `axes` (all by default), a quarter trimmed at either end."""
    from scipy.stats import trim_mean

    scores = np.asarray(scores)
    axes = tuple(range(scores.ndim)) if axes is None else axes
    kept = [size for axis, size in enumerate(scores.shape) if axis not in axes]
    return trim_mean(np.moveaxis(scores, axes, range(-len(axes), 0)).reshape(*kept, -1), 0.25, axis=-1)


def bootstrap_interval(scores: Any, *, level: float = 0.95, draws: int = 2000) -> tuple[Any, Any]:
    """Percentile interval of the interquartile mean, resampling seeds and tasks.

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
    means = [interquartile_mean(flat[..., i][seeds, tasks], (1, 2)) for i in range(flat.shape[-1])]
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(np.array(means), [tail, 100 - tail], axis=1)
    return low.reshape(scores.shape[2:]), high.reshape(scores.shape[2:])


def summary(scores: Any) -> dict[str, Any]:
    """Interquartile mean and its interval of scores [seed, task, step], as lists over steps."""
    low, high = bootstrap_interval(scores)
    return {
        "iqm": interquartile_mean(scores, (0, 1)).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
    }
