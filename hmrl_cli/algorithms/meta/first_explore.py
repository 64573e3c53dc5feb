"""First-Explore: one policy explores, another exploits what it found (Norman and Clune 2023, 2307.02276).

A trial is E exploring episodes of one task.  Both policies have a memory, and both memories read the
exploring episodes.  The exploiter has an episode before the first of them and after each, which no memory
keeps.  An exploring episode is rewarded by how much the exploiter's return after it exceeds the exploiter's
best return before it.  The explorer's own return does not count, so it may be given up for knowledge.

As in the paper, an exploiting episode counts only if it returns at least the best so far.  Its weight is 1
plus the excess.  Otherwise the exploiter may learn to be safe before it learns to use what was found.

The paper multiplies log likelihoods of actions by these weights.  Here they are rewards at the ends of
episodes, and PPO maximises their expectation.  Other differences:

- For the exploiter, the best so far is that of the exploring episodes.  For the explorer, it is that of the
  exploiting episodes, and begins with the one before all exploration.  In the paper it is that of all.
- An exploring episode also counts for the excess of later ones, so the explorer maximises the exploiter's
  best return.  Its reward has no 1 besides the excess.
- The first exploiting episode has no best to reach, and its return is its reward.
- Episodes come from the present policies.  In the authors' code they come from a copy of earlier ones.
- The memories are recurrent networks of one policy each, instead of a transformer that both share.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import pydantic
from pydantic import Field

from hmrl_cli.algorithms.meta import _trials
from hmrl_cli.algorithms.meta._trials import Carry, Remembering, Trial
from hmrl_cli.environment.rollout import Held, draw_tasks
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks, ppo
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.ppo import Config as PPOConfig
from hmrl_cli.schema import AlgorithmConfig
from hmrl_cli.types import Adaptation, AdaptState, MetaLearner, Online, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.learning.distributions import Policy
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Metrics, Params, Task, Transition


class Config(AlgorithmConfig):
    """Settings of First-Explore."""

    command: ClassVar[str] = "meta-train"
    metric: ClassVar[str] = "return_last"
    name: Literal["first_explore"] = "first_explore"
    trials_per_update: int = Field(64, gt=0, le=100_000, description="parallel trials, each of a new task")
    episodes_per_trial: int = Field(5, gt=0, le=10_000, description="exploring episodes of a training trial")
    memory_size: int = Field(
        64, gt=0, le=65_536, description="units of the hidden state of each policy, and of each critic"
    )
    ppo: PPOConfig = Field(
        PPOConfig(), description="settings of PPO for both policies; a minibatch holds whole trials"
    )

    @pydantic.model_validator(mode="after")
    def _minibatches_are_of_whole_trials(self) -> Self:
        _trials.must_hold_whole_trials(self.ppo, self.trials_per_update)
        return self


class State(NamedTuple):
    """Training state of one seed."""

    explorer: ppo.State
    exploiter: ppo.State
    observed: Moments  # of observation and reward [obs_size + 1]


class FirstExplore(NamedTuple):
    """The learner, bound to its family."""

    config: Config
    family: TaskFamily
    policy: networks.Recurrent  # of both, with parameters of their own
    explorer: ppo.PPO
    exploiter: ppo.PPO

    def init(self, key: Key) -> State:
        """Fresh networks."""
        explore_key, exploit_key = jax.random.split(key)
        observed = moments.initial(self.family.obs_size + 1)
        return State(self.explorer.init(explore_key), self.exploiter.init(exploit_key), observed)

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """Run one trial of each of the update's new tasks, then both policies learn on-policy."""
        task_key, trial_key, explore_key, exploit_key = jax.random.split(key, 4)
        count = self.config.trials_per_update
        tasks = draw_tasks(task_key, self.family, count)
        run = partial(self.trial, num_episodes=self.config.episodes_per_trial)
        keys = jax.random.split(trial_key, count)
        explored, exploited = jax.vmap(run, in_axes=(0, None, 0))(keys, self.params(state), tasks)
        found, returned = (trials.steps.reward.sum(axis=-1) for trials in (explored, exploited))
        gained = improvements(returned)
        explorer, learned = self.explorer.learn(
            explore_key,
            state.explorer,
            _trials.sequences(self.explorer, state.explorer.critic, paid_at_the_end(explored, gained)),
        )
        paid = paid_at_the_end(exploited, weights(found, returned))
        exploiter, metrics = self.exploiter.learn(
            exploit_key, state.exploiter, self.with_context(state.exploiter.critic, explored, paid)
        )
        observed = _trials.observe(_trials.observe(state.observed, explored.steps), exploited.steps)
        metrics |= {f"explore_{name}": value for name, value in learned.items()}
        metrics |= {"explore_gain": gained.sum(axis=-1).mean()}
        return State(explorer, exploiter, observed), _trials.progress(exploited) | metrics

    def trial(
        self, key: Key, params: Params, task: Task, num_episodes: int, deterministic: bool = False
    ) -> tuple[Trial, Trial]:
        """Run E = num_episodes exploring episodes, and E + 1 exploiting ones, leaves [E, ...], [E + 1, ...].

        Exploiting episode k follows k exploring ones.
        """
        explore_key, exploit_key = jax.random.split(key)
        explore, exploit = ({**params, "exploits": jnp.bool_(mode)} for mode in (False, True))
        last, explored = self.acting.in_turn(explore_key, explore, task, num_episodes, deterministic)
        carries = jax.tree.map(lambda xs, x: jnp.concatenate([xs, x[None]]), explored.before, last)

        def exploiting(carry: Carry, count: Array) -> Trial:
            own_key = jax.random.fold_in(exploit_key, count)
            return self.acting.episode(own_key, exploit, task, carry, deterministic)[1]

        return explored, jax.vmap(exploiting)(carries, jnp.arange(num_episodes + 1))

    def with_context(self, critic: Params, explored: Trial, exploited: Trial) -> ppo.Sample:
        """The exploiting episodes of N trials for PPO, leaves [N, E + 1, T, ...], each with its context."""
        context, read = _trials.in_a_row((explored.seen, explored.steps.valid))
        seen, steps = exploited.seen, exploited.steps
        critic_obs = (ppo.with_time(context), read), (jax.vmap(ppo.with_time)(seen), steps.valid)
        value = self.exploiter.critic.apply(critic, critic_obs)[..., 0]
        rows, values = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (steps, value))
        sample = _trials.sample(None, None, rows, values, self.config.ppo)
        sample = jax.tree.map(lambda x: x.reshape(*value.shape[:2], *x.shape[1:]), sample)
        return sample._replace(obs=((context, read), (seen, steps.valid)), critic_obs=critic_obs)

    def adapt(self, key: Key, state: State, task: Task, budget: Evaluation) -> tuple[AdaptState, Adaptation]:
        """Explore for K episodes, in N independent trials.

        Entry k of the curve is the mean over the trials' exploiting episodes after k exploring ones.  The
        exploring episodes themselves are not in it.  Recorded episodes are the K exploring ones and the last
        exploiting one.  The returned carry is that of the first trial after K exploring episodes.
        """
        params = self.params(state)
        run = partial(self.trial, num_episodes=budget.adapt_steps, deterministic=budget.deterministic)
        keys = jax.random.split(key, budget.episodes)
        explored, exploited = jax.vmap(run, in_axes=(0, None, None))(keys, params, task)
        carry = jax.tree.map(lambda x: x[0, -1], exploited.before)
        episodes = jax.tree.map(
            lambda found, last: jnp.concatenate([found, last[-1:]]),
            _trials.recorded_episodes(explored.final, 0.0),
            _trials.recorded_episodes(exploited.final, 1.0),
        )
        curve = _trials.curve(exploited)._replace(episodes=episodes)
        return AdaptState({**params, "exploits": jnp.bool_(True)}, carry), curve

    def online(self, budget: Evaluation) -> Online:
        """The first trial of `adapt`, for episodes from outside the simulator: a batch is one episode.

        K exploring episodes come first, and then exploiting ones.
        """
        inner, total = self.acting.online(budget), budget.adapt_steps

        def begin(key: Key, params: Params, obs: Array) -> tuple[Key, tuple[Params, Carry]]:
            key, (params, empty) = inner.begin(key, params, obs)
            return key, ({**params, "exploits": jnp.bool_(total == 0)}, empty)

        def choose(key: Key, plan: tuple[Params, Carry], count: Array) -> Held:
            explore_key, exploit_key = jax.random.split(key)
            own_key = jax.random.fold_in(jnp.where(count < total, explore_key, exploit_key), count)
            return jax.tree.map(lambda x: x[None], Held(own_key, plan[1]))

        def absorb(
            key: Key, plan: tuple[Params, Carry], count: Array, held: Held, steps: Transition
        ) -> tuple[Params, Carry]:
            params, after = inner.absorb(key, plan, count, held, steps)
            carry = jax.tree.map(partial(jnp.where, count < total), after, plan[1])
            return {**params, "exploits": count + 1 >= total}, carry

        return inner._replace(begin=begin, choose=choose, absorb=absorb)

    @property
    def acting(self) -> Remembering:
        """Both policies in trials: `params["exploits"]` chooses the one that acts, and both memories read."""
        return Remembering(self.family, 2 * self.policy.hidden_size, self._forward)

    def params(self, state: State) -> Params:
        """The parameters that `trial` takes."""
        return {
            "explorer": state.explorer.policy,
            "exploiter": state.exploiter.policy,
            "observed": state.observed,
        }

    def _forward(self, params: Params, carry: Carry, obs: Array, first: Array) -> tuple[Array, Array, Policy]:
        """Return the input of the networks [F], both next hidden states and the acting one's distribution."""
        seen = _trials.normalized(params["observed"], _trials.inputs(carry, obs, first))
        both = params["explorer"], params["exploiter"]
        memories = jnp.split(carry.hidden, 2)
        after = [self.policy.step(own, memory, seen) for own, memory in zip(both, memories, strict=True)]
        explore, exploit = (
            self.policy.output(own, memory, seen) for own, memory in zip(both, after, strict=True)
        )
        pi = jax.tree.map(partial(jnp.where, params["exploits"]), exploit, explore)
        return seen, jnp.concatenate(after), pi


def improvements(returned: Array) -> Array:
    """Excess [..., E] of each return after the first of [..., E + 1] over the best before it; at least 0."""
    return jnp.diff(jax.lax.cummax(returned, axis=returned.ndim - 1), axis=-1)


def weights(found: Array, returned: Array) -> Array:
    """The rewards [..., E + 1] of exploiting episodes.

    The first one is rewarded with its return.  A later one with return R is rewarded with 1 + R - B if R is
    at least B, and else with 0.  B is the best return of the exploring episodes before it.

    Args:
        found: returns of the exploring episodes [..., E].
        returned: returns of the exploiting episodes [..., E + 1].
    """
    excess = returned[..., 1:] - jax.lax.cummax(found, axis=found.ndim - 1)
    return jnp.concatenate([returned[..., :1], jnp.where(excess >= 0, 1.0 + excess, 0.0)], axis=-1)


def paid_at_the_end(episodes: Trial, reward: Array) -> Trial:
    """Episodes with the given reward [...] at the last valid step, and no other rewards."""
    valid = episodes.steps.valid
    later = jnp.concatenate([valid[..., 1:], jnp.zeros_like(valid[..., :1])], axis=-1)
    return episodes._replace(steps=episodes.steps._replace(reward=reward[..., None] * (valid - later)))


def after_contexts(net: networks.Recurrent) -> networks.Network:
    """A recurrent network whose episodes start from its memory of other episodes.

    `apply(params, ((context, read), (x, valid)))` takes E episodes in a row [..., E * T, F] with read [...,
    E * T], and E + 1 episodes x [..., E + 1, T, F] with valid [..., E + 1, T].  Episode k begins with the
    memory of the first k episodes of the context.
    """

    def apply(params: Params, obs: Any) -> Any:
        context, (x, valid) = obs
        empty = jnp.zeros((*x.shape[:-3], 1, net.hidden_size))
        states = net.unroll(params, empty[..., 0, :], context)
        ends = states[..., x.shape[-2] - 1 :: x.shape[-2], :]
        first = jnp.concatenate([empty, ends], axis=-2)
        return net.output(params, net.unroll(params, first, (x, valid)), x)

    return networks.Network(net.init, apply)


def learner_of(config: Config, family: TaskFamily) -> FirstExplore:
    """The learner on a family, plain or lifted."""
    policy, critic = _trials.actor_critic(family, config.memory_size, config.ppo)
    explorer = ppo.PPO(policy.of_sequences(), critic.of_sequences(), config.ppo)
    exploiter = ppo.PPO(after_contexts(policy), after_contexts(critic), config.ppo)
    return FirstExplore(config, family, policy, explorer, exploiter)


def make(config: Config, family: TaskFamily) -> MetaLearner:
    """First-Explore on a family, plain or lifted."""
    learner = learner_of(config, family)
    episodes = config.trials_per_update * (2 * config.episodes_per_trial + 1)
    return MetaLearner(
        learner.init,
        learner.step,
        episodes * family.horizon,
        learner.adapt,
        learner.acting.behaviour,
        learns_from="one",
        reads_reward=True,
        online=learner.online,
        keep=learner.params,
    )
