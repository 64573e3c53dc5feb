"""RL^2: a recurrent policy that PPO trains to learn a task within a trial (Duan et al. 2016, 1611.02779).

A trial is several episodes of one task.  The policy's carry is empty at its start and carried over from one
episode to the next; beside the observation the policy sees its last action, and the reward and the end that
came of it.  What is maximised is the return of the whole trial, so that first episodes may be spent on what
makes later ones better (also Wang et al. 2016, 1611.05763).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import pydantic
from pydantic import Field

from hmrl_cli.environment.rollout import advance
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks, ppo, returns
from hmrl_cli.learning.distributions import take
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.ppo import Config as PPOConfig
from hmrl_cli.schema import AlgorithmConfig
from hmrl_cli.types import Adaptation, AdaptState, EnvState, MetaLearner, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.learning.distributions import Policy
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Metrics, Params, Task


class Config(AlgorithmConfig):
    """Settings of RL^2."""

    command: ClassVar[str] = "meta-train"
    name: Literal["rl2"] = "rl2"
    trials_per_update: int = Field(64, gt=0, le=100_000, description="parallel trials, each of its own task")
    episodes_per_trial: int = Field(6, gt=0, le=10_000, description="episodes of a trial, in training")
    memory_size: int = Field(
        64, gt=0, le=65_536, description="units of each hidden state, the policy's and the critic's"
    )
    ppo: PPOConfig = Field(PPOConfig(), description="the learner; a minibatch is of whole trials")

    @pydantic.model_validator(mode="after")
    def _minibatches_are_of_whole_trials(self) -> Self:
        if self.trials_per_update % self.ppo.minibatches:
            raise ValueError(
                f"ppo.minibatches: found {self.ppo.minibatches}; "
                f"must divide trials_per_update, {self.trials_per_update}"
            )
        return self


class State(NamedTuple):
    """Everything that training carries on."""

    agent: ppo.State
    observed: Moments  # of an observation and the reward after it [obs_size + 1]


class Carry(NamedTuple):
    """What a step leaves to the next, of this episode or the one after; all 0 at the start of a trial."""

    hidden: Array  # [memory_size]
    action: Array  # [action.size]  the last one, or its one-hot code
    reward: Array  # []  that came of it
    ended: Array  # []  1 where the episode ended early with it


class Trial(NamedTuple):
    """Episodes of one task, leaves [E, ...] and of their steps [E, T, ...]."""

    before: Carry  # [E, ...]  at the start of each episode
    seen: Array  # [E, T, F]  what the networks saw
    steps: Transition
    final: EnvState  # [E, ...]


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
        """Run one trial of each of some new tasks, then learn from them and forget them."""
        task_key, trial_key, learn_key = jax.random.split(key, 3)
        count = self.config.trials_per_update
        tasks = jax.vmap(lambda k: self.family.sample(k, "train"))(jax.random.split(task_key, count))
        run = partial(self.trial, num_episodes=self.config.episodes_per_trial)
        keys = jax.random.split(trial_key, count)
        trials = jax.vmap(run, in_axes=(0, None, 0))(keys, self.params(state), tasks)
        agent, learned = self.agent.learn(
            learn_key, state.agent, self.with_advantages(state.agent.critic, trials)
        )
        steps = trials.steps
        seen = jnp.concatenate([steps.obs, steps.reward[..., None]], axis=-1)
        episodes = curve(trials)
        metrics = {
            "return_first": episodes.returned[0],
            "return_last": episodes.returned[-1],
            "success_last": episodes.success[-1],
            "reached_last": episodes.reached[-1],
        }
        return State(agent, moments.absorb(state.observed, seen, steps.valid)), metrics | learned

    def trial(
        self, key: Key, params: Params, task: Task, num_episodes: int, deterministic: bool = False
    ) -> Trial:
        """Run the episodes of a trial, one after the other, with the carry of those before."""
        act = partial(take, deterministic=deterministic)

        def episode(carry: Carry, count: Array) -> tuple[Carry, Trial]:
            reset_key, act_key = jax.random.split(jax.random.fold_in(key, count))

            def step(now: tuple[EnvState, Carry], t: Array) -> Any:
                return self._one_step(jax.random.fold_in(act_key, t), params, task, act, *now, first=t == 0)

            start = (self.family.reset(reset_key, task), carry)
            (final, after), (seen, steps) = jax.lax.scan(step, start, jnp.arange(self.family.horizon))
            return after, Trial(carry, seen, steps, final)

        return jax.lax.scan(episode, self._empty(), jnp.arange(num_episodes))[1]

    def with_advantages(self, critic: Params, trials: Trial) -> ppo.Sample:
        """Trials as sequences for the learner, leaves [N, E * T, ...]; the critic is told the time."""
        seen, steps = jax.tree.map(
            lambda x: x.reshape(x.shape[0], -1, *x.shape[3:]), (trials.seen, trials.steps)
        )
        critic_obs = (ppo.with_time(seen), steps.valid)
        value = self.agent.critic.apply(critic, critic_obs)[..., 0]
        estimate = partial(advantages, discount=self.config.ppo.discount, lam=self.config.ppo.gae_lambda)
        advantage = jax.vmap(estimate)(steps.reward, value, steps.valid)
        returned = jax.vmap(partial(estimate, lam=1.0))(steps.reward, jnp.zeros_like(value), steps.valid)
        return ppo.Sample(
            (seen, steps.valid),
            critic_obs,
            steps.action,
            steps.log_prob,
            ppo.whitened(advantage, returned, steps.valid),
            (advantage + value)[..., None],
            steps.valid,
        )

    def adapt(self, key: Key, state: State, task: Task, budget: Evaluation) -> tuple[AdaptState, Adaptation]:
        """Adapt by remembering: N trials of K + 1 episodes, and column k is the k-th episode of a trial.

        A column stands for k episodes of experience, where that of a gradient-based learner stands for k N:
        the N trials know nothing of each other.  What is returned has the carry with which one of them
        began its last episode.
        """
        params = self.params(state)
        run = partial(self.trial, num_episodes=budget.adapt_steps + 1, deterministic=budget.deterministic)
        trials = jax.vmap(run, in_axes=(0, None, None))(jax.random.split(key, budget.episodes), params, task)
        carry = jax.tree.map(lambda x: x[0, -1], trials.before)
        return AdaptState(params, carry), curve(trials)

    def behaviour(
        self, key: Key, adapted: AdaptState, deterministic: bool = False
    ) -> Callable[[Key, Array], tuple[Array, Array]]:
        """How an adapted policy acts in one episode, its carry frozen as it was when that episode began.

        (key, obs) hands no carry on, so every step is taken as if it were the first: what earlier episodes
        have shown is used, what this one shows is not.  It falls short of what `adapt` measures, where the
        carry goes on.
        """
        params, carry = adapted

        def act(key: Key, obs: Array) -> tuple[Array, Array]:
            pi = self._forward(params, carry, obs, first=jnp.bool_(True))[2]
            return take(pi, key, deterministic=deterministic)

        return act

    def params(self, state: State) -> Params:
        """What acting takes."""
        return {"policy": state.agent.policy, "observed": state.observed}

    def _empty(self) -> Carry:
        zero = jnp.zeros(())
        return Carry(jnp.zeros(self.policy.hidden_size), jnp.zeros(self.family.action.size), zero, zero)

    def _forward(self, params: Params, carry: Carry, obs: Array, first: Array) -> tuple[Array, Array, Policy]:
        """Return what the networks see [F], the hidden state with it, and the distribution of the action."""
        known = moments.normalize(params["observed"], jnp.append(obs, carry.reward))
        flags = jnp.stack([jnp.float32(first), carry.ended])
        seen = jnp.concatenate([known, carry.action, flags])
        hidden = self.policy.step(params["policy"], carry.hidden, seen)
        return seen, hidden, self.policy.output(params["policy"], hidden, seen)

    def _one_step(
        self, key: Key, params: Params, task: Task, act: Any, state: EnvState, carry: Carry, *, first: Array
    ) -> tuple[tuple[EnvState, Carry], tuple[Array, Transition]]:
        """One step of an episode; the carry is left alone once the episode has ended."""
        seen, hidden, pi = self._forward(params, carry, state.obs, first)
        action, log_prob = act(pi, key)
        new = advance(self.family, state, action, task)
        discount, valid = 1.0 - new.done, 1.0 - state.done
        code = networks.action_code(self.family.action, action)
        after = Carry(hidden, code, new.reward, jnp.float32(new.done))
        carry = jax.tree.map(lambda old, new: jnp.where(state.done, old, new), carry, after)
        taken = Transition(state.obs, action, log_prob, new.reward, discount, valid, new.obs)
        return (new, carry), (seen, taken)


def curve(trials: Trial) -> Adaptation:
    """How the episodes of N trials went, in their order: means [E] over the trials, leaves [N, E, ...]."""
    return Adaptation(
        trials.steps.reward.sum(axis=-1).mean(axis=0),
        trials.final.success.astype(jnp.float32).mean(axis=0),
        trials.final.reached.astype(jnp.float32).mean(axis=0),
    )


def advantages(reward: Array, value: Array, valid: Array, discount: float, lam: float) -> Array:
    """Generalised advantage estimate [T] over a whole trial: the ends of its episodes end nothing.

    Steps after an early end are none: the last one that counts is followed by the first one of the next
    episode, and nothing is discounted or smoothed in between.

    Args:
        reward: [T].
        value: [T] V of what was known at each step; any number at steps that do not count.
        valid: [T] 1 where the step counts.
        discount: gamma.
        lam: lambda of the estimate.
    """

    def backward(after: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        next_value = jnp.where(now[1] > 0, now[0], after)
        return next_value, next_value

    end = jnp.zeros(())
    _, next_value = jax.lax.scan(backward, end, (value, valid), reverse=True)
    counts = valid > 0
    gamma, smooth = (jnp.where(counts, factor, 1.0) for factor in (discount, lam))
    return returns.gae(reward * valid, gamma, next_value, end, smooth)


def learner_of(config: Config, family: TaskFamily) -> RL2:
    """The learner on a family, plain or lifted."""
    action, settings, width = family.action, config.ppo, config.memory_size
    size = family.obs_size + 1 + action.size + 2  # observation, reward, action, two flags
    policy = networks.recurrent(size, width, ppo.make_policy(width + size, action, settings))
    # the critic has a carry of its own, so that its errors leave the policy's alone
    critic = networks.recurrent(size + 1, width, networks.mlp(width + size + 1, settings.hidden, 1, "tanh"))
    agent = ppo.PPO(policy.of_sequences(), critic.of_sequences(), settings)
    return RL2(config, family, policy, agent)


def make(config: Config, family: TaskFamily) -> MetaLearner:
    """RL^2 on a family, plain or lifted."""
    learner = learner_of(config, family)
    steps = config.trials_per_update * config.episodes_per_trial * family.horizon
    return MetaLearner(learner.init, learner.step, steps, learner.adapt, learner.behaviour, learns_from="one")
