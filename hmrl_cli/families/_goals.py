"""Draws of tasks that are disjoint between splits."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING

from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import Split

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key

CELLS = 2**20  # of each split, in the range of a uniform draw


def split_key(key: Key, split: Split) -> Key:
    """Return a key for one split, so that a seed draws independently for each split."""
    return jax.random.fold_in(key, typing.get_args(Split).index(split))


def uniform(
    key: Key,
    split: Split,
    shape: tuple[int, ...] = (),
    *,
    low: float | Array = 0.0,
    high: float | Array = 1.0,
) -> Array:
    """Draw numbers [*shape] from U(low, high), disjoint between `train` and `test`.

    The range has 2^21 cells.  `test` draws centres of odd cells, every other split centres of even cells.
    """
    cell = 2 * jax.random.randint(split_key(key, split), shape, 0, CELLS) + (split == "test")
    return low + (high - low) * ((cell + 0.5) / (2 * CELLS))


def disc(place: Array, radius: float) -> Array:
    """Return a disc on the ground around a place [2] as the goals of a scene [1, 4]."""
    return jnp.concatenate([place, jnp.array([0.0, radius])])[None]


def sector_goal(key: Key, split: Split, radius: float | Array, share: float = 0.5) -> Array:
    """Draw a goal [2] on a sector of the circle around the origin.

    The angle is U(0, 2 pi share).  The hidden split has the rest of the circle.
    """
    hidden = split == "hidden"
    angle = uniform(key, split, high=2 * jnp.pi * (1.0 - share if hidden else share))
    side = -1.0 if hidden else 1.0
    return radius * jnp.stack([jnp.cos(angle), side * jnp.sin(angle)])
