"""Drawing goals: the streams of the three splits, and half circles."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING

from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import Split

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key


def split_key(key: Key, split: Split) -> Key:
    """Return the key of one split, so that one seed never draws the same task in two of them."""
    return jax.random.fold_in(key, typing.get_args(Split).index(split))


def half_circle(key: Key, split: Split, radius: float) -> Array:
    """Draw a goal [2] at the angle U(0, pi), or U(pi, 2 pi) for the hidden split."""
    angle = jax.random.uniform(split_key(key, split), maxval=jnp.pi)
    side = -1.0 if split == "hidden" else 1.0
    return radius * jnp.stack([jnp.cos(angle), side * jnp.sin(angle)])
