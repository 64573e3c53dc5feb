"""RL^2: a recurrent policy that PPO trains to learn a task within a trial (Duan et al. 2016, 1611.02779).

A trial is several episodes of one task.  The policy's hidden state is 0 at the start of a trial and carries
over from episode to episode.  Beside the observation, the policy sees its last action, the reward of that
action, and whether the action ended the episode.  PPO maximises the return of the whole trial, discounted
across its episodes.  So early episodes may explore for the sake of later ones, as far as the discount looks
ahead (also Wang et al. 2016, 1611.05763).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

import pydantic
from pydantic import Field

from hmrl_cli.algorithms.meta import _trials
from hmrl_cli.algorithms.meta._trials import Carry, Remembering
from hmrl_cli.lazy import jax
from hmrl_cli.learning import hypernetwork, moments, networks, ppo
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.ppo import Config as PPOConfig
from hmrl_cli.schema import AlgorithmConfig
from hmrl_cli.types import Adaptation, AdaptState, MetaLearner, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.learning.distributions import Policy
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Metrics, Params, Task


class Config(AlgorithmConfig):
    """Settings of RL^2."""

    command: ClassVar[str] = "meta-train"
    metric: ClassVar[str] = "return_last"
    name: Literal["rl2"] = "rl2"
    trials_per_update: int = Field(64, gt=0, le=100_000, description="parallel trials, each of a new task")
    episodes_per_trial: int = Field(6, gt=0, le=10_000, description="episodes of a training trial")
    memory_size: int = Field(
        64, gt=0, le=65_536, description="units of the policy's hidden state, and of the critic's"
    )
    head: Literal["plain", "hypernetwork"] = Field(
        "plain",
        description="the hidden state is an input of policy and critic (plain), or generates their weights "
        "(hypernetwork)",
    )
    ppo: PPOConfig = Field(PPOConfig(), description="settings of PPO; a minibatch holds whole trials")

    @pydantic.model_validator(mode="after")
    def _minibatches_are_of_whole_trials(self) -> Self:
        _trials.must_hold_whole_trials(self.ppo, self.trials_per_update)
        return self


class State(NamedTuple):
    """Training state of one seed."""

    agent: ppo.State
    observed: Moments  # of observation and reward [obs_size + 1]


class RL2(NamedTuple):
    """The learner, bound to its family."""

    config: Config
    family: TaskFamily
    policy: networks.Recurrent
    agent: ppo.PPO

    def init(self, key: Key) -> State:
        """Fresh networks."""
        return State(self.agent.init(key), moments.initial(self.family.obs_size + 1))

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """Run one trial of each of the update's new tasks, then learn from the trials on-policy."""
        task_key, trial_key, learn_key = jax.random.split(key, 3)
        trials = self.acting.of_new_tasks(
            task_key,
            trial_key,
            self.params(state),
            self.config.trials_per_update,
            self.config.episodes_per_trial,
        )
        sequences = _trials.sequences(self.agent, state.agent.critic, trials)
        agent, learned = self.agent.learn(learn_key, state.agent, sequences)
        observed = _trials.observe(state.observed, trials.steps)
        return State(agent, observed), _trials.progress(trials) | learned

    @property
    def acting(self) -> Remembering:
        """The policy in trials."""
        return Remembering(self.family, self.policy.hidden_size, self._forward)

    def adapt(self, key: Key, state: State, task: Task, budget: Evaluation) -> tuple[AdaptState, Adaptation]:
        """Adapt through the hidden state; see `Remembering.adapt`."""
        return self.acting.adapt(key, self.params(state), task, budget)

    def params(self, state: State) -> Params:
        """The parameters that acting takes."""
        return {"policy": state.agent.policy, "observed": state.observed}

    def _forward(self, params: Params, carry: Carry, obs: Array, first: Array) -> tuple[Array, Array, Policy]:
        """Return the input of the networks [F], the next hidden state and the distribution of the action."""
        seen = _trials.normalized(params["observed"], _trials.inputs(carry, obs, first))
        hidden = self.policy.step(params["policy"], carry.hidden, seen)
        return seen, hidden, self.policy.output(params["policy"], hidden, seen)


def learner_of(config: Config, family: TaskFamily) -> RL2:
    """The learner on a family, plain or lifted."""
    settings, width = config.ppo, config.memory_size
    body = networks.mlp if config.head == "plain" else partial(hypernetwork.mlp, memory_size=width)
    policy, critic = _trials.actor_critic(family, width, settings, body)
    agent = ppo.PPO(policy.of_sequences(), critic.of_sequences(), settings)
    return RL2(config, family, policy, agent)


def make(config: Config, family: TaskFamily) -> MetaLearner:
    """RL^2 on a family, plain or lifted."""
    learner = learner_of(config, family)
    steps = config.trials_per_update * config.episodes_per_trial * family.horizon
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
