"""The frames of an episode, as the viewer draws them, and families that record them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import EnvState, TaskFamily

if TYPE_CHECKING:
    from collections.abc import Callable

    from hmrl_cli.types import Array, Key, Task


class Frames(NamedTuple):
    """One episode, from the reset to the last step: F = horizon + 1 frames."""

    poses: Array  # [F, num_bodies, 7]  as `Scene.poses`
    goals: Array  # [F, num_goals, 4]  as `Scene.goals`
    reward: Array  # [F]
    success: Array  # [F] bool
    done: Array  # [F] bool


def frame(family: TaskFamily, state: EnvState, task: Task) -> Frames:
    """The frame of one state, with leaves as in `Frames` but without the axis F."""
    scene = family.scene
    return Frames(scene.poses(state), scene.goals(state, task), state.reward, state.success, state.done)


def place(family: TaskFamily, state: EnvState, task: Task) -> Array:
    """Where a state is in the plane, [2]."""
    return family.features["xy"](state.obs)


class Recording(NamedTuple):
    """The body of a state in a recorded family."""

    body: Any  # of the state in the family itself
    frames: Any  # `Frames` of the episode so far, or what else is taken; the rest is blank
    steps: Array  # [] int32  so far


class Episodes(NamedTuple):
    """Recorded episodes, leaves [..., N, ...]."""

    frames: Any  # `Frames` [..., N, F, ...], or what else was taken of every state
    counted: Array  # [..., N]  1 for episodes that a result counts, else 0
    reached: Array  # [..., N]  1 for episodes that met the goal, else 0


def recorded(
    family: TaskFamily,
    take: Callable[[TaskFamily, EnvState, Task], Any] = frame,
    every: int = 1,
    blank: float = 0.0,
) -> TaskFamily:
    """The family whose states carry the frames of their episode.

    So whoever runs its episodes, also through skills, can be watched.  The random draws stay the same.

    Args:
        family: neither lifted nor repeated, so that every step of the simulation has a frame.
        take: what is kept of a state.
        every: steps from one kept state to the next; the first and the last one are kept.
        blank: stands for states that an episode did not come to, because it ended early.
    """
    length = 1 - (-family.horizon // every)

    def plain(state: EnvState) -> EnvState:
        return state._replace(body=state.body.body)

    def record(state: EnvState, frames: Any, steps: Array, task: Task) -> EnvState:
        at = -(-steps // every)  # the last state of an interval stays
        frames = jax.tree.map(lambda xs, x: xs.at[at].set(x), frames, take(family, state, task))
        return state._replace(body=Recording(state.body, frames, steps))

    def reset(key: Key, task: Task) -> EnvState:
        start = family.reset(key, task)
        shapes = jax.eval_shape(lambda: take(family, start, task))
        empty = jax.tree.map(lambda x: jnp.full((length, *x.shape), blank, x.dtype), shapes)
        return record(start, empty, jnp.int32(0), task)

    def step(state: EnvState, action: Array, task: Task) -> EnvState:
        new = family.step(plain(state), action, task)
        return record(new, state.body.frames, state.body.steps + 1, task)

    script = family.controller
    controller = None if script is None else lambda state, task: script(plain(state), task)
    scene = family.scene._replace(
        poses=lambda state: family.scene.poses(plain(state)),
        goals=lambda state, task: family.scene.goals(plain(state), task),
    )
    return family._replace(reset=reset, step=step, controller=controller, scene=scene)


def frames_of(final: EnvState) -> Any:
    """The frames of the episodes that end in these states; None where their family is not recorded."""
    found = jax.tree.leaves(final, is_leaf=lambda part: isinstance(part, Recording))
    return next((part.frames for part in found if isinstance(part, Recording)), None)


def episodes_of(frames: Any, counted: Array, reached: Array) -> Episodes | None:
    """Recorded episodes; None where there are no frames."""
    return None if frames is None else Episodes(frames, counted, reached)
