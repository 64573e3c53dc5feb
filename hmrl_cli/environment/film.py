"""Episodes as a viewer plays them: what is kept of each frame, and the page of several episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.types import EnvState, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Task


class Film(NamedTuple):
    """One episode, from the reset to the last step: F = horizon + 1 frames."""

    poses: Array  # [F, num_bodies, 7]
    goals: Array  # [F, num_goals, 4]
    reward: Array  # [F]
    success: Array  # [F] bool
    done: Array  # [F] bool


def frame(family: TaskFamily, state: EnvState, task: Task) -> Film:
    """One frame, leaves without [F]."""
    scene = family.scene
    return Film(scene.poses(state), scene.goals(state, task), state.reward, state.success, state.done)
