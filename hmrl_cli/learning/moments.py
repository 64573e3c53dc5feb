"""Running mean and variance, used to normalise observations and bonuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array

LIMIT = 10.0  # standard deviations, at which a normalised number is clipped


class Moments(NamedTuple):
    """Running mean and variance of vectors."""

    seen: Array  # []  how many vectors were absorbed
    mean: Array  # [size]
    variance: Array  # [size]


def initial(size: int) -> Moments:
    """Mean 0 and variance 1 with almost no weight, so that the first vectors replace them."""
    return Moments(jnp.float32(1e-4), jnp.zeros(size), jnp.ones(size))


FLOOR = 1e-6  # added to a variance


def scale(moments: Moments, floor: float = FLOOR) -> tuple[Array, Array]:
    """Mean [size] and standard deviation [size] by which `normalize` shifts and scales."""
    return moments.mean, jnp.sqrt(moments.variance + floor)


def normalize(moments: Moments, x: Array, floor: float = FLOOR) -> Array:
    """x [..., size] minus the mean, divided by the standard deviation and clipped to +-`LIMIT`.

    `floor` is added to the variance, so that tiny variations are not amplified.  Its unit is that of x^2.
    """
    mean, std = scale(moments, floor)
    return jnp.clip((x - mean) / std, -LIMIT, LIMIT)


def sums(x: Array, valid: Array) -> tuple[Array, Array]:
    """Number [] and sum [size] of the vectors x [..., size] with valid [...] = 1."""
    return valid.sum(), jnp.sum(valid[..., None] * x, axis=tuple(range(valid.ndim)))


def absorb(
    moments: Moments,
    x: Array,
    valid: Array,
    of_all: tuple[Array, Array] | None = None,
    over_devices: Callable[[Any], Any] = lambda tree: tree,
    until: int | None = None,
) -> Moments:
    """The moments after new vectors, merged by the parallel algorithm of Chan et al. (1979).

    Args:
        moments: before.
        x: [..., size].
        valid: [...] 1 where the vector counts.
        of_all: `sums` of the vectors of all devices, where they are split; None: there is one device.
        over_devices: sum over these devices.
        until: number of vectors after which the moments stay the same; None: there is no limit.
    """
    count, summed = sums(x, valid) if of_all is None else of_all
    mean = summed / jnp.maximum(count, 1.0)
    deviations = over_devices(sums((x - mean) ** 2, valid)[1])
    variance = deviations / jnp.maximum(count, 1.0)
    total = moments.seen + count
    share = count / total
    shift = mean - moments.mean
    spread = (1 - share) * moments.variance + share * variance + share * (1 - share) * shift**2
    new = Moments(total, moments.mean + share * shift, spread)
    if until is None:
        return new
    return jax.tree.map(lambda after, before: jnp.where(moments.seen < until, after, before), new, moments)
