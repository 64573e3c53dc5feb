"""Adaptation to one task by a search for its reward among skills, and exploitation of what was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.environment.frames import episodes_of, frames_of
from hmrl_cli.environment.rollout import RepeatedAction, unroll
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import replay
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.search import belief as beliefs
from hmrl_cli.search import relabel
from hmrl_cli.search.belief import Belief
from hmrl_cli.search.relabel import DecisionBuffer
from hmrl_cli.types import Adaptation, EnvState, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Task


class Plan(NamedTuple):
    """What the search knows of a task."""

    belief: Belief
    target: Array  # [size]  weighted mean of the skills with the highest rewards
    target_std: Array  # [size]
    found: Array  # [] bool  whether a reward stood out in any batch so far
    start: Array  # [size]  place where episodes start


Behaviour = Callable[["Key"], Callable[["Key", "Array"], tuple["Array", "Array"]]]


def adapt(
    key: Key,
    family: TaskFamily,
    task: Task,
    budget: Evaluation,
    belief: Belief,
    behaviour: Behaviour | None = None,
    least_gain: Array | float | None = None,
) -> tuple[Plan, DecisionBuffer, Adaptation]:
    """Search in batches of episodes; after a find, a share of each batch exploits it.

    An episode repeats one skill, or follows `behaviour`.  The first exploiting episode of a batch repeats the
    best guess.  The others repeat draws around it.  After a find, all episodes of the last batch repeat the
    best guess.  Searching episodes repeat the skill of a place that the belief chooses.

    Args:
        key: key of this task.
        family: a lifted family with the feature "skill"; its actions are skills.
        task: [task_size], the task to adapt to.
        budget: number of batches and episodes, and settings.
        belief: distribution of the reward's place before any episode.
        behaviour: key -> policy of a searching episode.  Then only the share `budget.fallback` of searching
            episodes repeats a place, and in the last batch none does.  None: all repeat a place.
        least_gain: gain of a decision's reward that counts as a find; None: the budget's, per decision.

    Returns:
        the last plan, all decisions, and means over episodes of each batch, leaves [adapt_steps + 1].  Once a
        reward was found, a mean counts only episodes that repeat the best guess.
    """
    episodes, size = budget.episodes, family.action.size
    if least_gain is None:
        least_gain = (budget.least_gain or 0.0) / family.horizon
    locate = family.features["skill"]

    def episode(key: Key, repeated: RepeatedAction) -> tuple[Transition, EnvState]:
        draw_key, key = jax.random.split(key)
        act = behaviour(draw_key) if behaviour else lambda key, obs: (jnp.zeros(size), jnp.float32(0))
        return unroll(key, act, family, task, repeated)

    def one_batch(
        now: tuple[Plan, DecisionBuffer], count: Array
    ) -> tuple[tuple[Plan, DecisionBuffer], Adaptation]:
        plan, buffer = now
        repeat_key, episode_key = jax.random.split(jax.random.fold_in(key, count))
        is_last = count == budget.adapt_steps
        exploits = _is_exploiting(plan, is_last, budget)
        share = jnp.where(is_last, 0.0, budget.fallback) if behaviour else jnp.float32(1)
        draw_key, share_key, place_key = jax.random.split(repeat_key, 3)
        action = _actions_to_repeat(draw_key, place_key, plan, exploits, is_last, budget)
        repeats = (exploits > 0) | jax.random.bernoulli(share_key, share, (episodes,))
        repeated = RepeatedAction(jnp.where(repeats, 0, family.horizon), action)
        steps, final = jax.vmap(episode)(jax.random.split(episode_key, episodes), repeated)
        # a decision that ends early has less action cost; it must not count as a find
        complete = steps.valid * steps.discount
        new = DecisionBuffer(locate(steps.next_obs), steps.reward, complete, 1.0 - exploits)
        buffer = replay.put_batch(buffer, new, count)
        counted = jnp.where(plan.found, _repeats_best(episodes, is_last), 1.0)
        record = (steps.reward.sum(axis=1), jnp.float32(final.success), jnp.float32(final.reached))
        recorded = episodes_of(frames_of(final), jnp.broadcast_to(counted, (episodes,)))
        returned, success, reached = (masked_mean(x, counted) for x in record)
        means = Adaptation(returned, success, reached, recorded)
        return (_updated(plan, buffer, new, repeated, least_gain, budget), buffer), means

    start = locate(family.reset(jax.random.fold_in(key, budget.adapt_steps + 1), task).obs)
    first = Plan(belief, jnp.zeros(size), jnp.ones(size), jnp.zeros((), bool), start)
    buffer = relabel.empty_buffer(budget.adapt_steps + 1, episodes, family.horizon, size)
    (plan, buffer), records = jax.lax.scan(one_batch, (first, buffer), jnp.arange(budget.adapt_steps + 1))
    return plan, buffer, records


def _is_exploiting(plan: Plan, is_last: Array, budget: Evaluation) -> Array:
    """1 for the episodes [N] of a batch that exploit a find, at least one; 0 for searching episodes."""
    in_share = jnp.arange(budget.episodes) < max(1, round(budget.relabel.exploit * budget.episodes))
    return (plan.found & (in_share | is_last)).astype(jnp.float32)


def _repeats_best(episodes: int, is_last: Array) -> Array:
    """1 for the episodes [N] of a batch that repeat the best guess once a reward was found."""
    return ((jnp.arange(episodes) == 0) | is_last).astype(jnp.float32)


def _actions_to_repeat(
    draw_key: Key, place_key: Key, plan: Plan, exploits: Array, is_last: Array, budget: Evaluation
) -> Array:
    """Skills [N, size] for the episodes of a batch: near the best guess to exploit, else places to search."""
    draws = jax.random.normal(draw_key, (budget.episodes, len(plan.target)))
    draws *= 1.0 - _repeats_best(budget.episodes, is_last)[:, None]
    near_best = plan.target + plan.target_std * draws
    places = beliefs.next_places(place_key, plan.belief, plan.start, budget.episodes, budget.relabel)
    return jnp.clip(jnp.where(exploits[:, None] > 0, near_best, places), -1.0, 1.0)


def _updated(
    plan: Plan,
    buffer: DecisionBuffer,
    new: DecisionBuffer,
    repeated: RepeatedAction,
    least_gain: Array | float,
    budget: Evaluation,
) -> Plan:
    """The plan after a batch of new decisions.

    `found` never becomes false again.  If most searches succeed, no reward stands out any more.
    """
    center, std = relabel.target(buffer, budget.selectivity, budget.relabel.imprecision)
    aimed = (repeated.start == 0).astype(jnp.float32)
    belief = beliefs.after_search(plan.belief, repeated.action, aimed, new.skill, new.valid)
    found = plan.found | (relabel.reward_gain(buffer) > least_gain)
    return Plan(belief, center, std, found, plan.start)
