"""Hindsight relabelling in the space of skills (Andrychowicz et al. 2017, 1707.01495).

After each decision the mode of q(z|s) is the skill that leads to the state reached.  The decision counts as a
trial of that skill, whatever skill the episode chose.  So a reward on the way to another place also counts.

Skills need not end at their places, so what to repeat after a find is learned from what was repeated
(`best_guess`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.returns import selective_weights

if TYPE_CHECKING:
    from hmrl_cli.types import Array


END = 0.25  # share of an episode, its end, in which a repeated skill has to keep the reward
# Values before any trial.  One success without a failure has 0.67, and one failure leaves a third.
UNTRIED = 0.6  # of a skill by relabelling
CORRECTED = 0.55  # of the same skill minus the bias of its neighbours
PRIOR_EPISODES = 0.5  # weight of these values, in episodes
NEIGHBOURHOOD = 0.1  # distance of skills up to which they share a bias
BASE_QUANTILE = 0.25  # quantile of searching decisions that serves as the reward without a find


class DecisionBuffer(NamedTuple):
    """Decisions of one task: M episodes of T decisions; rows of later batches are 0."""

    skill: Array  # [M, T, size]  the skill that leads to the state after the decision
    reward: Array  # [M, T]
    valid: Array  # [M, T]  1 where the decision was made and did not end early
    searched: Array  # [M, T]  1 where a decision searched, 0 where it went to a find
    aim: Array  # [M, size]  the skill that an episode repeated
    aimed: Array  # [M]  1 for episodes that repeated one skill from their start


def empty_buffer(batches: int, episodes: int, horizon: int, size: int) -> DecisionBuffer:
    """A buffer of zeros for `batches` batches of `episodes` episodes."""
    shape = (batches * episodes, horizon)
    zeros = jnp.zeros(shape)
    return DecisionBuffer(
        jnp.zeros((*shape, size)), zeros, zeros, zeros, jnp.zeros((shape[0], size)), jnp.zeros(shape[0])
    )


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


def best_guess(buffer: DecisionBuffer, center: Array, width: float, bound: Array | float = 1.0) -> Array:
    """The skill [size] whose repetition promises most.

    It is the center, the center minus the bias of skills near it, or a skill that was repeated before.  A
    bias is the mean difference between where episodes ended and what they aimed at, shrunk towards 0.  So
    the second guess aims beside the reward by as much as the first one missed it.  A skill's value is a
    kernel regression of the reward kept over the episodes that repeated skills.  Go-Explore returns to what
    worked in the same way (Ecoffet et al. 2021, 2004.12919).

    Args:
        buffer: all decisions.
        center: [size], the mean skill of decisions with the highest rewards; see `target`.
        width: standard deviation of the kernel.
        bound: [size], half the sides of the box of skills.  A guess lies in it, as all that is repeated does.
    """
    weight = buffer.aimed * buffer.valid[:, -1] * _kernel(buffer.aim - center, NEIGHBOURHOOD)
    bias = weight @ (buffer.skill[:, -1] - buffer.aim) / (weight.sum() + 1.0)
    guesses = jnp.clip(jnp.stack([center, center - bias]), -bound, bound)
    skills = jnp.concatenate([guesses, buffer.aim])  # [2 + M, size]
    prior = jnp.concatenate([jnp.array([UNTRIED, CORRECTED]), jnp.zeros(len(buffer.aim))])
    kernel = buffer.aimed * _kernel(skills[:, None] - buffer.aim, width)  # [2 + M, M]
    value = (kernel @ _kept(buffer) + PRIOR_EPISODES * prior) / (kernel.sum(axis=1) + PRIOR_EPISODES)
    is_candidate = jnp.concatenate([jnp.ones(2), buffer.aimed]) > 0
    return skills[jnp.argmax(jnp.where(is_candidate, value, -1.0))]


def extent(buffer: DecisionBuffer, center: Array, least_gain: Array) -> Array:
    """Largest distance [] from the center [size] to a decision `least_gain` above the base reward."""
    stands_out = (buffer.valid > 0) & (buffer.reward - _base_reward(buffer) > least_gain)
    distance = jnp.linalg.norm(buffer.skill - center, axis=-1)
    return jnp.max(distance, where=stands_out, initial=0.0)


def _base_reward(buffer: DecisionBuffer) -> Array:
    """Base reward []: the lower quartile of rewards of decisions in searching episodes.

    The median may already contain the reward, if searches succeed often.
    """
    searching = (buffer.valid > 0) & (buffer.searched > 0)
    return _quantile(buffer.reward, searching, BASE_QUANTILE)


def _quantile(x: Array, where: Array, share: float) -> Array:
    """The smallest number in x [...] that at least the given share of them does not exceed; NaN if empty.

    Only entries with `where` [...] count.  The search bisects the bits of the floats, as integers with the
    same order, in 32 steps.  That is several times as fast as a sort.
    """
    bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.int32)
    ordered = jnp.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    least = jnp.ceil(share * where.sum())

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low & high) + ((low ^ high) >> 1)  # without an overflow
        is_enough = jnp.sum(where & (ordered <= middle)) >= least
        return jnp.where(is_enough, low, middle + 1), jnp.where(is_enough, middle, high)

    ends = jnp.iinfo(jnp.int32)
    found, _ = jax.lax.fori_loop(0, 32, halve, (jnp.int32(ends.min), jnp.int32(ends.max)))
    value = jax.lax.bitcast_convert_type(jnp.where(found < 0, found ^ 0x7FFFFFFF, found), jnp.float32)
    return jnp.where(where.any(), value, jnp.nan)


def _kept(buffer: DecisionBuffer) -> Array:
    """Share [M] of the highest gain that each episode had at its end, from 0 to 1."""
    gain = jnp.where(buffer.valid > 0, buffer.reward - _base_reward(buffer), 0.0)
    last = max(1, round(END * gain.shape[1]))
    kept = gain[:, -last:].mean(axis=1) / jnp.maximum(reward_gain(buffer), 1e-9)
    return jnp.clip(jnp.nan_to_num(kept), 0.0, 1.0)


def _kernel(difference: Array, width: float) -> Array:
    """A Gaussian kernel [...] of differences [..., size]."""
    return jnp.exp(-0.5 * jnp.sum((difference / width) ** 2, axis=-1))
