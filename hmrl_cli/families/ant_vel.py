"""MAML's ant of speeds (Finn et al. 2017, 1703.03400, section 5.3): run along x at the wanted speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pydantic

from hmrl_cli.families import _ant, _speed
from hmrl_cli.families._walkers import StepResult, TaskSpec, walker_family
from hmrl_cli.lazy import jnp
from hmrl_cli.types import TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Task

ALIVE = 0.05  # MAML's reward for every step before a fall; the dense reward adds 1


class Config(_ant.AntConfig, _speed.SpeedConfig):
    """An ant that runs at a wanted speed."""

    name: Literal["ant_vel"] = pydantic.Field("ant_vel", description="MAML's ant of speeds")
    max_speed: float = _speed.max_speed(3.0)


def make(config: Config) -> TaskFamily:
    """Build the family: obs [29] = q [15], qd [14], action [8] of motors, task [1] speed v* along x, m/s.

    q is x, y, z in m, the quaternion w, x, y, z, then hip and ankle of legs 1 .. 4 in rad; qd: velocities.
    A motor gives `gear` N m at an action of 1: hip and ankle of leg 4, then of legs 1, 2, 3.

    v = (x' - x) / dt.  Dense r = 1.05 - |v - v*| - 0.005 sum a^2, with a = clip(action).  Sparse
    r = 0.05 + max(tolerance - |v - v*|, 0) - 0.005 sum a^2.  v* ~ U(0, max_speed), hidden
    U(max_speed, max_speed + 1).  A fall ends the episode, unless `ends_when_fallen` is false.  Success:
    |v - v*| <= tolerance in every step of the last second.
    """
    alive = ALIVE + (1.0 if config.reward == "dense" else 0.0)

    def score(before: Array, obs: Array, action: Array, task: Task, kept: Any) -> StepResult:
        speed = (obs[0] - before[0]) / config.dt
        reward, success, kept = _speed.speed_reward(speed, task, kept, config, config.dt)
        return StepResult(alive + reward - config.control_cost * jnp.sum(jnp.square(action)), success, kept)

    spec = TaskSpec(
        sample=lambda key, split: _speed.sample(key, split, config.max_speed),
        task_size=1,
        score=score,
        controller=lambda state, task: _ant.run_at(state, task[0], config.gear),
        init_carry=lambda task: jnp.int32(0),  # number of steps within the tolerance
        goals=_speed.moving_goal(0.5),
    )
    return walker_family(config.name, config.horizon, _ant.ant(config), spec)
