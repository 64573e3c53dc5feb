"""Running mean and variance, by which observations and bonuses are normalised."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.lazy import jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array

LIMIT = 10.0  # of what was normalised


class Moments(NamedTuple):
    """Running mean and variance of vectors."""

    seen: Array  # []  vectors, of a device
    mean: Array  # [size]
    variance: Array  # [size]


def initial(size: int) -> Moments:
    """Mean 0 and variance 1, which the first vectors replace."""
    return Moments(jnp.float32(1e-4), jnp.zeros(size), jnp.ones(size))


FLOOR = 1e-6  # of a variance


def scale(moments: Moments, floor: float = FLOOR) -> tuple[Array, Array]:
    """What `normalize` takes away, and what it divides by: [size] both."""
    return moments.mean, jnp.sqrt(moments.variance + floor)


def normalize(moments: Moments, x: Array, floor: float = FLOOR) -> Array:
    """x [..., size] by the moments, at most `LIMIT` standard deviations from 0.

    `floor` is added to the variance, in the units of x squared: what varies by less is hardly seen.
    """
    mean, std = scale(moments, floor)
    return jnp.clip((x - mean) / std, -LIMIT, LIMIT)


def absorb(
    moments: Moments, x: Array, valid: Array, over_devices: Callable[[Any], Any] = lambda tree: tree
) -> Moments:
    """The moments with the vectors x [..., size] for which valid [...] is 1 taken in (Chan et al. 1979).

    `over_devices` is the mean over devices that each have a share of the vectors; none: there is one.
    """
    weight = valid[..., None]
    axes = tuple(range(valid.ndim))
    count, summed = over_devices((valid.sum(), jnp.sum(weight * x, axis=axes)))
    mean = summed / jnp.maximum(count, 1.0)
    deviations = over_devices(jnp.sum(weight * (x - mean) ** 2, axis=axes))
    variance = deviations / jnp.maximum(count, 1.0)
    total = moments.seen + count
    share = count / total
    shift = mean - moments.mean
    spread = (1 - share) * moments.variance + share * variance + share * (1 - share) * shift**2
    return Moments(total, moments.mean + share * shift, spread)
