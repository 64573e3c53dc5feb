"""Episodes: one step that respects an early end, and the unroll of a whole episode."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import EnvState, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task


def advance(family: TaskFamily, state: EnvState, action: Array, task: Task) -> EnvState:
    """One step of the family; an episode that has ended stays as it was and earns nothing."""
    new = family.step(state, action, task)
    new = new._replace(reached=state.reached | new.reached | new.success, done=state.done | new.done)
    if not family.terminates:
        return new
    ended = state._replace(reward=jnp.zeros_like(state.reward))
    return jax.tree.map(lambda old, new: jnp.where(state.done, old, new), ended, new)


def unroll(
    key: Key,
    policy: Callable[[Key, Array], tuple[Array, Array]],
    family: TaskFamily,
    task: Task,
) -> tuple[Transition, EnvState]:
    """One episode of `task` under `policy(key, obs) -> (action, log_prob)`.

    Returns the transitions, leaves [horizon, ...], and the state after the last step.
    """
    reset_key, policy_key = jax.random.split(key)

    def one_step(state: EnvState, t: Array) -> tuple[EnvState, Transition]:
        action, log_prob = policy(jax.random.fold_in(policy_key, t), state.obs)
        new = advance(family, state, action, task)
        transition = Transition(
            obs=state.obs,
            action=action,
            log_prob=log_prob,
            reward=new.reward,
            discount=1.0 - new.done,
            valid=1.0 - state.done,
            next_obs=new.obs,
        )
        return new, transition

    final, transitions = jax.lax.scan(one_step, family.reset(reset_key, task), jnp.arange(family.horizon))
    return transitions, final
