"""Adaptation to one test task: batches of episodes, with an update after each batch but the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.environment.frames import episodes_of
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.networks import Network
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.meta_gradient import clipped_step, refit, tuning
from hmrl_cli.meta_gradient.inner_loop import Episodes, Fallback
from hmrl_cli.types import Adaptation, AdaptState

if TYPE_CHECKING:
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key


class Carry(NamedTuple):
    """Carry of the scan over batches."""

    state: AdaptState
    buffer: refit.EpisodeBuffer | None  # episodes so far; None without a refit
    optimizer: clipped_step.State | None  # None without tuning


Update = Callable[[Carry, "Array", Episodes], Carry]  # after batch number `count` []


def adapt(
    key: Key,
    start: AdaptState,
    collect: Callable[[Key, AdaptState, Fallback | None], Episodes],
    inner_update: Callable[[AdaptState, Array, Episodes], AdaptState],
    policy: Network,
    budget: Evaluation,
) -> tuple[AdaptState, Adaptation]:
    """Adapt to one task: `tune_after` updates by the budget's rule, then tuning of the policy.

    The fallback applies only to batches that an update by the rule follows.

    Args:
        key: key of this task.
        start: the state before any update.
        collect: key, state, fallback -> one batch of episodes.
        inner_update: the update of meta-training: state, number of the update, episodes -> state.
        policy: pi(a | o, z).
        budget: number of updates and episodes, and settings of the updates.

    Returns:
        the last state, and means over the episodes of each batch, leaves [adapt_steps + 1].  A mean counts
        only episodes in which the policy chose every action.
    """

    def run(state: AdaptState, count: Array) -> Episodes:
        return collect(jax.random.fold_in(key, count), state, fallback_of(count, budget))

    def one_batch(now: Carry, count: Array) -> tuple[Carry, Adaptation]:
        episodes = run(now.state, count)
        new = updated(key, now, count, episodes, start, inner_update, policy, budget)
        return new, _batch_means(episodes)

    first = begin(start, lambda: run(start, jnp.int32(0)), budget)
    last, records = jax.lax.scan(one_batch, first, jnp.arange(budget.adapt_steps + 1))
    return last.state, records


def begin(start: AdaptState, run: Callable[[], Episodes], budget: Evaluation) -> Carry:
    """The carry before any episode; `run` gives a batch, of which only the shapes are used."""
    rule_updates, buffer = _num_rule_updates(budget), None
    if budget.rule == "refit" and rule_updates:
        buffer = refit.empty_buffer(jax.eval_shape(run), rule_updates)
    optimizer = tuning.init(start, budget.tuning) if rule_updates < budget.adapt_steps else None
    return Carry(start, buffer, optimizer)


def fallback_of(count: Array, budget: Evaluation) -> Fallback | None:
    """The fallback of batch number `count` []; None if no batch has one."""
    if isinstance(budget.fallback, float) and budget.fallback == 0:  # else it may be traced
        return None
    share = jnp.where(count < _num_rule_updates(budget), budget.fallback, 0.0)
    return Fallback(share, jnp.float32(budget.late_fallback))


def updated(
    key: Key,
    now: Carry,
    count: Array,
    episodes: Episodes,
    start: AdaptState,
    inner_update: Callable[[AdaptState, Array, Episodes], AdaptState],
    policy: Network,
    budget: Evaluation,
) -> Carry:
    """The carry after the episodes of batch number `count` [].  See `adapt` for the other arguments."""
    updates = _updates(key, start, inner_update, policy, budget)
    which = (count >= _num_rule_updates(budget)).astype(int) + (count >= budget.adapt_steps)
    return jax.lax.switch(which, updates, now, count, episodes)


def _batch_means(episodes: Episodes) -> Adaptation:
    """Means [] over episodes in which the policy chose every action, or over all if there are none."""
    counted = jnp.where(episodes.on_policy.any(), episodes.on_policy, 1.0)
    assert episodes.success is not None and episodes.reached is not None
    each = (episodes.returned, episodes.success, episodes.reached)
    returned, success, reached = (masked_mean(x, counted) for x in each)
    return Adaptation(returned, success, reached, episodes_of(episodes.frames, counted, episodes.reached))


def _num_rule_updates(budget: Evaluation) -> int:
    return budget.adapt_steps if budget.tune_after is None else min(budget.tune_after, budget.adapt_steps)


def _updates(
    key: Key,
    start: AdaptState,
    inner_update: Callable[[AdaptState, Array, Episodes], AdaptState],
    policy: Network,
    budget: Evaluation,
) -> tuple[Update, Update, Update]:
    """Three functions: an update by the rule, an update by tuning, and the identity."""

    def trained(now: Carry, count: Array, episodes: Episodes) -> Carry:
        return now._replace(state=inner_update(now.state, count, episodes))

    def refitted(now: Carry, count: Array, episodes: Episodes) -> Carry:
        assert now.buffer is not None
        buffer = refit.add(now.buffer, episodes, count)
        refit_key = jax.random.fold_in(key, budget.adapt_steps + 1 + count)
        state = refit.refit(refit_key, start, buffer, policy, budget)
        return now._replace(state=state, buffer=buffer)

    def tuned(now: Carry, _: Array, episodes: Episodes) -> Carry:
        assert now.optimizer is not None
        state, optimizer = tuning.step(now.state, now.optimizer, episodes, policy, budget.tuning)
        return now._replace(state=state, optimizer=optimizer)

    def unchanged(now: Carry, _: Array, __: Episodes) -> Carry:
        return now

    rule_updates = _num_rule_updates(budget)
    rule = refitted if budget.rule == "refit" else trained
    return (
        rule if rule_updates else unchanged,
        tuned if rule_updates < budget.adapt_steps else unchanged,
        unchanged,
    )
