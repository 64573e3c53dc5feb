"""MAML's ant of directions (Finn et al. 2017, 1703.03400, section 5.3), extended to a half circle.

MAML's own tasks, ahead and back, are those of `directions` "both".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pydantic

from hmrl_cli.families import _ant, _speed
from hmrl_cli.families._goals import disc, uniform
from hmrl_cli.families._walkers import StepResult, TaskSpec, walker_family
from hmrl_cli.lazy import jnp
from hmrl_cli.types import Split, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

ALIVE = 0.05  # MAML's reward for every step before a fall


class Config(_ant.AntConfig, _speed.DirectionConfig):
    """An ant that runs in a wanted direction."""

    of_tasks: ClassVar[frozenset[str]] = _speed.DirectionConfig.of_tasks | {"directions"}
    name: Literal["ant_dir"] = pydantic.Field("ant_dir", description="MAML's ant of directions")
    directions: Literal["half_circle", "both", "forward"] = pydantic.Field(
        "half_circle",
        description="of train and test: any to the left; forward and back; or forward alone, with back as "
        "the hidden task",
    )


def make(config: Config) -> TaskFamily:
    """Build the family: obs [29] = q [15], qd [14], action [8] of motors, task [1] angle of direction d, rad.

    q is x, y, z in m, the quaternion w, x, y, z, then hip and ankle of legs 1 .. 4 in rad; qd: velocities.
    A motor gives `gear` N m at an action of 1: hip and ankle of leg 4, then of legs 1, 2, 3.

    Dense r = d . (p' - p) / dt + 0.05 - 0.005 sum a^2, with the torso at p and a = clip(action).  In the
    sparse r the speed counts only from d . p' >= `sparse_distance` on.  The angle is U(0, pi), hidden U(pi,
    2 pi).  A fall ends the episode, unless `ends_when_fallen` is false.  Success: d . p' >=
    `sparse_distance`.

    With `directions` "both", train and test share the angles 0 and pi, and there is no hidden task.  With
    "forward", the angle of train and test is 0 and the hidden one is pi.
    """

    def sample(key: Key, split: Split) -> Task:
        if config.directions == "half_circle":
            start = math.pi if split == "hidden" else 0.0
            return uniform(key, split, (1,), low=start, high=start + math.pi)
        return jnp.arccos(_speed.ahead_or_back(key, split, config.directions))[None]

    def score(before: Array, obs: Array, action: Array, task: Task, carry: Any) -> StepResult:
        way = _unit(task)
        speed = jnp.dot(way, obs[:2] - before[:2]) / config.dt
        reward, success = _speed.direction_reward(speed, jnp.dot(way, obs[:2]), config)
        return StepResult(reward + ALIVE - config.control_cost * jnp.sum(jnp.square(action)), success)

    spec = TaskSpec(
        sample=sample,
        task_size=1,
        score=score,
        controller=lambda state, task: _ant.trot(state, _unit(task), jnp.ones(()), config.gear),
        goals=lambda state, task: disc(config.sparse_distance * _unit(task), 0.5),
    )
    return walker_family(config.name, config.horizon, _ant.ant(config), spec)


def _unit(task: Task) -> Array:
    return jnp.stack([jnp.cos(task[0]), jnp.sin(task[0])])
