"""A policy of observation and belief, which PPO trains over trials: what VariBAD and HyperX share.

The pair of observation and belief is the state of a Bayes-adaptive process (Zintgraf et al. 2020, 1910.08348,
section 2.2).  The policy sees the mean and the log standard deviation of the belief.  PPO maximises the
return of the whole trial, discounted across its episodes.  So early episodes may explore for the sake of
later ones.

The bound of `_belief` alone trains the encoder.  PPO takes beliefs as given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.meta import _belief, _trials
from hmrl_cli.algorithms.meta._belief import Belief, Experience
from hmrl_cli.algorithms.meta._trials import Carry, Remembering
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, ppo, replay
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.ppo import Config as PPOConfig
from hmrl_cli.schema import AlgorithmConfig
from hmrl_cli.types import Adaptation, AdaptState, MetaLearner, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.learning.distributions import Policy
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Metrics, Params, Task


class Config(AlgorithmConfig):
    """Settings that the learners share."""

    command: ClassVar[str] = "meta-train"
    metric: ClassVar[str] = "return_last"
    trials_per_update: int = Field(64, gt=0, le=100_000, description="parallel trials, each of a new task")
    episodes_per_trial: int = Field(3, gt=0, le=10_000, description="episodes of a training trial")
    belief: _belief.Config = Field(_belief.Config(), description="settings of the belief about the task")
    ppo: PPOConfig = Field(PPOConfig(), description="settings of PPO")


class Seen(NamedTuple):
    """What was seen in a step."""

    inputs: Array  # [F]  of the encoder, in the units of the family
    belief: Gaussian  # [L]
    policy: Array  # [obs_size + 2 L]  of the policy


class State(NamedTuple):
    """Training state of one seed."""

    agent: ppo.State
    belief: _belief.State
    observed: Moments  # of observation and reward [obs_size + 1]
    trials: replay.Buffer  # of Experience, leaves [buffer_trials, E * T, ...]
    bonus: Any


class TrialBonus(NamedTuple):
    """A reward of exploration, which training adds to that of the family."""

    init: Callable[[Key], Any]
    # key, its state, parameters of the belief, moments, beliefs [N, T] and their steps -> the bonus [N, T],
    # its next state and metrics
    of_trials: Callable[[Key, Any, Params, Moments, Gaussian, Experience], tuple[Array | float, Any, Metrics]]


NO_BONUS = TrialBonus(lambda key: (), lambda key, state, *rest: (0.0, state, {}))


class Learner(NamedTuple):
    """The learner, bound to its family."""

    config: Config
    family: TaskFamily
    belief: Belief
    agent: ppo.PPO
    bonus: TrialBonus

    def init(self, key: Key) -> State:
        """Fresh networks and no trials."""
        agent_key, belief_key, bonus_key = jax.random.split(key, 3)
        return State(
            self.agent.init(agent_key),
            self.belief.init(belief_key),
            moments.initial(self.family.obs_size + 1),
            self.belief.buffer(self.config.episodes_per_trial * self.family.horizon),
            self.bonus.init(bonus_key),
        )

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """Run one trial of each of the update's new tasks; then learn policy, belief and bonus."""
        task_key, trial_key, bonus_key, policy_key, belief_key = jax.random.split(key, 5)
        count, length = self.config.trials_per_update, self.config.episodes_per_trial
        trials = self.acting.of_new_tasks(task_key, trial_key, self.params(state), count, length)
        seen, steps = _trials.in_a_row((trials.seen, trials.steps))
        fresh = self.belief.experience(seen.inputs, steps)
        extra, bonus, explored = self.bonus.of_trials(
            bonus_key, state.bonus, state.belief.params, state.observed, seen.belief, fresh
        )
        sample = self.with_advantages(
            state.agent.critic, seen.policy, steps._replace(reward=steps.reward + extra)
        )
        agent, learned = self.agent.learn(policy_key, state.agent, sample)
        buffer = replay.add(state.trials, fresh, jnp.ones(count))
        observed = _trials.observe(state.observed, trials.steps)
        belief, inferred = self.belief.learn(belief_key, state.belief, observed, buffer)
        metrics = _trials.progress(trials) | learned | inferred | explored
        return State(agent, belief, observed, buffer, bonus), metrics

    @property
    def acting(self) -> Remembering:
        """The policy in trials; its hidden state is that of the encoder."""
        return Remembering(self.family, self.belief.encoder.hidden_size, self._forward)

    def with_advantages(self, critic: Params, seen: Array, steps: Transition) -> ppo.Sample:
        """Steps [N, E * T] of trials as rows for PPO; the critic also sees the time."""
        critic_obs = ppo.with_time(seen)
        value = self.agent.critic.apply(critic, critic_obs)[..., 0]
        sample = _trials.sample(seen, critic_obs, steps, value, self.config.ppo)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), sample)

    def adapt(self, key: Key, state: State, task: Task, budget: Evaluation) -> tuple[AdaptState, Adaptation]:
        """Adapt through the belief; see `Remembering.adapt`."""
        return self.acting.adapt(key, self.params(state), task, budget)

    def params(self, state: State) -> Params:
        """The parameters that acting takes."""
        return {"policy": state.agent.policy, "belief": state.belief.params, "observed": state.observed}

    def _forward(self, params: Params, carry: Carry, obs: Array, first: Array) -> tuple[Seen, Array, Policy]:
        """Return what was seen, the next hidden state and the distribution of the action."""
        inputs = _trials.inputs(carry, obs, first)
        hidden, belief = self.belief.update(params["belief"], params["observed"], carry.hidden, inputs)
        known = _trials.normalized(params["observed"], inputs)[..., : self.family.obs_size]
        policy = jnp.concatenate([known, belief.mean, belief.log_std], axis=-1)
        return Seen(inputs, belief, policy), hidden, self.agent.policy.apply(params["policy"], policy)


def make(config: Config, family: TaskFamily, bonus: TrialBonus = NO_BONUS) -> MetaLearner:
    """The learner on a family, plain or lifted.

    Raises:
        ValueError: the minibatches of PPO do not divide the steps of an update, or the buffer holds less
            than an update.
    """
    steps = config.trials_per_update * config.episodes_per_trial * family.horizon
    ppo.must_divide(config.ppo, steps)
    if config.belief.buffer_trials < config.trials_per_update:
        raise ValueError(
            f"algorithm.belief.buffer_trials: found {config.belief.buffer_trials}; "
            f"must hold one update, {config.trials_per_update} trials"
        )
    size = family.obs_size + 2 * config.belief.latent_size
    agent = ppo.make(size, size + 1, family.action, config.ppo)
    learner = Learner(config, family, _belief.make(config.belief, family), agent, bonus)
    return MetaLearner(
        learner.init,
        learner.step,
        steps,
        learner.adapt,
        learner.acting.behaviour,
        learns_from="one",
        reads_reward=True,
        online=learner.acting.online,
        keep=learner.params,
    )
