"""SAC from scratch on a few training tasks, with or without an exploration bonus (Haarnoja et al. 2018).

The learner is not a meta-learner and does not adapt.  So an evaluation measures the trained policy on new
tasks.  The bonus of a replayed step is computed anew from the current state of the bonus.  The critics
estimate the sum of reward and bonus with one discount.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.scratch import _shared
from hmrl_cli.environment.rollout import draw_tasks, episode_means
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import replay, sac
from hmrl_cli.learning.sac import Config as SACConfig
from hmrl_cli.types import MetaLearner, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics


class Config(_shared.Config):
    """Settings of soft actor-critic from scratch."""

    name: Literal["sac"] = "sac"
    episodes_per_update: int = Field(8, gt=0, le=100_000, description="parallel episodes per update")
    gradient_steps: int = Field(100, gt=0, le=100_000, description="gradient steps per update")
    batch_size: int = Field(256, gt=0, le=1_000_000, description="transitions per gradient step")
    buffer_capacity: int = Field(200_000, gt=0, le=100_000_000, description="transitions kept for replay")
    sac: SACConfig = Field(SACConfig(), description="settings of SAC")


class State(NamedTuple):
    """Training state of one seed."""

    agent: sac.State
    buffer: replay.Buffer  # of `Transition`; `log_prob` is not used
    tasks: Array  # [num_tasks, task_size]
    bonus: Any  # state of the bonus; None without bonus


class FromScratch(NamedTuple):
    """The learner, bound to its family."""

    config: Config
    family: TaskFamily
    agent: sac.SoftActorCritic

    def init(self, key: Key) -> State:
        """Fresh networks, new training tasks and an empty buffer."""
        agent_key, task_key, bonus_key = jax.random.split(key, 3)
        obs, number = jnp.zeros(self.family.obs_size), jnp.float32(0)
        example = Transition(
            obs=obs,
            action=replay.blank(self.family.action),
            log_prob=number,
            reward=number,
            discount=number,
            valid=number,
            next_obs=obs,
        )
        return State(
            self.agent.init(agent_key),
            replay.init(example, self.config.buffer_capacity),
            draw_tasks(task_key, self.family, self.config.num_tasks),
            _shared.init_bonus(bonus_key, self.family),
        )

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """Run the episodes of one update, then learn from replayed steps."""
        episode_key, learn_key, bonus_key = jax.random.split(key, 3)
        steps, final = _shared.episodes(
            episode_key,
            self.policy_of(state.agent.policy),
            self.family,
            state.tasks,
            self.config.episodes_per_update,
        )
        returned, success, reached, _ = episode_means(steps.reward, final)
        _, bonus_metrics = _shared.weighted_bonus(self.family, state.bonus, steps)
        bonus, bonus_learned = _shared.learn_bonus(bonus_key, self.family, state.bonus, steps)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), steps)
        buffer = replay.add(state.buffer, flat, flat.valid)

        def gradient_step(agent: sac.State, t: Array) -> tuple[sac.State, Metrics]:
            sample_key, update_key = jax.random.split(jax.random.fold_in(learn_key, t))
            replayed: Transition = replay.sample(sample_key, buffer, self.config.batch_size)
            bonus_reward, _ = _shared.weighted_bonus(self.family, bonus, replayed)
            batch = sac.Batch(
                replayed.obs,
                replayed.action,
                replayed.reward + bonus_reward,
                replayed.discount,
                replayed.next_obs,
            )
            return self.agent.update(update_key, agent, batch)

        agent, learned = jax.lax.scan(gradient_step, state.agent, jnp.arange(self.config.gradient_steps))
        metrics = {"return": returned, "success": success, "reached": reached}
        metrics |= bonus_metrics | bonus_learned | jax.tree.map(jnp.mean, learned)
        return State(agent, buffer, state.tasks, bonus), metrics

    def policy_of(self, policy: Any, deterministic: bool = False) -> _shared.Act:
        """Return (key, obs) -> action, 0; the most likely action with `deterministic`.

        An off-policy learner needs no log-probability, so 0 takes its place.
        """

        def act(key: Key, obs: Array) -> tuple[Array, Array]:
            pi = self.agent.policy.apply(policy, obs)
            return pi.mode() if deterministic else pi.sample(key), jnp.float32(0.0)

        return act


def make(config: Config, family: TaskFamily) -> MetaLearner:
    """SAC on a family, plain or lifted, with the family's bonus if there is one.

    Raises:
        ValueError: the buffer is smaller than one update.
    """
    steps = config.episodes_per_update * family.horizon
    replay.must_hold(config.buffer_capacity, steps)
    learner = FromScratch(config, family, sac.make(family.obs_size, family.action, config.sac))

    def params(state: State) -> Any:
        return state.agent.policy

    adapt, behaviour = _shared.without_adaptation(learner.policy_of, params, family)
    return MetaLearner(
        learner.init,
        learner.step,
        steps,
        adapt,
        behaviour,
        learns_from="none",
        online=partial(_shared.online, policy_of=learner.policy_of),
        keep=params,
    )
