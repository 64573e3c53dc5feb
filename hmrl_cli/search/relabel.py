"""Relabelled experience: whatever was meant, a decision shows which skill leads to what it earned.

Hindsight (Andrychowicz et al. 2017, 1707.01495) in the space of skills: after each decision the mode of
q(z|s) names the skill that leads there.  So every decision of every episode is a trial of one skill, and a
reward that was met on the way to another place is as good as one that was aimed at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.returns import masked_mean

if TYPE_CHECKING:
    from hmrl_cli.types import Array


LEVEL = 0.25  # share of the searching decisions that met no reward, at least


class Memory(NamedTuple):
    """Decisions of one task: M episodes of T decisions, those not yet made included."""

    skill: Array  # [M, T, size]  that leads to where the decision led
    reward: Array  # [M, T]
    valid: Array  # [M, T]  1 where the decision was made and ran to its end
    searched: Array  # [M]  1 where the episode did not go for a reward already found


def empty(batches: int, episodes: int, horizon: int, size: int) -> Memory:
    """Room for so many batches."""
    many = (batches * episodes, horizon)
    return Memory(jnp.zeros((*many, size)), jnp.zeros(many), jnp.zeros(many), jnp.zeros(many[0]))


def remember(memory: Memory, new: Memory, count: Array) -> Memory:
    """With batch number `count` []."""

    def put(old: Array, new: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(old, new, count * new.shape[0], axis=0)

    return jax.tree.map(put, memory, new)


def gain(memory: Memory) -> Array:
    """How much more the best decision earned than the lower quartile of episodes that searched: []."""
    apart = jnp.max(memory.reward, where=memory.valid > 0, initial=-jnp.inf) - _level(memory)
    return jnp.where(jnp.isfinite(apart), apart, 0.0)


def target(memory: Memory, selectivity: float, imprecision: float) -> tuple[Array, Array]:
    """Mean and standard deviation [size] of the skills that earned most, the latter at least `imprecision`.

    Decisions weigh w ~ exp(s (r - max r) / (max r - mean r)), s the selectivity.  Without decisions the mean
    is 0.
    """
    mean = masked_mean(memory.reward, memory.valid)
    reward = jnp.where(memory.valid > 0, memory.reward, -jnp.inf)
    best = jnp.where(memory.valid.any(), reward.max(), 0.0)
    # what float32 sums leave of equal rewards is no difference
    apart = jnp.maximum(best - mean, 1e-4 * jnp.abs(best) + 1e-8)
    weight = memory.valid * jnp.exp(jnp.maximum(selectivity * (reward - best) / apart, -50.0))
    weight = weight / jnp.maximum(weight.sum(), 1e-30)
    center = jnp.einsum("mt,mts->s", weight, memory.skill)
    variance = jnp.einsum("mt,mts->s", weight, (memory.skill - center) ** 2)
    return center, jnp.sqrt(variance + imprecision**2)


def extent(memory: Memory, center: Array, least_gain: Array) -> Array:
    """How far from the center [size] decisions still earned what counts as found: []."""
    stands_out = (memory.valid > 0) & (memory.reward - _level(memory) > least_gain)
    distance = jnp.linalg.norm(memory.skill - center, axis=-1)
    return jnp.max(distance, where=stands_out, initial=0.0)


def _level(memory: Memory) -> Array:
    """Lower quartile of the rewards of decisions in episodes that searched: [].

    A search may succeed so often that the median decision has met the reward.
    """
    of_search = (memory.valid > 0) & (memory.searched[:, None] > 0)
    return jnp.nanquantile(jnp.where(of_search, memory.reward, jnp.nan), LEVEL)
