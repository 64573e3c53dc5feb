"""RL^2: a recurrent policy that PPO trains to learn a task within a trial (Duan et al. 2016, 1611.02779).

A trial is several episodes of one task.  The policy's hidden state is 0 at the start of a trial and carries
over from episode to episode.  Beside the observation, the policy sees its last action, the reward of that
action, and whether the action ended the episode.  PPO maximises the return of the whole trial.  So early
episodes may explore for the sake of later ones (also Wang et al. 2016, 1611.05763).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import pydantic
from pydantic import Field

from hmrl_cli.environment.frames import episodes_of, frames_of
from hmrl_cli.environment.rollout import Held, advance, keys_of
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks, ppo, returns
from hmrl_cli.learning.distributions import take
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.ppo import Config as PPOConfig
from hmrl_cli.schema import AlgorithmConfig
from hmrl_cli.types import Adaptation, AdaptState, EnvState, MetaLearner, Online, TaskFamily, Transition

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
    ppo: PPOConfig = Field(PPOConfig(), description="settings of PPO; a minibatch holds whole trials")

    @pydantic.model_validator(mode="after")
    def _minibatches_are_of_whole_trials(self) -> Self:
        if self.trials_per_update % self.ppo.minibatches:
            raise ValueError(
                f"ppo.minibatches: found {self.ppo.minibatches}; "
                f"must divide trials_per_update, {self.trials_per_update}"
            )
        return self


class State(NamedTuple):
    """Training state of one seed."""

    agent: ppo.State
    observed: Moments  # of observation and reward [obs_size + 1]


class Carry(NamedTuple):
    """What one step passes to the next, also across episodes; all 0 at the start of a trial."""

    hidden: Array  # [memory_size]
    action: Array  # [action.size]  the last action, one-hot if discrete
    reward: Array  # []  of the last action
    ended: Array  # []  1 if the last action ended the episode early


class Trial(NamedTuple):
    """The E episodes of a trial, with T steps each."""

    before: Carry  # [E, ...]  at the start of each episode
    seen: Array  # [E, T, F]  input of the networks
    steps: Transition  # [E, T, ...]
    final: EnvState  # [E, ...]  after the last step


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
        """Run the episodes of a trial, each with the carry of the episode before."""
        act = partial(take, deterministic=deterministic)

        def episode(carry: Carry, count: Array) -> tuple[Carry, Trial]:
            reset_key, act_key = keys_of(jax.random.fold_in(key, count))

            def step(state: tuple[EnvState, Carry], t: Array) -> Any:
                return self._one_step(jax.random.fold_in(act_key, t), params, task, act, *state, first=t == 0)

            start = (self.family.reset(reset_key, task), carry)
            (final, after), (seen, steps) = jax.lax.scan(step, start, jnp.arange(self.family.horizon))
            return after, Trial(carry, seen, steps, final)

        return jax.lax.scan(episode, self._empty(), jnp.arange(num_episodes))[1]

    def with_advantages(self, critic: Params, trials: Trial) -> ppo.Sample:
        """Trials as sequences for PPO, leaves [N, E * T, ...]; the critic also sees the time."""
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
        """Adapt through the hidden state: N independent trials of K + 1 episodes.

        Entry k of the curve is the mean over the trials' episodes with number k.  It rests on k episodes of
        experience, while entry k of a gradient-based learner rests on k N.  The returned carry is that of the
        first trial before its last episode.
        """
        params = self.params(state)
        run = partial(self.trial, num_episodes=budget.adapt_steps + 1, deterministic=budget.deterministic)
        trials = jax.vmap(run, in_axes=(0, None, None))(jax.random.split(key, budget.episodes), params, task)
        carry = jax.tree.map(lambda x: x[0, -1], trials.before)
        return AdaptState(params, carry), curve(trials)

    def behaviour(
        self, key: Key, adapted: AdaptState, deterministic: bool = False
    ) -> Callable[[Key, Array], tuple[Array, Array]]:
        """The adapted policy of one episode, with the carry fixed at the start of the episode.

        (key, obs) -> action passes no carry on, so every step acts like the first step of the episode.  The
        policy uses earlier episodes, but not the current one.  So it earns less than `adapt` measures.
        """
        params, carry = adapted

        def act(key: Key, obs: Array) -> tuple[Array, Array]:
            pi = self._forward(params, carry, obs, first=jnp.bool_(True))[2]
            return take(pi, key, deterministic=deterministic)

        return act

    def online(self, budget: Evaluation) -> Online:
        """The first trial of `adapt`, for episodes from outside the simulator: a batch is one episode."""

        def act(plan: tuple[Params, Carry], held: Held, t: Array, obs: Array) -> tuple[Array, Array, Held]:
            _, hidden, pi = self._forward(plan[0], held.given, obs, first=t == 0)
            key = jax.random.fold_in(keys_of(held.key)[1], t)
            action, log_prob = take(pi, key, deterministic=budget.deterministic)
            return action, log_prob, held._replace(given=self._after(hidden, action))

        def sense(held: Held, reward: Array, done: Array) -> Held:
            return held._replace(given=held.given._replace(reward=reward, ended=jnp.float32(done)))

        return Online(
            1,
            lambda key, params, obs: (jax.random.split(key, budget.episodes)[0], (params, self._empty())),
            lambda key, plan, count: jax.tree.map(
                lambda x: x[None], Held(jax.random.fold_in(key, count), plan[1])
            ),
            act,
            lambda key, plan, count, held, steps: (plan[0], jax.tree.map(lambda x: x[0], held.given)),
            sense,
        )

    def params(self, state: State) -> Params:
        """The parameters that `trial` takes."""
        return {"policy": state.agent.policy, "observed": state.observed}

    def _empty(self) -> Carry:
        zero = jnp.zeros(())
        return Carry(jnp.zeros(self.policy.hidden_size), jnp.zeros(self.family.action.size), zero, zero)

    def _after(self, hidden: Array, action: Array) -> Carry:
        """The carry after an action, whose reward is not known yet."""
        zero = jnp.zeros(())
        return Carry(hidden, networks.action_code(self.family.action, action), zero, zero)

    def _forward(self, params: Params, carry: Carry, obs: Array, first: Array) -> tuple[Array, Array, Policy]:
        """Return the input of the networks [F], the next hidden state and the distribution of the action."""
        known = moments.normalize(params["observed"], jnp.append(obs, carry.reward))
        flags = jnp.stack([jnp.float32(first), carry.ended])
        seen = jnp.concatenate([known, carry.action, flags])
        hidden = self.policy.step(params["policy"], carry.hidden, seen)
        return seen, hidden, self.policy.output(params["policy"], hidden, seen)

    def _one_step(
        self, key: Key, params: Params, task: Task, act: Any, state: EnvState, carry: Carry, *, first: Array
    ) -> tuple[tuple[EnvState, Carry], tuple[Array, Transition]]:
        """One step of an episode; after an early end the carry stays unchanged."""
        seen, hidden, pi = self._forward(params, carry, state.obs, first)
        action, log_prob = act(pi, key)
        new = advance(self.family, state, action, task)
        discount, valid = 1.0 - new.done, 1.0 - state.done
        after = self._after(hidden, action)._replace(reward=new.reward, ended=jnp.float32(new.done))
        carry = jax.tree.map(lambda old, new: jnp.where(state.done, old, new), carry, after)
        taken = Transition(state.obs, action, log_prob, new.reward, discount, valid, new.obs)
        return (new, carry), (seen, taken)


def curve(trials: Trial) -> Adaptation:
    """The adaptation curve of N trials, leaves [N, E, ...]: means [E] over the trials."""
    frames = jax.tree.map(lambda x: x.swapaxes(0, 1), frames_of(trials.final))
    return Adaptation(
        trials.steps.reward.sum(axis=-1).mean(axis=0),
        trials.final.success.astype(jnp.float32).mean(axis=0),
        trials.final.reached.astype(jnp.float32).mean(axis=0),
        episodes_of(frames, jnp.ones(trials.final.reached.T.shape)),
    )


def advantages(reward: Array, value: Array, valid: Array, discount: float, lam: float) -> Array:
    """Generalised advantage estimate [T] over a whole trial, across the ends of its episodes.

    Steps after an early end do not count.  The first step of the next episode follows the last valid step,
    without a discount for the steps between them.

    Args:
        reward: [T] of all steps of the trial.
        value: [T] estimated value at each step; any number where valid is 0.
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
    # the critic has its own hidden state, so its gradient does not affect the policy's
    critic = networks.recurrent(size + 1, width, networks.mlp(width + size + 1, settings.hidden, 1, "tanh"))
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
        learner.behaviour,
        learns_from="one",
        online=learner.online,
        keep=learner.params,
    )
