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

CLEAR = 2.0  # how many times as large as all changes before it the rise of a reward must be
LASTING = 2  # decisions with the reward before an episode turns back; a reward that is paid once has fewer
NEVER = 2**31 - 1  # a step after all episodes


class Watch(NamedTuple):
    """What an episode has met so far."""

    least_gain: Array  # []  rise of the reward from one decision to the next that stands out; inf: none does
    reward: Array  # []  of the last decision; NaN before any, and after one that was cut short
    base: Array  # []  of the decision before it, or before the rise
    usual: Array  # []  largest change from one decision to the next before the rise
    place: Array  # [size]  where the next decision starts
    met: Array  # [] int32  number of decisions with the reward
    weight: Array  # []  sum of their gains above `base`
    weighted: Array  # [size]  sum of gain * middle of the way
    turned: Array  # [] int32  step at which the episode turned back, or `NEVER`


def begin(least_gain: Array, size: int) -> Watch:
    """The watch before the first decision of an episode; with `least_gain` <= 0 it never turns back."""
    nothing, zero, nowhere = jnp.float32(jnp.nan), jnp.float32(0), jnp.zeros(size)
    least_gain = jnp.where(least_gain > 0, least_gain, jnp.inf)
    return Watch(least_gain, nothing, nothing, zero, nowhere, jnp.int32(0), zero, nowhere, jnp.int32(NEVER))


def sense(watch: Watch, reward: Array, done: Array) -> Watch:
    """The watch after a decision with this reward [].

    A decision that ended the episode early [] bool was cut short: its reward tells nothing.
    """
    change, is_met = jnp.abs(watch.reward - watch.base), watch.met > 0
    return watch._replace(
        usual=jnp.where(is_met | jnp.isnan(change), watch.usual, jnp.maximum(watch.usual, change)),
        base=jnp.where(is_met, watch.base, watch.reward),
        reward=jnp.where(done, jnp.nan, reward),
    )


def notice(watch: Watch, place: Array, t: Array, moves_on: Array) -> Watch:
    """The watch at a place [size], where the decision before step t [] led.

    A reward is met if it rises by more than `least_gain` from one decision to the next.  The rise must also
    exceed `CLEAR` times the largest earlier change in the episode.  Sparse rewards rise like that; dense
    rewards change all the time.  A rise in the first decision goes unnoticed.  The reward was somewhere on
    the way of the decision.

    The episode turns back when it has lost a reward that lasted, or when it would move on to another aim []
    bool.  A reward that is paid once does not last.
    """
    gain = watch.reward - watch.base  # a comparison with NaN is false
    has = gain > jnp.maximum(watch.least_gain, CLEAR * watch.usual)
    met = watch.met + has
    turns = (met >= LASTING) & jnp.isfinite(gain) & (~has | moves_on) & ~has_turned(watch)
    return watch._replace(
        place=place,
        met=met,
        weight=watch.weight + jnp.where(has, gain, 0.0),
        weighted=watch.weighted + jnp.where(has, gain, 0.0) * (place + watch.place) / 2,
        turned=jnp.where(turns, t, watch.turned),
    )


def has_turned(watch: Watch) -> Array:
    """Whether the episode has turned back: [] bool."""
    return watch.turned < NEVER


def place_of(watch: Watch) -> Array:
    """Mean place [size] of the decisions with the reward, weighted by their gains."""
    return watch.weighted / jnp.maximum(watch.weight, 1e-9)


def moving_on(repeated: RepeatedAction, t: Array) -> Array:
    """Whether an episode aims elsewhere at step t [] than one step before: [] bool."""
    return (repeated.at(t) != repeated.at(jnp.maximum(t - 1, 0))).any()
