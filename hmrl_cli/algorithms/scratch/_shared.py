"""What the learners from scratch share: training tasks, episodes, the bonus and the evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pydantic
from pydantic import Field

from hmrl_cli.environment.rollout import Held, episode_means, online_act, unroll
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.schema import AlgorithmConfig
from hmrl_cli.types import Adaptation, AdaptState, EnvState, Online, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Metrics, State, Task

    Act = Callable[[Key, Array], tuple[Array, Array]]
    PolicyOf = Callable[[Any, bool], Act]  # parameters, deterministic -> act
    Step = Callable[[Key, State], tuple[State, Metrics]]  # one update


class Config(AlgorithmConfig):
    """Settings of every learner from scratch."""

    command: ClassVar[str] = "meta-train"
    metric: ClassVar[str] = "return"
    takes_bonus: ClassVar[bool] = True
    num_tasks: int = Field(1, gt=0, le=100_000, description="training tasks, drawn once for each seed")
    episodes_per_update: int = Field(32, gt=0, le=100_000, description="parallel episodes per update")

    @pydantic.model_validator(mode="after")
    def _every_task_has_an_episode(self) -> Self:
        if self.num_tasks > self.episodes_per_update:
            raise ValueError(
                f"episodes_per_update: found {self.episodes_per_update}; "
                f"must be at least num_tasks, {self.num_tasks}, so that every task has an episode"
            )
        return self


def episodes(key: Key, act: Act, family: TaskFamily, tasks: Array, count: int) -> tuple[Transition, EnvState]:
    """Run `count` episodes, with the tasks in turn.

    Returns the steps, leaves [count, T, ...], and the last states [count].
    """
    rows = jnp.arange(count) % len(tasks)
    return jax.vmap(unroll, in_axes=(0, None, None, 0))(
        jax.random.split(key, count), act, family, tasks[rows]
    )


def weighted_bonus(family: TaskFamily, state: State, steps: Transition) -> tuple[Array, Metrics]:
    """Weight times bonus [...] of the steps, and the mean bonus as a metric.

    A family without bonus gives zeros and no metric.
    """
    if family.bonus is None:
        return jnp.zeros_like(steps.reward), {}
    bonus = family.bonus.reward(state, steps)
    return family.bonus.weight * bonus, {"bonus": masked_mean(bonus, steps.valid)}


def init_bonus(key: Key, family: TaskFamily) -> State:
    """State of the bonus; None for a family without bonus."""
    return None if family.bonus is None else family.bonus.init(key)


def learn_bonus(key: Key, family: TaskFamily, state: State, steps: Transition) -> tuple[State, Metrics]:
    """State of the bonus after new steps, and its metrics."""
    return (state, {}) if family.bonus is None else family.bonus.learn(key, state, steps)


def online(budget: Evaluation, policy_of: PolicyOf) -> Online:
    """The measurements of `without_adaptation`'s `adapt`, for episodes from outside the simulator.

    Raises:
        ValueError: the learner would go on with its training.
    """
    if budget.tune_after is not None and budget.tune_after < budget.adapt_steps:
        raise ValueError(
            f"evaluation.tune_after: found {budget.tune_after}; must be none for episodes from outside the "
            "simulator, with a learner that does not adapt"
        )

    def choose(key: Key, plan: Any, count: Array) -> Held:
        return Held(jax.random.split(jax.random.fold_in(key, count), budget.episodes))

    return Online(
        budget.episodes,
        lambda key, kept, obs: (key, kept),
        choose,
        online_act(lambda plan, _: policy_of(plan, budget.deterministic)),
        lambda key, plan, count, held, steps: plan,
    )


def without_adaptation(
    policy_of: PolicyOf,
    params: Callable[[State], Any],
    family: TaskFamily,
    goes_on: Callable[[int], Step] | None = None,
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`adapt` and `behaviour` of a learner whose only adaptation is further training.

    `adapt` measures the same policy K + 1 times, each time with N new episodes.  With `tune_after` n, the
    learner continues its training on the new task, with the episodes after the first n measurements.

    Args:
        policy_of: parameters, deterministic -> (key, obs) -> action, log pi(action).
        params: state -> parameters of the policy.
        family: provides the episodes.
        goes_on: number of episodes -> update of a state by as many episodes of its tasks.
    """

    def adapt(key: Key, state: State, task: Task, budget: Evaluation) -> tuple[AdaptState, Adaptation]:
        if goes_on is not None and budget.tune_after is not None:
            return trained_on(
                key, state, task, budget.tune_after, budget.adapt_steps, goes_on(budget.episodes)
            )
        policy = params(state)

        def measure(_: None, count: Array) -> tuple[None, Adaptation]:
            step_key = jax.random.fold_in(key, count)
            act = policy_of(policy, budget.deterministic)
            steps, final = episodes(step_key, act, family, task[None], budget.episodes)
            return None, episode_means(steps.reward, final)

        _, curve = jax.lax.scan(measure, None, jnp.arange(budget.adapt_steps + 1))
        return AdaptState(policy, None), curve

    def trained_on(
        key: Key, state: State, task: Task, first: int, last: int, step: Step
    ) -> tuple[AdaptState, Adaptation]:
        def update(now: State, count: Array) -> tuple[State, Adaptation]:
            new, metrics = step(jax.random.fold_in(key, count), now)
            learns = (count >= first) & (count < last)
            new = jax.tree.map(lambda new, old: jnp.where(learns, new, old), new, now)
            means = (metrics["return"], metrics["success"], metrics["reached"])
            return new, Adaptation(*means, metrics.get("episodes"))

        start = state._replace(tasks=task[None])
        trained, curve = jax.lax.scan(update, start, jnp.arange(last + 1))
        return AdaptState(params(trained), None), curve

    def behaviour(key: Key, adapted: AdaptState, deterministic: bool = False) -> Act:
        return policy_of(adapted.params, deterministic)

    return adapt, behaviour
