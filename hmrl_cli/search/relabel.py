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


BASE_QUANTILE = 0.25  # share of the searching decisions that met no reward, at least


class DecisionBuffer(NamedTuple):
    """Decisions of one task: M episodes of T decisions, those not yet made included."""

    skill: Array  # [M, T, size]  that leads to where the decision led
    reward: Array  # [M, T]
    valid: Array  # [M, T]  1 where the decision was made and ran to its end
    searched: Array  # [M]  1 where the episode did not go for a reward already found


def empty_buffer(batches: int, episodes: int, horizon: int, size: int) -> DecisionBuffer:
    """Room for so many batches."""
    shape = (batches * episodes, horizon)
    return DecisionBuffer(jnp.zeros((*shape, size)), jnp.zeros(shape), jnp.zeros(shape), jnp.zeros(shape[0]))


def add(buffer: DecisionBuffer, new: DecisionBuffer, count: Array) -> DecisionBuffer:
    """With batch number `count` []."""

    def put(old: Array, new: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(old, new, count * new.shape[0], axis=0)

    return jax.tree.map(put, buffer, new)


def reward_gain(buffer: DecisionBuffer) -> Array:
    """How much more the best decision earned than the lower quartile of episodes that searched: []."""
    gap = jnp.max(buffer.reward, where=buffer.valid > 0, initial=-jnp.inf) - _base_reward(buffer)
    return jnp.where(jnp.isfinite(gap), gap, 0.0)


def target(buffer: DecisionBuffer, selectivity: float, imprecision: float) -> tuple[Array, Array]:
    """Mean and standard deviation [size] of the skills that earned most, the latter at least `imprecision`.

    Decisions weigh w ~ exp(s (r - max r) / (max r - mean r)), s the selectivity.  Without decisions the mean
    is 0.
    """
    mean = masked_mean(buffer.reward, buffer.valid)
    reward = jnp.where(buffer.valid > 0, buffer.reward, -jnp.inf)
    best = jnp.where(buffer.valid.any(), reward.max(), 0.0)
    # what float32 sums leave of equal rewards is no difference
    gap = jnp.maximum(best - mean, 1e-4 * jnp.abs(best) + 1e-8)
    weight = buffer.valid * jnp.exp(jnp.maximum(selectivity * (reward - best) / gap, -50.0))
    weight = weight / jnp.maximum(weight.sum(), 1e-30)
    center = jnp.einsum("mt,mts->s", weight, buffer.skill)
    variance = jnp.einsum("mt,mts->s", weight, (buffer.skill - center) ** 2)
    return center, jnp.sqrt(variance + imprecision**2)


def extent(buffer: DecisionBuffer, center: Array, least_gain: Array) -> Array:
    """How far from the center [size] decisions still earned what counts as found: []."""
    stands_out = (buffer.valid > 0) & (buffer.reward - _base_reward(buffer) > least_gain)
    distance = jnp.linalg.norm(buffer.skill - center, axis=-1)
    return jnp.max(distance, where=stands_out, initial=0.0)


def _base_reward(buffer: DecisionBuffer) -> Array:
    """Lower quartile of the rewards of decisions in episodes that searched: [].

    A search may succeed so often that the median decision has met the reward.
    """
    searching = (buffer.valid > 0) & (buffer.searched[:, None] > 0)
    return jnp.nanquantile(jnp.where(searching, buffer.reward, jnp.nan), BASE_QUANTILE)
