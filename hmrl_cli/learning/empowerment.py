"""Empowerment: how much what one does decides about where one ends (Klyubin et al. 2005).

It is the capacity max over p(a) of I(A; S') of the channel p(s'|a) from actions, sequences of them, or
skills to the states they lead to.  `capacity` is exact where states can be counted; `lower_bound` is what a
discriminator proves of a set of skills, with any q(z|s') (Barber and Agakov 2003).  All values are in nats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array


class Capacity(NamedTuple):
    """The capacity of a channel, between two bounds that hold at every iteration."""

    value: Array  # []  I(A; S') under `source`, never above the capacity
    upper: Array  # []  never below it
    source: Array  # [A]  p(a)


def divergences(channel: Array, source: Array) -> Array:
    """KL(p(s'|a) || p(s')) of each input [A], for a channel [A, S] and a source p(a) [A].

    Their mean under the source is I(A; S').
    """
    reached = source @ channel
    # 0 log 0 = 0; a state that an input leads to is reached, unless the source never takes that input
    ratio = jnp.where(channel > 0, channel / jnp.maximum(reached, 1e-30), 1.0)
    return jnp.sum(channel * jnp.log(ratio), axis=-1)


def capacity(channel: Array, tolerance: float = 1e-5, max_iterations: int = 100_000) -> Capacity:
    """Capacity of a channel p(s'|a) [A, S] by Blahut and Arimoto's iteration (Blahut 1972).

    It ends when value and upper are less than `tolerance` nats apart, or after max_iterations.
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
    """n-step empowerment of every state [S]: capacity from open-loop action sequences to the state reached.

    Args:
        transitions: [A, S, S] p(s'|s, a), indexed a, s, s'.
        steps: n; all A^n sequences are enumerated.
    """
    sequences = jnp.asarray(transitions, jnp.float32)
    for _ in range(steps - 1):
        sequences = jnp.einsum("kst,atu->kasu", sequences, transitions).reshape(-1, *transitions.shape[1:])
    return jax.vmap(lambda channel: capacity(channel).value)(jnp.swapaxes(sequences, 0, 1))


def lower_bound(log_q: Array, log_p: Array | float, valid: Array) -> Array:
    """E[log q(z|s') - log p(z)] [], which no q brings above I(Z; S') (VIC: Gregor et al. 2016, 1611.07507).

    Args:
        log_q: [..., T] of the skills that led to the states of each episode, drawn from p(z).
        log_p: [..., T] of these skills, or of all alike.
        valid: [..., T] 1 where the state counts.  Every episode weighs the same: skills that last longer
            would else have a larger share of the states than of p(z), and there would be no bound.
    """
    steps = jnp.maximum(valid.sum(axis=-1), 1.0)
    return jnp.mean(jnp.sum((log_q - log_p) * valid, axis=-1) / steps)
