"""Episodes: one step that handles an early end, and the unroll of a whole episode."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.environment.frames import episodes_of, frames_of
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import Adaptation, EnvState, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Split, Task


class RepeatedAction(NamedTuple):
    """An action that an episode repeats from step `start` to its end, in place of the policy's actions.

    Several actions are repeated one after another.
    """

    start: Array  # []  int32; the horizon or more: never
    action: Array  # [action_size], or [] int32; with `steps`, [number of actions, ...]
    steps: Array | None = None  # [] int32  of each of several actions; the last one goes on to the end

    def at(self, t: Array) -> Array:
        """The action of step t []."""
        if self.steps is None:
            return self.action
        return self.action[jnp.clip((t - self.start) // self.steps, 0, len(self.action) - 1)]


class Held(NamedTuple):
    """What determines an episode beside its task: key, the policy's own data, and repeated actions."""

    key: Key  # draws the reset and the actions
    given: Any = None  # the policy's own data, such as a latent, or what the episode has met so far
    repeated: RepeatedAction | None = None


def decide(
    key: Key,
    policy: Callable[..., tuple[Array, Array]],
    t: Array,
    obs: Array,
    repeated: RepeatedAction | None = None,
    *given: Any,
) -> tuple[Array, Array]:
    """The action of step t [], and its log pi; see `unroll`, whose episode has the key `policy_key`."""
    action, log_prob = policy(jax.random.fold_in(key, t), obs, *given)
    if repeated is not None:
        action = jnp.where(t >= repeated.start, repeated.at(t), action)
    return action, log_prob


def online_act(policy: Callable[[Any, Any], Callable[..., tuple[Array, Array]]]) -> Callable[..., Any]:
    """The `act` of an `Online` whose episodes act by `policy(plan, held.given)`, as `unroll` does."""

    def act(plan: Any, held: Held, t: Array, obs: Array) -> tuple[Array, Array, Held]:
        policy_key = keys_of(held.key)[1]
        return *decide(policy_key, policy(plan, held.given), t, obs, held.repeated), held

    return act


def keys_of(key: Key) -> tuple[Key, Key]:
    """The keys of an episode's reset and of its actions."""
    reset_key, policy_key = jax.random.split(key)
    return reset_key, policy_key


def draw_tasks(key: Key, family: TaskFamily, count: int, split: Split = "train") -> Array:
    """Tasks of a split [count, task_size]."""
    return jax.vmap(lambda k: family.sample(k, split))(jax.random.split(key, count))


def advance(family: TaskFamily, state: EnvState, action: Array, task: Task) -> EnvState:
    """One step of the family; after an early end the state stays the same and the reward is 0."""
    new = family.step(state, action, task)
    new = new._replace(reached=state.reached | new.reached | new.success, done=state.done | new.done)
    if not family.terminates:
        return new
    ended = state._replace(reward=jnp.zeros_like(state.reward))
    return jax.tree.map(lambda old, new: jnp.where(state.done, old, new), ended, new)


def taken(
    family: TaskFamily, state: EnvState, task: Task, action: Array, log_prob: Array
) -> tuple[EnvState, Transition]:
    """The state after an action of the policy, and the transition."""
    new = advance(family, state, action, task)
    discount, valid = 1.0 - new.done, 1.0 - state.done
    return new, Transition(state.obs, action, log_prob, new.reward, discount, valid, new.obs)


def unroll(
    key: Key,
    policy: Callable[..., tuple[Array, Array]],
    family: TaskFamily,
    task: Task,
    repeated: RepeatedAction | None = None,
    commands: Any = None,
) -> tuple[Transition, EnvState]:
    """One episode of `task` under `policy(key, obs) -> (action, log_prob)`.

    Args:
        key: draws the reset and the actions.
        policy: key, obs -> action, log pi(action | obs).
        family: gives the dynamics.
        task: [task_size].
        repeated: an action that replaces the policy's from a step on; `log_prob` stays that of the policy's.
        commands: leaves [horizon, ...], or None; the entry of each step is a third argument of the policy.

    Returns:
        the transitions, leaves [horizon, ...], and the state after the last step.
    """
    reset_key, policy_key = keys_of(key)

    def one_step(state: EnvState, now: tuple[Array, Any]) -> tuple[EnvState, Transition]:
        t, command = now
        given = () if commands is None else (command,)
        return taken(family, state, task, *decide(policy_key, policy, t, state.obs, repeated, *given))

    steps = (jnp.arange(family.horizon), commands)
    final, transitions = jax.lax.scan(one_step, family.reset(reset_key, task), steps)
    return transitions, final


def unroll_sensing(
    key: Key,
    act: Callable[[Any, Array, Array], tuple[Array, Array, Any]],
    sense: Callable[[Any, Array, Array], Any],
    seen: Any,
    family: TaskFamily,
    task: Task,
) -> tuple[Any, Transition, EnvState]:
    """One episode of `task` under a policy that uses what the episode has shown.

    Args:
        key: draws the reset.
        act: what was seen, number of a step [], observation -> action, log pi(action), what was seen.
        sense: what was seen, reward [] of the last action, whether the episode has ended early [] -> what
            was seen.
        seen: before the first step.
        family: gives the dynamics.
        task: [task_size].

    Returns:
        what was seen, the transitions, leaves [horizon, ...], and the state after the last step.
    """

    def one_step(now: tuple[EnvState, Any], t: Array) -> tuple[tuple[EnvState, Any], Transition]:
        state, seen = now
        action, log_prob, seen = act(seen, t, state.obs)
        new, transition = taken(family, state, task, action, log_prob)
        return (new, sense(seen, new.reward, new.done)), transition

    start = (family.reset(key, task), seen)
    (final, seen), transitions = jax.lax.scan(one_step, start, jnp.arange(family.horizon))
    return seen, transitions, final


def episode_means(reward: Array, final: EnvState) -> Adaptation:
    """Means [] over N episodes, of rewards [N, T] and last states [N]."""
    reached = final.reached.astype(jnp.float32)
    return Adaptation(
        reward.sum(axis=1).mean(),
        final.success.astype(jnp.float32).mean(),
        reached.mean(),
        episodes_of(frames_of(final), jnp.ones(len(reward)), reached),
    )
