"""A massless point in the plane, which `point` and `sparse_point` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hmrl_cli.lazy import jnp
from hmrl_cli.types import Continuous, EnvState, Scene, Shape, Split, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

STEP = 0.1  # displacement by an action of 1, in each coordinate


def family(
    *,
    name: str,
    sample: Callable[[Key, Split], Task],
    reward: Callable[[Array], Array],
    ended: Callable[[Array], Array] | None,
    success_radius: float,
    horizon: int,
) -> TaskFamily:
    """Build a family of goals for a point that starts at the origin.

    Observation: position s [2].  Task: goal g [2].  Dynamics: s' = s + 0.1 clip(a, -1, 1).

    Args:
        name: of the family.
        sample: draws a goal.
        reward: offset s' - g [2] -> reward [] of the step.
        ended: offset s' - g [2] -> whether the episode ends early [] bool; None never ends it.
        success_radius: success is |s' - g| <= success_radius.
        horizon: steps of an episode.
    """

    def observe(position: Array, task: Task) -> EnvState:
        offset = position - task
        success = jnp.linalg.norm(offset) <= success_radius
        done = ended(offset) if ended else jnp.zeros((), bool)
        return EnvState((), position, reward(offset), success, success, done)

    def reset(key: Key, task: Task) -> EnvState:
        state = observe(jnp.zeros(2), task)
        return state._replace(reward=jnp.zeros(()), done=jnp.zeros((), bool))

    return TaskFamily(
        name=name,
        sample=sample,
        reset=reset,
        step=lambda state, action, task: observe(state.obs + STEP * jnp.clip(action, -1.0, 1.0), task),
        controller=lambda state, task: jnp.clip((task - state.obs) / STEP, -1.0, 1.0),
        features={"identity": lambda obs: obs, "xy": lambda obs: obs},
        obs_size=2,
        task_size=2,
        action=Continuous(2),
        horizon=horizon,
        terminates=ended is not None,
        scene=_scene(success_radius),
    )


def _scene(success_radius: float) -> Scene:
    """Return the view of a point and its goal."""
    return Scene(
        shapes=(Shape("sphere", (0.02,), 0, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.2, 0.4, 0.8)),),
        poses=lambda state: jnp.concatenate([state.obs, jnp.array([0.0, 1.0, 0.0, 0.0, 0.0])])[None],
        goals=lambda state, task: jnp.concatenate([task, jnp.array([0.0, success_radius])])[None],
        dt=STEP,  # s; the unit of length is arbitrary
        flat=True,
    )
