"""Empowerment: how much an agent's choice decides which state it reaches (Klyubin et al. 2005).

Empowerment is a channel capacity: the maximum of I(A; S') over p(a).  The channel p(s'|a) leads from inputs
to the states they reach.  An input is an action, a sequence of actions or a skill.  `capacity` is exact for a
finite number of states.  `lower_bound` needs only a discriminator q(z|s') (Barber and Agakov 2003).  All
values are in nats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array


class Capacity(NamedTuple):
    """A lower and an upper bound of the capacity, which hold after every iteration."""

    value: Array  # []  I(A; S') under `source`: the lower bound
    upper: Array  # []  the upper bound
    source: Array  # [A]  p(a)


def divergences(channel: Array, source: Array) -> Array:
    """KL(p(s'|a) || p(s')) of each input [A], for a channel [A, S] and a source p(a) [A].

    The mean of these divergences under the source is I(A; S').
    """
    reached = source @ channel
    # 0 log 0 = 0; `reached` is 0 for a state only if the source never takes an input that leads there
    ratio = jnp.where(channel > 0, channel / jnp.maximum(reached, 1e-30), 1.0)
    return jnp.sum(channel * jnp.log(ratio), axis=-1)


def capacity(channel: Array, tolerance: float = 1e-5, max_iterations: int = 100_000) -> Capacity:
    """Capacity of a channel p(s'|a) [A, S] by the Blahut-Arimoto iteration (Blahut 1972).

    The iteration ends when the two bounds differ by at most `tolerance` nats, or after `max_iterations`.
    """
    channel = jnp.asarray(channel, jnp.float32)

    def bounds(source: Array) -> Capacity:
        gain = divergences(channel, source)
        return Capacity(source @ gain, gain.max(), source)

    def unfinished(carry: tuple[Array, Capacity]) -> Array:
        count, found = carry
        return (found.upper - found.value > tolerance) & (count < max_iterations)

    def improve(carry: tuple[Array, Capacity]) -> tuple[Array, Capacity]:
        count, found = carry
        log_source = jnp.log(jnp.maximum(found.source, 1e-30)) + divergences(channel, found.source)
        return count + 1, bounds(jax.nn.softmax(log_source))

    even = jnp.full(channel.shape[0], 1.0 / channel.shape[0])
    return jax.lax.while_loop(unfinished, improve, (jnp.int32(0), bounds(even)))[1]


def of_states(transitions: Array, steps: int) -> Array:
    """n-step empowerment of every state [S], in nats.

    The inputs of the channel are open-loop sequences of n actions, its outputs the states after them.

    Args:
        transitions: p(s'|s, a) [A, S, S], indexed a, s, s'.
        steps: n; the function enumerates all A^n sequences.
    """
    sequences = jnp.asarray(transitions, jnp.float32)
    for _ in range(steps - 1):
        sequences = jnp.einsum("kst,atu->kasu", sequences, transitions).reshape(-1, *transitions.shape[1:])
    return jax.vmap(lambda channel: capacity(channel).value)(jnp.swapaxes(sequences, 0, 1))


def lower_bound(log_q: Array, log_p: Array | float, valid: Array) -> Array:
    """E[log q(z|s') - log p(z)] []: a lower bound of I(Z; S') for any q (Gregor et al. 2016, 1611.07507).

    Every episode has the same weight.  Otherwise skills with longer episodes would have a larger share of the
    states than of p(z), and the result would be no bound.

    Args:
        log_q: log q(z|s') [..., T] of the episode's skill z ~ p(z), at each state of the episode.
        log_p: log p(z) [..., T] of the same skills, or one number for all.
        valid: [..., T] 1 where the state counts.
    """
    steps = jnp.maximum(valid.sum(axis=-1), 1.0)
    return jnp.mean(jnp.sum((log_q - log_p) * valid, axis=-1) / steps)
