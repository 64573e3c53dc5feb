"""Temporal abstraction by composition: one step of a family is several steps of another (Sutton et al. 1999).

`lift` makes frozen skills the actions.  `repeat` repeats a plain action.  Tasks, dynamics and rewards stay
those of the original family.  A learner of tasks needs no changes to act through either.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from hmrl_cli.environment.rollout import advance
from hmrl_cli.lazy import KEYS, jax, jnp
from hmrl_cli.types import Bonus, EnvState, SkillLibrary, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task


def bonus(family: TaskFamily, made: Bonus) -> TaskFamily:
    """The family with an exploration bonus that is bound to it."""
    return family._replace(bonus=made)


def lift(family: TaskFamily, library: SkillLibrary, steps_per_skill: int, *, stochastic: bool) -> TaskFamily:
    """The family with skills as actions: one step runs the chosen skill for `steps_per_skill` steps.

    Args:
        family: the family in which the skills act.
        library: frozen skills.  Skills that can be located add a feature "skill": the skill [..., skill size]
            that leads to an observation.
        steps_per_skill: environment steps in one decision.
        stochastic: whether skills sample their actions, as in their training, or take the most likely ones.

    Raises:
        ValueError: `steps_per_skill` does not divide the horizon.
    """

    features = dict(family.features)
    if library.locate is not None:
        features["skill"] = partial(library.locate, library.params)
    lifted = _decide_every(family, steps_per_skill, skill_action(library, stochastic=stochastic))
    return lifted._replace(action=library.skill, features=features)


def skill_action(library: SkillLibrary, *, stochastic: bool) -> Callable[[Key, Array, Array], Array]:
    """A function (key, obs, skill) -> the action of a skill in one step of the family."""

    def act(key: Key, obs: Array, skill: Array) -> Array:
        pi = library.policy(library.params, obs, skill)
        return pi.sample(key) if stochastic else pi.mode()

    return act


def same_action(key: Key, obs: Array, action: Array) -> Array:
    """The action of one step of a repeated action."""
    return action


def repeat(family: TaskFamily, steps_per_action: int) -> TaskFamily:
    """The family with each action repeated for `steps_per_action` steps.

    Raises:
        ValueError: `steps_per_action` does not divide the horizon.
    """
    return _decide_every(family, steps_per_action, same_action)


def step_key(reset_key: Key, count: Array, t: Array) -> Key:
    """The key of step t [] within decision number `count` [], from the key of the episode's reset."""
    return jax.random.fold_in(_decision_key(jax.random.key_data(reset_keys(reset_key)[1]), count), t)


def reset_keys(key: Key) -> tuple[Key, Key]:
    """The keys of the reset of the family below, and of the actions within decisions."""
    reset_key, act_key = jax.random.split(key)
    return reset_key, act_key


def _decision_key(seed: Array, count: Array) -> Key:
    return jax.random.fold_in(jax.random.wrap_key_data(seed, impl=KEYS), count)


def _decide_every(family: TaskFamily, steps: int, act: Callable[[Key, Array, Array], Array]) -> TaskFamily:
    """The family with one decision every `steps` steps; `act(key, obs, decision)` gives their actions."""
    if family.horizon % steps:
        raise ValueError(
            f"a decision every {steps} steps does not divide the horizon of {family.name}, {family.horizon}"
        )

    def wrap(inner: EnvState, seed: Array, count: Array, reward: Array) -> EnvState:
        return inner._replace(body=(inner, seed, count), reward=reward)

    def reset(key: Key, task: Task) -> EnvState:
        reset_key, act_key = reset_keys(key)
        inner = family.reset(reset_key, task)
        # as uint32: a state contains plain arrays only
        return wrap(inner, jax.random.key_data(act_key), jnp.int32(0), inner.reward)

    def step(state: EnvState, decision: Array, task: Task) -> EnvState:
        inner, seed, count = state.body
        decision_key = _decision_key(seed, count)

        def one_step(inner: EnvState, t: Array) -> tuple[EnvState, Array]:
            action = act(jax.random.fold_in(decision_key, t), inner.obs, decision)
            inner = advance(family, inner, action, task)
            return inner, inner.reward

        inner, rewards = jax.lax.scan(one_step, inner, jnp.arange(steps))
        return wrap(inner, seed, count + 1, rewards.sum())

    scene = family.scene._replace(
        poses=lambda state: family.scene.poses(state.body[0]),
        goals=lambda state, task: family.scene.goals(state.body[0], task),
        dt=family.scene.dt * steps,
    )
    horizon = family.horizon // steps
    return family._replace(reset=reset, step=step, horizon=horizon, controller=None, scene=scene)
