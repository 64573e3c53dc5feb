"""Hindsight relabelling in the space of skills (Andrychowicz et al. 2017, 1707.01495).

After each decision the mode of q(z|s) is the skill that leads to the state reached.  The decision counts as a
trial of that skill, whatever skill the episode chose.  So a reward on the way to another place also counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jnp
from hmrl_cli.learning.returns import selective_weights

if TYPE_CHECKING:
    from hmrl_cli.types import Array


BASE_QUANTILE = 0.25  # quantile of searching decisions that serves as the reward without a find


class DecisionBuffer(NamedTuple):
    """Decisions of one task: M episodes of T decisions; rows of later batches are 0."""

    skill: Array  # [M, T, size]  the skill that leads to the state after the decision
    reward: Array  # [M, T]
    valid: Array  # [M, T]  1 where the decision was made and did not end early
    searched: Array  # [M]  1 for searching episodes, 0 for those that exploit a find


def empty_buffer(batches: int, episodes: int, horizon: int, size: int) -> DecisionBuffer:
    """A buffer of zeros for `batches` batches of `episodes` episodes."""
    shape = (batches * episodes, horizon)
    return DecisionBuffer(jnp.zeros((*shape, size)), jnp.zeros(shape), jnp.zeros(shape), jnp.zeros(shape[0]))


def reward_gain(buffer: DecisionBuffer) -> Array:
    """The highest reward of a decision minus the base reward: []."""
    gap = jnp.max(buffer.reward, where=buffer.valid > 0, initial=-jnp.inf) - _base_reward(buffer)
    return jnp.where(jnp.isfinite(gap), gap, 0.0)


def target(buffer: DecisionBuffer, selectivity: float, imprecision: float) -> tuple[Array, Array]:
    """Weighted mean and standard deviation [size] of the skills of decisions.

    Decisions are weighted by their rewards (`selective_weights`).  Without decisions the mean is 0.

    Args:
        buffer: all decisions.
        selectivity: log of the weight ratio of the best to the mean reward.
        imprecision: least standard deviation, added in quadrature.
    """
    weight = selective_weights(buffer.reward, buffer.valid, selectivity)
    center = jnp.einsum("mt,mts->s", weight, buffer.skill)
    variance = jnp.einsum("mt,mts->s", weight, (buffer.skill - center) ** 2)
    return center, jnp.sqrt(variance + imprecision**2)


def extent(buffer: DecisionBuffer, center: Array, least_gain: Array) -> Array:
    """Largest distance [] from the center [size] of decisions `least_gain` above the base reward."""
    stands_out = (buffer.valid > 0) & (buffer.reward - _base_reward(buffer) > least_gain)
    distance = jnp.linalg.norm(buffer.skill - center, axis=-1)
    return jnp.max(distance, where=stands_out, initial=0.0)


def _base_reward(buffer: DecisionBuffer) -> Array:
    """Base reward []: the lower quartile of rewards of decisions in searching episodes.

    The median may already contain the reward, if searches succeed often.
    """
    searching = (buffer.valid > 0) & (buffer.searched[:, None] > 0)
    return jnp.nanquantile(jnp.where(searching, buffer.reward, jnp.nan), BASE_QUANTILE)
