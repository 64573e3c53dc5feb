"""MAML's half-cheetah of speeds (Finn et al. 2017, 1703.03400, section 5.3): run at the wanted speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pydantic

from hmrl_cli.families import _cheetah, _speed
from hmrl_cli.families._walkers import StepResult, TaskSpec, walker_family
from hmrl_cli.lazy import jnp
from hmrl_cli.types import TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Task


class Config(_cheetah.CheetahConfig, _speed.SpeedConfig):
    """A half-cheetah that runs at a wanted speed."""

    name: Literal["half_cheetah_vel"] = pydantic.Field(
        "half_cheetah_vel", description="MAML's half-cheetah of speeds"
    )
    max_speed: float = _speed.max_speed(2.0)


def make(config: Config) -> TaskFamily:
    """Build the family: obs [18] = q [9], qd [9], action [6] of brax's half-cheetah, task [1] speed v*, m/s.

    q is x, z in m, pitch, then thigh, shin and foot of the back and the front leg in rad; qd its velocities.
    The motors turn these joints in that order.  An action of 1 is a torque of 120, 90, 60, 120, 100, 100 N m.
    Under mjx it is 120, 90, 60, 120, 60, 30 N m.  With mjx and 5 substeps the body is Gym's.

    v = (x' - x) / dt.  Dense r = -|v - v*| - 0.05 sum a^2, with a = clip(action).  Sparse
    r = max(tolerance - |v - v*|, 0) - 0.05 sum a^2.  v* ~ U(0, max_speed), hidden
    U(max_speed, max_speed + 1).  No early end.  Success: |v - v*| <= tolerance in every step of the last
    second.
    """

    def score(before: Array, obs: Array, action: Array, task: Task, kept: Any) -> StepResult:
        speed = (obs[0] - before[0]) / config.dt
        reward, success, kept = _speed.speed_reward(speed, task, kept, config, config.dt)
        return StepResult(reward - config.control_cost * jnp.sum(jnp.square(action)), success, kept)

    spec = TaskSpec(
        sample=lambda key, split: _speed.sample(key, split, config.max_speed),
        task_size=1,
        score=score,
        controller=lambda state, task: _cheetah.keep_pace(state, task[0], config.backend),
        init_carry=lambda task: jnp.int32(0),  # number of steps within the tolerance
        goals=_speed.moving_goal(0.3),
    )
    return walker_family(config.name, config.horizon, _cheetah.cheetah(config), spec)
