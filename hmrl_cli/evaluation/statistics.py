"""Robust summaries of scores over seeds and tasks (Agarwal et al. 2021, 2108.13264)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hmrl_cli.lazy import np

DRAWS = 10_000  # bootstrap draws of a mean, which are cheap
ROUNDING = 2.0**-22  # two roundings of a float32, as scores are, relative to the largest score


def interquartile_mean(scores: Any, axes: tuple[int, ...] | None = None) -> Any:
    """Mean of the middle half of scores over `axes` (default: all); a quarter is trimmed at either end."""
    from scipy.stats import trim_mean

    scores = np.asarray(scores)
    axes = tuple(range(scores.ndim)) if axes is None else axes
    kept = [size for axis, size in enumerate(scores.shape) if axis not in axes]
    return trim_mean(np.moveaxis(scores, axes, range(-len(axes), 0)).reshape(*kept, -1), 0.25, axis=-1)


def bootstrap_interval(
    scores: Any, statistic: Callable[..., Any] = interquartile_mean, *, level: float = 0.95, draws: int = 2000
) -> tuple[Any, Any]:
    """Percentile interval of a statistic, resampling seeds and tasks.

    All seeds share the tasks.  So rows and columns of scores [seed, task, ...] are drawn with replacement,
    independently.  With one seed the interval reflects only the variation of tasks.

    Args:
        scores: [seed, task, ...].
        statistic: values, axes -> their statistic over these axes.
        level: coverage of the interval.
        draws: number of bootstrap draws.

    Returns:
        low and high, each [...].
    """
    scores = np.asarray(scores)
    rng = np.random.default_rng(0)  # the same scores give the same interval
    num_seeds, num_tasks = scores.shape[:2]
    seeds = rng.integers(num_seeds, size=(draws, num_seeds, 1))
    tasks = rng.integers(num_tasks, size=(draws, 1, num_tasks))
    # one step at a time: an array of draws x seeds x tasks is large enough
    flat = scores.reshape(num_seeds, num_tasks, -1)
    values = [statistic(flat[..., i][seeds, tasks], (1, 2)) for i in range(flat.shape[-1])]
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(np.array(values), [tail, 100 - tail], axis=1)
    return low.reshape(scores.shape[2:]), high.reshape(scores.shape[2:])


def wilson_interval(rate: Any, count: float, z: float = 1.96) -> tuple[Any, Any]:
    """Score interval of a rate observed in `count` trials (Wilson 1927); valid also at rates of 0 and 1.

    Args:
        rate: observed rates in [0, 1].
        count: number of trials; see `trials_over_families` for a mean over families.
        z: normal quantile; 1.96 gives 95 %.

    Returns:
        low and high, with the shape of `rate`.
    """
    centre = (rate + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count) * np.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2))
    return np.maximum(centre - spread, 0.0), np.minimum(centre + spread, 1.0)


def trials_over_families(sizes: Iterable[int]) -> float:
    """The number of equal trials whose mean has the variance of a mean over families of these sizes.

    Every family counts alike, so the variance of the mean over K families is that of K^2 / sum(1 / size).
    """
    counts = np.array([*sizes], float)
    return float(len(counts) ** 2 / np.sum(1.0 / counts))


def score_summary(scores: Any) -> dict[str, Any]:
    """Interquartile mean of scores [seed, task, step], its 95 % interval and the mean, as lists over steps.

    The mean allows comparison with published means.
    """
    low, high = bootstrap_interval(scores)
    return {
        "iqm": interquartile_mean(scores, (0, 1)).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "mean": np.mean(scores, axis=(0, 1)).tolist(),
    }


def rate_summary(rates: Any) -> dict[str, Any]:
    """Mean of success rates [seed, task, step] with its 95 % interval, and the iqm, as lists over steps.

    The interval is of the mean, because the interquartile mean of nearly binary scores ignores up to a
    quarter of successes.  It covers two intervals.  The bootstrap reflects the variation of seeds and tasks.
    Wilson's interval over (seed, task) has a positive width even if all trials fail or all succeed.
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


def bootstrap_weights(count: int, draws: int, stream: int) -> Any:
    """Weights [draws, count] of `count` items drawn with replacement; rows sum to 1."""
    rng = np.random.default_rng((0, stream))
    return rng.multinomial(count, np.full(count, 1 / count), size=draws) / count


def drawn_means(scores: Any, seeds: Any, tasks: Any) -> Any:
    """Means [draws] of scores [seed, task] under weights [draws, seed] and [draws, task]."""
    return ((seeds @ scores) * tasks).sum(axis=1)


def percentile_interval(values: Any) -> tuple[float, float]:
    """The 2.5 and 97.5 % percentiles of values [draws]."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def unrounded(found: dict[str, float], *scores: Any) -> dict[str, float]:
    """Statistics of a difference of scores, with 0 in place of values within the rounding of the scores.

    Equal arms differ by rounding alone, and the sign of this error would decide their comparison.
    """
    noise = ROUNDING * max(float(np.abs(one).max()) for one in scores)
    return {name: 0.0 if abs(value) <= noise else value for name, value in found.items()}


def _drawn_fractions(gained: Any, gaps: Any, streams: tuple[int, int] = (0, 1)) -> tuple[Any, Any] | None:
    """Mean fraction [step] of gains [seed, task, step], and the deviations of draws from it [step, draw].

    A draw whose gap is not positive is NaN.  None if the 95 % interval of the mean gap [task] includes 0.
    """
    gap = np.broadcast_to(gaps, gained.shape[:2])
    weights = [
        bootstrap_weights(count, DRAWS, stream) for stream, count in zip(streams, gap.shape, strict=True)
    ]
    gap_of_draws = drawn_means(gap, *weights)
    if percentile_interval(gap_of_draws)[0] <= 0:
        return None
    divisor = np.where(gap_of_draws > 0, gap_of_draws, np.nan)
    middle = gained.mean(axis=(0, 1)) / gap.mean()
    # residuals from the mean fraction: with equal fractions of all tasks the interval has only noise
    residuals = np.moveaxis(gained - middle * gap[..., None], 2, 0)
    return middle, np.stack([drawn_means(step, *weights) / divisor for step in residuals])


def fraction_summary(returned: Any, flat: Any, feasible: Any) -> dict[str, Any] | None:
    """Returns as fractions of the gap between flat and feasible return, as lists over steps.

    Every return is paired with the lines of its own task, so that tasks may differ in difficulty.  The mean
    is the ratio sum(R - flat) / sum(feasible - flat).  It equals the mean fraction of tasks, weighted by
    their gaps.  So a task with a small gap has little weight.  A bootstrap draw takes a task's lines with its
    returns.  The interquartile mean is that of the fractions of tasks whose gap is at least a tenth of the
    mean gap.  It ignores up to a quarter of failures.

    Args:
        returned: [seed, task, step].
        flat: [task].
        feasible: [task].

    Returns:
        "mean", "low", "high", "iqm"; None if the 95 % interval of the mean gap includes 0.
    """
    returned, flat = np.asarray(returned), np.asarray(flat)
    gained, gaps = returned - flat[:, None], np.asarray(feasible) - flat
    found = _drawn_fractions(gained, gaps)
    if found is None:
        return None
    middle, drawn = found
    low, high = np.transpose([percentile_interval(step[np.isfinite(step)]) for step in drawn])
    wide = gaps >= 0.1 * gaps.mean()
    return {
        "mean": middle.tolist(),
        "low": (middle + low).tolist(),
        "high": (middle + high).tolist(),
        "iqm": interquartile_mean(gained[:, wide] / gaps[wide, None], (0, 1)).tolist(),
    }


def paired_difference(ours: Any, theirs: Any, *, seeds_paired: bool, groups: int = 1) -> dict[str, float]:
    """Mean of ours minus theirs on the same tasks, with its 95 % interval: "mean", "low", "high".

    A bootstrap draw takes the same tasks of both.

    Args:
        ours: scores [seed, task].
        theirs: scores [seed, task] on the same tasks.
        seeds_paired: whether row i of both uses the same skills.  Then a draw takes the same rows of both.
        groups: number of equally large groups of consecutive tasks, such as two splits.  A draw resamples
            tasks within each group.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    size, rest = divmod(ours.shape[1], groups)
    assert not rest, f"{ours.shape[1]} tasks are not {groups} groups of equal size"
    drawn = [bootstrap_weights(size, DRAWS, stream=1 + 10 * group) for group in range(groups)]
    tasks = np.concatenate(drawn, axis=1) / groups
    seeds = bootstrap_weights(len(ours), DRAWS, stream=0)
    others = seeds if seeds_paired else bootstrap_weights(len(theirs), DRAWS, stream=2)
    low, high = percentile_interval(drawn_means(ours, seeds, tasks) - drawn_means(theirs, others, tasks))
    return unrounded({"mean": float(ours.mean() - theirs.mean()), "low": low, "high": high}, ours, theirs)


def paired_rate_difference(ours: Any, theirs: Any, *, seeds_paired: bool) -> dict[str, float]:
    """The paired difference of rates [seed, task], as `paired_difference` returns it.

    The interval is at least as wide as `at_extremes` says of the rates.  Where hardly any pair differs, the
    shares of pairs in which one or the other is ahead count as well.  Two arms that do the same may still
    differ elsewhere.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    found = paired_difference(ours, theirs, seeds_paired=seeds_paired)
    found = at_extremes(found, *((float(np.mean(x)), np.size(x)) for x in (ours, theirs)))
    if ours.shape == theirs.shape:
        ahead = [(float(np.mean(x)), ours.size) for x in (ours > theirs, theirs > ours)]
        if max(share for share, _ in ahead) <= wilson_interval(0.0, ours.size)[1]:
            found = at_extremes(found, *ahead)
    return unrounded(found, 1.0)


def at_extremes(
    found: dict[str, float], ours: tuple[float, float], theirs: tuple[float, float]
) -> dict[str, float]:
    """The difference of two rates with an interval that is wide enough where both are near 0 or 1.

    A bootstrap is too narrow there.  If Wilson's interval of each rate holds 0 or 1, the result is at least
    as wide as the interval of unpaired rates (Newcombe 1998, method 10).

    Args:
        found: "mean", "low" and "high" of a bootstrap.
        ours, theirs: a rate, and the number of trials.
    """
    _, wide = wilson_interval(0.0, min(ours[1], theirs[1]))
    if any(wide < rate < 1 - wide for rate, _ in (ours, theirs)):
        return found
    (low, high), (other_low, other_high) = wilson_interval(*ours), wilson_interval(*theirs)
    below = np.hypot(ours[0] - low, other_high - theirs[0])
    above = np.hypot(high - ours[0], theirs[0] - other_low)
    least, most = float(found["mean"] - below), float(found["mean"] + above)
    return found | {"low": min(found["low"], least), "high": max(found["high"], most)}


def rate_over_families(rates: Sequence[Any]) -> dict[str, float]:
    """Mean over families of the mean rate, with its 95 % interval: "mean", "low", "high".

    Every family counts alike.  A bootstrap draw takes seeds and tasks within each family, independently, so
    the interval is for these families.  It is at least as wide as Wilson's of `trials_over_families`.

    Args:
        rates: for each family, [seed, task].
    """
    arrays = [np.asarray(one) for one in rates]
    middle = float(np.mean([one.mean() for one in arrays]))
    weights = [
        [
            bootstrap_weights(count, DRAWS, stream)
            for stream, count in zip(streams_of(i), one.shape, strict=True)
        ]
        for i, one in enumerate(arrays)
    ]
    drawn = [drawn_means(one, *of_family) for one, of_family in zip(arrays, weights, strict=True)]
    low, high = percentile_interval(np.mean(drawn, axis=0))
    wilson_low, wilson_high = wilson_interval(middle, trials_over_families(one.size for one in arrays))
    return {"mean": middle, "low": min(low, float(wilson_low)), "high": max(high, float(wilson_high))}


def fraction_over_families(families: Sequence[tuple[Any, Any, Any]]) -> dict[str, float] | None:
    """Mean over families of the fraction, drawn as in `rate_over_families`.

    Args:
        families: for each one, returns [seed, task], flat [task] and feasible [task].

    Returns:
        "mean", "low", "high"; None if a family has no fraction (see `fraction_summary`).
    """
    found = []
    for i, (returned, flat, feasible) in enumerate(families):
        gained = np.asarray(returned)[..., None] - np.asarray(flat)[:, None]
        one = _drawn_fractions(gained, np.asarray(feasible) - np.asarray(flat), streams_of(i))
        if one is None:
            return None
        found.append((one[0][0], one[1][0]))
    middle = float(np.mean([mean for mean, _ in found]))
    drawn = np.mean([differences for _, differences in found], axis=0)
    low, high = percentile_interval(drawn[np.isfinite(drawn)])
    return {"mean": middle, "low": middle + low, "high": middle + high}


def streams_of(family: int) -> tuple[int, int]:
    """Numbers of the random streams that draw seeds and tasks of a family; no two families share one."""
    return 10 + 2 * family, 11 + 2 * family
