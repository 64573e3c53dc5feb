"""MAESN's ant (Gupta et al. 2018, 1802.07245): walk to a goal on a half circle of 2 m."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pydantic

from hmrl_cli.families import _ant, _ring
from hmrl_cli.families._goals import disc
from hmrl_cli.families._walkers import StepResult, TaskSpec, walker_family
from hmrl_cli.lazy import jnp
from hmrl_cli.types import TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Task

ALIVE = 4.05  # reward of every step before a fall; keeps the sum positive


class Config(_ant.AntConfig, _ring.RingConfig):
    """An ant that walks to a goal on a half ring."""

    name: Literal["ant_goal"] = pydantic.Field("ant_goal", description="MAESN's ant")
    horizon: int = pydantic.Field(100, gt=0, le=10_000, description="steps of an episode")


def make(config: Config) -> TaskFamily:
    """Build the family: obs [29] = q [15], qd [14], action [8] of motors, task [2] goal, m.

    q is x, y, z in m, the quaternion w, x, y, z, then hip and ankle of legs 1 .. 4 in rad; qd: velocities.
    A motor gives `gear` N m at an action of 1: hip and ankle of leg 4, then of legs 1, 2, 3.

    Dense r = 4.05 - |c - g|_1 - 0.005 sum a^2, with the torso at c and a = clip(action).  Outside the disc
    the sparse r has |g|_1 in place of |c - g|_1.  MAESN's contact cost is left out, because no Brax backend
    reports contact forces.  A fall ends the episode, unless `ends_when_fallen` is false.  Success: inside
    the disc of `sparse_radius`.  Start: brax's standing pose with brax's noise.
    """

    def score(before: Array, obs: Array, action: Array, task: Task, carry: Any) -> StepResult:
        offset = obs[:2] - task
        cost = _ring.goal_cost(offset, task, 1, config) + config.control_cost * jnp.sum(jnp.square(action))
        return StepResult(ALIVE - cost, _ring.in_disc(offset, config))

    spec = TaskSpec(
        sample=lambda key, split: _ring.sample_goal(key, split, config),
        task_size=2,
        score=score,
        controller=lambda state, task: _ant.walk_to(state, task, config.gear),
        goals=lambda state, task: disc(task, config.sparse_radius),
    )
    return walker_family(config.name, config.horizon, _ant.ant(config), spec)
