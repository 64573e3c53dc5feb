"""Adaptation to one task by searching for its reward, and going to where it was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.environment.rollout import Held, unroll
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.search import belief as beliefs
from hmrl_cli.search import relabel
from hmrl_cli.search.belief import Belief
from hmrl_cli.search.relabel import Memory
from hmrl_cli.types import Adaptation, EnvState, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.schema import Evaluation, Relabel
    from hmrl_cli.types import Array, Key, Task


class Plan(NamedTuple):
    """What is known of a task."""

    belief: Belief
    target: Array  # [size]  mean of the skills that earned most
    target_std: Array  # [size]
    found: Array  # [] bool  a reward stood out, after this batch or one before


Behaviour = Callable[["Key"], Callable[["Key", "Array"], tuple["Array", "Array"]]]


def adapt(
    key: Key,
    family: TaskFamily,
    task: Task,
    budget: Evaluation,
    belief: Belief,
    behaviour: Behaviour | None = None,
    least_gain: Array | float | None = None,
) -> tuple[Plan, Memory, Adaptation]:
    """Search in batches of episodes, of which a share goes for what was found.

    Of that share, the first episode holds the best guess, and the others hold draws around it.  Episodes of
    the last batch all hold the best guess.  A searching episode holds a place that the belief chooses, or
    acts as `behaviour` says.

    Args:
        key: of this task.
        family: whose features hold "skill"; its decisions are skills.
        task: to adapt to.
        budget: batches, episodes, and settings.
        belief: before anything was seen.
        behaviour: of a policy, whose episodes search but for the share `budget.fallback`, and alone in the
            last batch; none: all hold.
        least_gain: of the reward of a decision, what counts as found; none: the budget's.

    Returns:
        what is known at the end, all decisions, and how the episodes of each batch went, leaves
        [adapt_steps + 1]: of those that hold the best guess, once something was found, else of all.
    """
    settings, episodes, size = budget.relabel, budget.episodes, family.action.size
    if least_gain is None:
        least_gain = (budget.least_gain or 0.0) / family.horizon
    locate = family.features["skill"]

    def episode(key: Key, held: Held) -> tuple[Transition, EnvState]:
        draw_key, key = jax.random.split(key)
        act = behaviour(draw_key) if behaviour else lambda key, obs: (jnp.zeros(size), jnp.float32(0))
        return unroll(key, act, family, task, held)

    def one_batch(now: tuple[Plan, Memory], count: Array) -> tuple[tuple[Plan, Memory], Adaptation]:
        plan, memory = now
        hold_key, episode_key = jax.random.split(jax.random.fold_in(key, count))
        exploits, is_last = _exploits(plan, count, budget), count == budget.adapt_steps
        share = jnp.where(is_last, 0.0, budget.fallback) if behaviour else jnp.float32(1)
        held = _held(hold_key, plan, exploits, share, start, is_last, family, settings)
        steps, final = jax.vmap(episode)(jax.random.split(episode_key, episodes), held)
        # one that an early end cut short has cost less, which is no find
        whole = steps.valid * steps.discount
        new = Memory(locate(steps.next_obs), steps.reward, whole, 1.0 - exploits)
        memory = relabel.remember(memory, new, count)
        counted = jnp.where(plan.found, _is_guess(episodes, is_last), 1.0)
        record = (steps.reward.sum(axis=1), jnp.float32(final.success), jnp.float32(final.reached))
        outcome = Adaptation(*(masked_mean(x, counted) for x in record))
        return (_learned(plan, memory, new, held, least_gain, budget), memory), outcome

    start = locate(family.reset(jax.random.fold_in(key, budget.adapt_steps + 1), task).obs)
    nothing = Plan(belief, jnp.zeros(size), jnp.ones(size), jnp.zeros((), bool))
    memory = relabel.empty(budget.adapt_steps + 1, episodes, family.horizon, size)
    (plan, memory), records = jax.lax.scan(one_batch, (nothing, memory), jnp.arange(budget.adapt_steps + 1))
    return plan, memory, records


def _exploits(plan: Plan, count: Array, budget: Evaluation) -> Array:
    """1 for the episodes [N] of a batch that go for what was found; at least one does."""
    some = jnp.arange(budget.episodes) < max(1, round(budget.relabel.exploit * budget.episodes))
    return (plan.found & (some | (count == budget.adapt_steps))).astype(jnp.float32)


def _is_guess(episodes: int, is_last: Array) -> Array:
    """1 for the episodes [N] of a batch that hold the best guess once something was found."""
    return ((jnp.arange(episodes) == 0) | is_last).astype(jnp.float32)


def _held(
    key: Key,
    plan: Plan,
    exploits: Array,
    share: Array,
    start: Array,
    is_last: Array,
    family: TaskFamily,
    settings: Relabel,
) -> Held:
    """What each episode holds [N], from its start or never."""
    draw_key, whether_key, place_key = jax.random.split(key, 3)
    number = len(exploits)
    draws = jax.random.normal(draw_key, (number, len(start))) * (1.0 - _is_guess(number, is_last))[:, None]
    aims = plan.target + plan.target_std * draws
    places = beliefs.next_places(place_key, plan.belief, start, number, settings)
    holds = (exploits > 0) | jax.random.bernoulli(whether_key, share, (number,))
    action = jnp.clip(jnp.where(exploits[:, None] > 0, aims, places), -1.0, 1.0)
    return Held(jnp.where(holds, 0, family.horizon), action)


def _learned(
    plan: Plan, memory: Memory, new: Memory, held: Held, least_gain: Array | float, budget: Evaluation
) -> Plan:
    """With what a batch has shown.

    What was found stays found: exploitation would stop where so many searches succeed that none stands out.
    """
    center, std = relabel.target(memory, budget.selectivity, budget.relabel.imprecision)
    aimed = (held.start == 0).astype(jnp.float32)
    belief = beliefs.ruled_out(plan.belief, held.action, aimed, new.skill, new.valid)
    return Plan(belief, center, std, plan.found | (relabel.gain(memory) > least_gain))
