"""PPO from scratch on a few training tasks, with or without an exploration bonus (Schulman et al. 2017).

The learner is not a meta-learner.  So an evaluation measures the trained policy on new tasks, or goes on
training it there (`tune_after`).  By default every seed learns one training task of its own.  One critic with
one discount estimates the sum of reward and bonus.  The authors of random network distillation have one
critic for each (1810.12894, sec. 2.3).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.scratch import _shared
from hmrl_cli.environment.rollout import draw_tasks, episode_means
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, ppo
from hmrl_cli.learning.distributions import take
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.ppo import Config as PPOConfig
from hmrl_cli.types import MetaLearner, SkillLibrary, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics


class Config(_shared.Config):
    """Settings of proximal policy optimisation from scratch."""

    goes_on: ClassVar[bool] = True
    name: Literal["ppo"] = "ppo"
    ppo: PPOConfig = Field(PPOConfig(), description="settings of PPO")


class State(NamedTuple):
    """Training state of one seed."""

    agent: ppo.State
    observed: Moments  # of observations [obs_size]
    tasks: Array  # [num_tasks, task_size]
    bonus: Any  # state of the bonus; None without bonus


class FromScratch(NamedTuple):
    """The learner, bound to its family."""

    config: Config
    family: TaskFamily
    agent: ppo.PPO

    def init(self, key: Key) -> State:
        """Fresh networks, and new training tasks."""
        agent_key, task_key, bonus_key = jax.random.split(key, 3)
        return State(
            self.agent.init(agent_key),
            moments.initial(self.family.obs_size),
            draw_tasks(task_key, self.family, self.config.num_tasks),
            _shared.init_bonus(bonus_key, self.family),
        )

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """Run the episodes of one update, then learn from them on-policy."""
        episode_key, learn_key, bonus_key = jax.random.split(key, 3)
        act = self.policy_of(self.params(state))
        steps, final = _shared.episodes(
            episode_key, act, self.family, state.tasks, self.config.episodes_per_update
        )
        means = episode_means(steps.reward, final)
        bonus_reward, bonus_metrics = _shared.weighted_bonus(self.family, state.bonus, steps)
        agent, learned = self.agent.update(
            learn_key, state.agent, self._batch(state.observed, steps, steps.reward + bonus_reward)
        )
        bonus, bonus_learned = _shared.learn_bonus(bonus_key, self.family, state.bonus, steps)
        observed = moments.absorb(state.observed, steps.obs, steps.valid)
        metrics = {"return": means.returned, "success": means.success, "reached": means.reached}
        if means.episodes is not None:  # of a recorded family
            metrics["episodes"] = means.episodes
        metrics |= bonus_metrics | bonus_learned | learned
        return State(agent, observed, state.tasks, bonus), metrics

    def start(self, key: Key, state: State, library: SkillLibrary, fold: Callable[[Array], Any]) -> State:
        """Start from the skill with the highest return on the training tasks (Eysenbach et al. 2019).

        Args:
            key: draws the episodes of the skills.
            state: as `init` returned it.
            library: the skills.
            fold: one skill -> its policy and moments (see `SkillLearner.fold`).

        Raises:
            ValueError: the skills' policy has other layers.
        """

        def returned(key: Key, skill: Array) -> Array:
            def act(key: Key, obs: Array) -> tuple[Array, Array]:
                return library.policy(library.params, obs, skill).sample_with_log_prob(key)

            count = self.config.episodes_per_update
            steps, final = _shared.episodes(key, act, self.family, state.tasks, count)
            return episode_means(steps.reward, final).returned

        keys = jax.random.split(key, len(library.examples))
        best = jnp.asarray(library.examples)[jax.vmap(returned)(keys, library.examples).argmax()]
        folded = fold(best)
        shapes = [jax.tree.map(jnp.shape, policy) for policy in (folded["policy"], state.agent.policy)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"algorithm.ppo.hidden: found {self.config.ppo.hidden}; must be as in the skills' policy"
            )
        return state._replace(
            agent=state.agent._replace(policy=folded["policy"]), observed=folded["observed"]
        )

    def params(self, state: State) -> Any:
        """The parameters that `policy_of` takes."""
        return {"policy": state.agent.policy, "observed": state.observed}

    def policy_of(self, params: Any, deterministic: bool = False) -> _shared.Act:
        """Return (key, obs) -> action, log pi(action | obs); the most likely action with `deterministic`."""

        def act(key: Key, obs: Array) -> tuple[Array, Array]:
            pi = self.agent.policy.apply(params["policy"], moments.normalize(params["observed"], obs))
            return take(pi, key, deterministic=deterministic)

        return act

    def _batch(self, observed: Moments, steps: Transition, reward: Array) -> ppo.Batch:
        """The episodes as PPO sees them: normalised observations, and the time for the critic."""
        seen = moments.normalize(observed, steps.obs)
        return ppo.Batch(
            obs=seen,
            critic_obs=ppo.with_time(seen),
            action=steps.action,
            log_prob=steps.log_prob,
            reward=reward[..., None],
            reward_weights=jnp.ones((len(reward), 1)),
            discount=steps.discount,
            valid=steps.valid,
        )


def make(config: Config, family: TaskFamily) -> MetaLearner:
    """PPO on a family, plain or lifted, with the family's bonus if there is one.

    Raises:
        ValueError: the minibatches do not divide the steps of an update.
    """
    steps = config.episodes_per_update * family.horizon
    ppo.must_divide(config.ppo, steps)
    agent = ppo.make(family.obs_size, family.obs_size + 1, family.action, config.ppo)
    learner = FromScratch(config, family, agent)

    def goes_on(episodes: int) -> _shared.Step:
        one_task = config.model_copy(update={"num_tasks": 1, "episodes_per_update": episodes})
        return learner._replace(config=one_task).step

    adapt, behaviour = _shared.without_adaptation(learner.policy_of, learner.params, family, goes_on)
    return MetaLearner(
        learner.init,
        learner.step,
        steps,
        adapt,
        behaviour,
        learner.start,
        learns_from="none",
        online=partial(_shared.online, policy_of=learner.policy_of),
        keep=learner.params,
    )
