"""Turning back within an episode: a searching episode that meets a reward and loses it returns to it.

Without this, an episode goes on to where it aimed, and only later episodes use what it met.  Go-Explore also
separates the return to a find from exploring on (Ecoffet et al. 2021, 2004.12919).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jnp

if TYPE_CHECKING:
    from hmrl_cli.environment.rollout import RepeatedAction
    from hmrl_cli.types import Array


class Watch(NamedTuple):
    """What an episode has met so far."""

    least_gain: Array  # []  rise of the reward from one decision to the next that stands out; inf: none does
    reward: Array  # []  of the last decision; NaN before any
    before: Array  # []  of the decision before it
    base: Array  # []  reward before the rise
    place: Array  # [size]  before the last decision
    weight: Array  # []  sum of the gains above `base`; 0: nothing was met
    weighted: Array  # [size]  sum of the middles of the decisions that had them, times the gains
    back: Array  # [] bool  whether the episode has turned back


def begin(least_gain: Array, size: int) -> Watch:
    """The watch of an episode before its first decision; a `least_gain` of 0 or less turns nothing back."""
    nothing, zero = jnp.float32(jnp.nan), jnp.float32(0)
    least_gain = jnp.where(least_gain > 0, least_gain, jnp.inf)
    return Watch(
        least_gain, nothing, nothing, nothing, jnp.zeros(size), zero, jnp.zeros(size), jnp.zeros((), bool)
    )


def sense(watch: Watch, reward: Array, done: Array) -> Watch:
    """The watch after a decision with this reward [].

    A decision that ended the episode early [] bool was cut short: its reward tells nothing.
    """
    return watch._replace(before=watch.reward, reward=jnp.where(done, jnp.nan, reward))


def notice(watch: Watch, place: Array, moves_on: Array) -> Watch:
    """The watch at a place [size], where the last decision led.

    A reward is met where it rises by `least_gain` from one decision to the next, as sparse rewards do.  It
    was somewhere on the way of the decision.  Dense rewards rise slowly, and turn nothing back.  The episode
    turns back when it has lost the reward, or when it would move on to another aim [] bool.
    """
    is_met = watch.weight > 0
    rises = ~is_met & (watch.reward - watch.before > watch.least_gain)  # a comparison with NaN is false
    base = jnp.where(rises, watch.before, watch.base)
    has = (is_met | rises) & (watch.reward - base > watch.least_gain)
    gain = jnp.where(has, watch.reward - base, 0.0)
    return watch._replace(
        base=base,
        place=place,
        weight=watch.weight + gain,
        weighted=watch.weighted + gain * (place + watch.place) / 2,
        back=watch.back | (is_met & ~has) | ((is_met | rises) & moves_on),
    )


def place_of(watch: Watch) -> Array:
    """Mean place [size] of the rewards met, weighted by their gains."""
    return watch.weighted / jnp.maximum(watch.weight, 1e-9)


def moves_on(repeated: RepeatedAction, t: Array) -> Array:
    """Whether an episode aims elsewhere at step t [] than one step before: [] bool."""
    return (repeated.at(t) != repeated.at(jnp.maximum(t - 1, 0))).any()
