"""A bound of empowerment: how much an agent's choice decides which state it reaches (Klyubin et al. 2005)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrl_cli.lazy import jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array


def lower_bound(log_q: Array, log_p: Array | float, valid: Array) -> Array:
    """E[log q(z|s') - log p(z)] [], in nats: a lower bound of I(Z; S') for any q (Barber and Agakov 2003).

    Empowerment is the largest I(Z; S') over p(z).  Every episode has the same weight.  Otherwise skills with
    longer episodes would have a larger share of the states than of p(z), and the result would be no bound.

    Args:
        log_q: log q(z|s') [..., T] of the episode's skill z ~ p(z), at each state of the episode.
        log_p: log p(z) [..., T] of the same skills, or one number for all.
        valid: [..., T] 1 where the state counts.
    """
    steps = jnp.maximum(valid.sum(axis=-1), 1.0)
    return jnp.mean(jnp.sum((log_q - log_p) * valid, axis=-1) / steps)
