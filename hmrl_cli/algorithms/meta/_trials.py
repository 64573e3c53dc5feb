"""Trials: several episodes of one task under a policy whose hidden state carries over from each to the next.

The hidden state is 0 at the start of a trial.  Beside the observation, the policy sees its last action, the
reward of that action, and whether the action ended the episode.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.environment.frames import Episodes, episodes_of, frames_of
from hmrl_cli.environment.rollout import Held, draw_tasks, keys_of, taken
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks, ppo, returns
from hmrl_cli.learning.distributions import take
from hmrl_cli.types import Adaptation, AdaptState, EnvState, Online, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.learning.distributions import Policy
    from hmrl_cli.learning.moments import Moments
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Metrics, Params, Task


class Carry(NamedTuple):
    """What one step passes to the next, also across episodes; all 0 at the start of a trial."""

    hidden: Array  # [memory_size]
    action: Array  # [action.size]  the last action, one-hot if discrete
    reward: Array  # []  of the last action
    ended: Array  # []  1 if the last action ended the episode early


class Trial(NamedTuple):
    """The E episodes of a trial, with T steps each."""

    before: Carry  # [E, ...]  at the start of each episode
    seen: Any  # leaves [E, T, ...]  what `forward` returned of its input
    steps: Transition  # [E, T, ...]
    final: EnvState  # [E, ...]  after the last step


class Remembering(NamedTuple):
    """A policy with a hidden state, in the trials of a family."""

    family: TaskFamily
    hidden_size: int
    # parameters, carry, obs, whether it is the first of an episode [] -> what was seen, the next hidden
    # state and the distribution of the action
    forward: Callable[[Params, Carry, Array, Array], tuple[Any, Array, Policy]]

    def trial(
        self, key: Key, params: Params, task: Task, num_episodes: int, deterministic: bool = False
    ) -> Trial:
        """Run the episodes of a trial, each with the carry of the episode before."""
        return self.in_turn(key, params, task, num_episodes, deterministic)[1]

    def in_turn(
        self, key: Key, params: Params, task: Task, num_episodes: int, deterministic: bool = False
    ) -> tuple[Carry, Trial]:
        """The carry after the last episode of a trial, and the trial."""

        def episode(carry: Carry, count: Array) -> tuple[Carry, Trial]:
            return self.episode(jax.random.fold_in(key, count), params, task, carry, deterministic)

        return jax.lax.scan(episode, self._empty(), jnp.arange(num_episodes))

    def episode(
        self, key: Key, params: Params, task: Task, carry: Carry, deterministic: bool = False
    ) -> tuple[Carry, Trial]:
        """The carry after an episode that starts with a carry, and the episode, leaves without the axis E."""
        reset_key, act_key = keys_of(key)
        act = partial(take, deterministic=deterministic)

        def step(state: tuple[EnvState, Carry], t: Array) -> Any:
            return self._one_step(jax.random.fold_in(act_key, t), params, task, act, *state, first=t == 0)

        start = (self.family.reset(reset_key, task), carry)
        (final, after), (seen, steps) = jax.lax.scan(step, start, jnp.arange(self.family.horizon))
        return after, Trial(carry, seen, steps, final)

    def of_new_tasks(
        self, task_key: Key, trial_key: Key, params: Params, count: int, num_episodes: int
    ) -> Trial:
        """One trial of each of `count` new training tasks, leaves [count, E, ...]."""
        tasks = draw_tasks(task_key, self.family, count)
        run = partial(self.trial, num_episodes=num_episodes)
        return jax.vmap(run, in_axes=(0, None, 0))(jax.random.split(trial_key, count), params, tasks)

    def adapt(
        self, key: Key, params: Params, task: Task, budget: Evaluation
    ) -> tuple[AdaptState, Adaptation]:
        """Adapt through the hidden state: N independent trials of K + 1 episodes.

        Entry k of the curve is the mean over the trials' episodes with number k.  It rests on k episodes of
        experience, while entry k of a gradient-based learner rests on k N.  The returned carry is that of the
        first trial before its last episode.
        """
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
            pi = self.forward(params, carry, obs, jnp.bool_(True))[2]
            return take(pi, key, deterministic=deterministic)

        return act

    def online(self, budget: Evaluation) -> Online:
        """The first trial of `adapt`, for episodes from outside the simulator: a batch is one episode."""

        def act(plan: tuple[Params, Carry], held: Held, t: Array, obs: Array) -> tuple[Array, Array, Held]:
            _, hidden, pi = self.forward(plan[0], held.given, obs, t == 0)
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

    def _empty(self) -> Carry:
        zero = jnp.zeros(())
        return Carry(jnp.zeros(self.hidden_size), jnp.zeros(self.family.action.size), zero, zero)

    def _after(self, hidden: Array, action: Array) -> Carry:
        """The carry after an action, whose reward is not known yet."""
        zero = jnp.zeros(())
        return Carry(hidden, networks.action_code(self.family.action, action), zero, zero)

    def _one_step(
        self, key: Key, params: Params, task: Task, act: Any, state: EnvState, carry: Carry, *, first: Array
    ) -> tuple[tuple[EnvState, Carry], tuple[Any, Transition]]:
        """One step of an episode; after an early end the carry stays unchanged."""
        seen, hidden, pi = self.forward(params, carry, state.obs, first)
        action, log_prob = act(pi, key)
        new, transition = taken(self.family, state, task, action, log_prob)
        after = self._after(hidden, action)._replace(reward=new.reward, ended=jnp.float32(new.done))
        carry = jax.tree.map(lambda old, new: jnp.where(state.done, old, new), carry, after)
        return (new, carry), (seen, transition)


def input_size(family: TaskFamily) -> int:
    """F, the size of `inputs`: observation, reward, action and two flags."""
    return family.obs_size + 1 + family.action.size + 2


def inputs(carry: Carry, obs: Array, first: Array) -> Array:
    """What a policy sees of a step [F], in the units of the family."""
    flags = jnp.stack([jnp.float32(first), carry.ended])
    return jnp.concatenate([jnp.append(obs, carry.reward), carry.action, flags])


def normalized(observed: Moments, x: Array) -> Array:
    """`inputs` [..., F] with observation and reward normalised by their moments [obs_size + 1]."""
    size = len(observed.mean)
    return jnp.concatenate([moments.normalize(observed, x[..., :size]), x[..., size:]], axis=-1)


def observe(observed: Moments, steps: Transition) -> Moments:
    """The moments of observation and reward [obs_size + 1] after new steps."""
    seen = jnp.concatenate([steps.obs, steps.reward[..., None]], axis=-1)
    return moments.absorb(observed, seen, steps.valid)


def in_a_row(tree: Any) -> Any:
    """Leaves [N, E, T, ...] of N trials as leaves [N, E * T, ...]."""
    return jax.tree.map(lambda x: x.reshape(x.shape[0], -1, *x.shape[3:]), tree)


def curve(trials: Trial) -> Adaptation:
    """The adaptation curve of N trials, leaves [N, E, ...]: means [E] over the trials."""
    return Adaptation(
        trials.steps.reward.sum(axis=-1).mean(axis=0),
        trials.final.success.astype(jnp.float32).mean(axis=0),
        trials.final.reached.astype(jnp.float32).mean(axis=0),
        recorded_episodes(trials.final, 1.0),
    )


def recorded_episodes(final: EnvState, counted: float) -> Episodes | None:
    """The episodes [E, N] of a recorded family that end in these states, leaves [N, E, ...]."""
    frames = jax.tree.map(lambda x: x.swapaxes(0, 1), frames_of(final))
    reached = final.reached.T.astype(jnp.float32)
    return episodes_of(frames, jnp.full(reached.shape, counted), reached)


def progress(trials: Trial) -> Metrics:
    """How the first and the last episode of N trials went, leaves [N, E, ...]."""
    episodes = curve(trials)
    return {
        "return_first": episodes.returned[0],
        "return_last": episodes.returned[-1],
        "success_last": episodes.success[-1],
        "reached_last": episodes.reached[-1],
    }


def must_hold_whole_trials(config: ppo.Config, count: int) -> None:
    """Raise ValueError if the minibatches do not divide the number of trials of an update."""
    if count % config.minibatches:
        raise ValueError(
            f"ppo.minibatches: found {config.minibatches}; must divide trials_per_update, {count}"
        )


def actor_critic(
    family: TaskFamily,
    memory_size: int,
    settings: ppo.Config,
    body: Callable[..., networks.Network] = networks.mlp,
) -> tuple[networks.Recurrent, networks.Recurrent]:
    """Policy and critic of trials, whose heads `body` makes; the critic also sees the time.

    The critic has its own hidden state, so its gradient does not affect the policy's.
    """
    size, width = input_size(family), memory_size
    policy = networks.recurrent(size, width, ppo.make_policy(width + size, family.action, settings, body))
    critic = networks.recurrent(size + 1, width, body(width + size + 1, settings.hidden, 1, "tanh"))
    return policy, critic


def sequences(agent: ppo.PPO, critic: Params, trials: Trial) -> ppo.Sample:
    """Trials as sequences for PPO, leaves [N, E * T, ...]; the critic also sees the time."""
    seen, steps = in_a_row((trials.seen, trials.steps))
    critic_obs = (ppo.with_time(seen), steps.valid)
    value = agent.critic.apply(critic, critic_obs)[..., 0]
    return sample((seen, steps.valid), critic_obs, steps, value, agent.config)


def sample(obs: Any, critic_obs: Any, steps: Transition, value: Array, config: ppo.Config) -> ppo.Sample:
    """Steps for PPO, whose advantages go on across the ends of the episodes of a trial.

    Args:
        obs: input of the policy network.
        critic_obs: input of the critic network.
        steps: leaves [N, E * T, ...].
        value: [N, E * T] the critic's value of each step.
        config: discount and lambda.
    """
    estimate = partial(advantages, discount=config.discount, lam=config.gae_lambda)
    advantage = jax.vmap(estimate)(steps.reward, value, steps.valid)
    returned = jax.vmap(partial(estimate, lam=1.0))(steps.reward, jnp.zeros_like(value), steps.valid)
    return ppo.Sample(
        obs,
        critic_obs,
        steps.action,
        steps.log_prob,
        ppo.whitened(advantage, returned, steps.valid),
        (advantage + value)[..., None],
        steps.valid,
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
