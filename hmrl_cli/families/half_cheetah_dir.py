"""MAML's half-cheetah of directions (Finn et al. 2017, 1703.03400, section 5.3): run ahead or back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pydantic

from hmrl_cli.families import _cheetah, _speed
from hmrl_cli.families._walkers import StepResult, TaskSpec, walker_family
from hmrl_cli.lazy import jnp
from hmrl_cli.types import EnvState, Split, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task


class Config(_cheetah.CheetahConfig, _speed.DirectionConfig):
    """A half-cheetah that runs ahead or back."""

    of_tasks: ClassVar[frozenset[str]] = _speed.DirectionConfig.of_tasks | {"directions"}
    name: Literal["half_cheetah_dir"] = pydantic.Field(
        "half_cheetah_dir", description="MAML's half-cheetah of directions"
    )
    directions: Literal["both", "forward"] = pydantic.Field(
        "both", description="of train and test: both, or forward alone, with backward as the hidden task"
    )


def make(config: Config) -> TaskFamily:
    """Build the family: obs [18] = q [9], qd [9], action [6] of brax's half-cheetah, task [1] direction d.

    q is x, z in m, pitch, then thigh, shin and foot of the back and the front leg in rad; qd its velocities.
    The motors turn these joints in that order.  An action of 1 is a torque of 120, 90, 60, 120, 100, 100 N m.
    Under mjx it is 120, 90, 60, 120, 60, 30 N m.

    d is -1 or 1.  Dense r = d (x' - x) / dt - 0.05 sum a^2, with a = clip(action).  In the sparse r the speed
    counts only from d x' >= `sparse_distance` on.  No early end.  Success: d x' >= `sparse_distance`.

    With `directions` "both", train and test share both tasks, and there is no hidden task.  With "forward",
    the task of train and test is 1 and the hidden task is -1.
    """

    def sample(key: Key, split: Split) -> Task:
        return _speed.ahead_or_back(key, split, config.directions)[None]

    def score(before: Array, obs: Array, action: Array, task: Task, carry: Any) -> StepResult:
        speed = task[0] * (obs[0] - before[0]) / config.dt
        reward, success = _speed.direction_reward(speed, task[0] * obs[0], config)
        return StepResult(reward - config.control_cost * jnp.sum(jnp.square(action)), success)

    def goals(state: EnvState, task: Task) -> Array:
        return jnp.array([[config.sparse_distance, 0.0, 0.0, 0.5]]).at[0, 0].multiply(task[0])

    spec = TaskSpec(
        sample=sample,
        task_size=1,
        score=score,
        controller=lambda state, task: _cheetah.sprint(state, task[0], config.backend),
        goals=goals,
        is_task=_is_task,
    )
    return walker_family(config.name, config.horizon, _cheetah.cheetah(config), spec)


def _is_task(task: Task) -> Array:
    return jnp.abs(task[0]) == 1.0
