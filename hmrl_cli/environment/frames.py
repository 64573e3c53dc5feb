"""The frames of an episode, as the viewer draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.types import EnvState, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Task


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
