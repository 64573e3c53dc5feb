"""Adaptation to one held-out task: batches of episodes, and an update after each but the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.networks import Network
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.meta_gradient import clipped_step, refit, tuning
from hmrl_cli.meta_gradient.inner_loop import Episodes, Fallback
from hmrl_cli.types import Adaptation, AdaptState

if TYPE_CHECKING:
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key


class Carried(NamedTuple):
    """What goes on from one batch to the next."""

    acting: AdaptState
    memory: refit.Memory | None  # of the episodes so far, for a refit
    optimizer: clipped_step.State | None  # of tuning


Update = Callable[[Carried, "Array", Episodes], Carried]  # after batch number `count` []


def adapt(
    key: Key,
    start: AdaptState,
    collect: Callable[[Key, AdaptState, Fallback | None], Episodes],
    inner_update: Callable[[AdaptState, Array, Episodes], AdaptState],
    policy: Network,
    budget: Evaluation,
) -> tuple[AdaptState, Adaptation]:
    """Run the budget: updates by its rule, and after `tune_after` of them by tuning the policy.

    Only episodes that an update by the rule follows have a fallback.

    Args:
        key: of this task.
        start: what acts first.
        collect: a batch of the budget's episodes.
        inner_update: the trained one: state, number of the update, episodes -> state.
        policy: pi(a | o, z).
        budget: updates, episodes, and how they are used.

    Returns:
        what acted last, and how the policy's own episodes of each batch went, leaves [adapt_steps + 1].
    """
    by_rule = _updates_by_rule(budget)

    def run(acting: AdaptState, count: Array) -> Episodes:
        fallback = None
        if budget.fallback:
            share = jnp.where(count < by_rule, budget.fallback, 0.0)
            fallback = Fallback(share, jnp.float32(budget.late_fallback))
        return collect(jax.random.fold_in(key, count), acting, fallback)

    updates = _updates(key, start, inner_update, policy, budget)

    def one_batch(now: Carried, count: Array) -> tuple[Carried, Adaptation]:
        episodes = run(now.acting, count)
        due = (count >= by_rule).astype(int) + (count >= budget.adapt_steps)
        return jax.lax.switch(due, updates, now, count, episodes), _outcome(episodes)

    memory = None
    if budget.rule == "refit" and by_rule:
        memory = refit.empty(jax.eval_shape(run, start, jnp.int32(0)), by_rule)
    optimizer = tuning.init(start, budget.tuning) if by_rule < budget.adapt_steps else None
    first = Carried(start, memory, optimizer)
    last, records = jax.lax.scan(one_batch, first, jnp.arange(budget.adapt_steps + 1))
    return last.acting, records


def _outcome(episodes: Episodes) -> Adaptation:
    """How the policy's own episodes went, or all where it had none: means []."""
    own = jnp.where(episodes.own.any(), episodes.own, 1.0)
    each = (episodes.returned, episodes.success, episodes.reached)
    return Adaptation(*(masked_mean(x, own) for x in each))


def _updates_by_rule(budget: Evaluation) -> int:
    return budget.adapt_steps if budget.tune_after is None else min(budget.tune_after, budget.adapt_steps)


def _updates(
    key: Key,
    start: AdaptState,
    inner_update: Callable[[AdaptState, Array, Episodes], AdaptState],
    policy: Network,
    budget: Evaluation,
) -> tuple[Update, Update, Update]:
    """The updates by the rule, by tuning, and none."""

    def trained(now: Carried, count: Array, episodes: Episodes) -> Carried:
        return now._replace(acting=inner_update(now.acting, count, episodes))

    def refitted(now: Carried, count: Array, episodes: Episodes) -> Carried:
        assert now.memory is not None
        memory = refit.remember(now.memory, episodes, count)
        refit_key = jax.random.fold_in(key, budget.adapt_steps + 1 + count)
        acting = refit.refit(refit_key, start, memory, policy, budget)
        return now._replace(acting=acting, memory=memory)

    def tuned(now: Carried, _: Array, episodes: Episodes) -> Carried:
        assert now.optimizer is not None
        acting, optimizer = tuning.step(now.acting, now.optimizer, episodes, policy, budget.tuning)
        return now._replace(acting=acting, optimizer=optimizer)

    def stays(now: Carried, _: Array, __: Episodes) -> Carried:
        return now

    by_rule = _updates_by_rule(budget)
    rule = refitted if budget.rule == "refit" else trained
    return rule if by_rule else stays, tuned if by_rule < budget.adapt_steps else stays, stays
