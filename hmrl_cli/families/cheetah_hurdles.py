"""A half-cheetah that must get over hurdles, after DIAYN's (Eysenbach et al. 2019, 1802.06070)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pydantic

from hmrl_cli.families import _cheetah
from hmrl_cli.families._goals import uniform
from hmrl_cli.families._walkers import StepResult, TaskSpec, walker_family
from hmrl_cli.lazy import jnp
from hmrl_cli.types import Reward, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Split, Task

SPACING = 3.0  # m, from one hurdle to the next; the first stands at x = 0
HURDLES = 5
HEIGHT = 0.25  # m
# A capsule that stands on its end: in the plane of the cheetah a wall with a round top.  One box costs more
# than five of them.
RADIUS = 0.125  # m; thick, because a foot at 10 m/s moves by 0.125 m in a substep
BEHIND = 0.75  # m, of the torso's middle behind a hurdle: the whole body is over it


class Config(_cheetah.CheetahConfig):
    """A half-cheetah that runs over hurdles."""

    name: Literal["cheetah_hurdles"] = pydantic.Field("cheetah_hurdles", description="half-cheetah, hurdles")
    reward: Reward = pydantic.Field("dense", description="hurdles passed and speed, or hurdles alone")
    horizon: int = pydantic.Field(200, gt=0, le=10_000, description="steps of an episode")
    control_cost: float = pydantic.Field(0.0, ge=0, le=10, description="weight of the squared action")
    hurdles_to_clear: int = pydantic.Field(2, gt=0, le=HURDLES, description="success: so many are passed")


def make(config: Config) -> TaskFamily:
    """Build the family: obs [18] = q [9], qd [9], action [6] motors, task [1] m to the first hurdle.

    Sparse r = 1 at a step that passes a hurdle, else 0; dense r = 1 at such a step, else (x' - x) / 3 m,
    which adds up to 1 from hurdle to hurdle; both less `control_cost` sum a^2, a = clip(action).  A hurdle is
    passed, once an episode, when the middle of the torso is 0.75 m behind it.  Five hurdles, 0.25 m high and
    wide with a round top, stand 3 m apart; shins and feet run into them.  x is observed from the start, which
    is the task's distance in front of the first hurdle, U(1, 2), hidden U(2, 3).  Never an early end.
    Success: `hurdles_to_clear` are passed.
    """

    def score(before: Array, obs: Array, action: Array, task: Task, passed: Any) -> StepResult:
        behind = (obs[0] - task[0] - BEHIND) / SPACING
        now = jnp.maximum(passed, jnp.clip(jnp.floor(behind) + 1.0, 0.0, HURDLES))
        onward = (obs[0] - before[0]) / SPACING if config.reward == "dense" else 0.0
        reward = jnp.where(now > passed, 1.0, onward) - config.control_cost * jnp.sum(jnp.square(action))
        return StepResult(reward, now >= config.hurdles_to_clear, now)

    goal = SPACING * (config.hurdles_to_clear - 1) + BEHIND
    spec = TaskSpec(
        sample=_sample,
        task_size=1,
        score=score,
        controller=lambda state, task: _cheetah.run(state, _cheetah.LEAP),
        goals=lambda state, task: jnp.array([[goal, 0.0, 0.0, 0.25]]),
        init_carry=lambda task: jnp.zeros(()),  # hurdles passed
        origin=lambda task: -task[0],
        is_task=lambda task: task[0] >= BEHIND,  # nearer, the body would start in the hurdle
    )
    walker = _cheetah.cheetah(config, "".join(_hurdle(SPACING * i) for i in range(HURDLES)))
    return walker_family(config.name, config.horizon, walker, spec)


def _sample(key: Key, split: Split) -> Task:
    low = 2.0 if split == "hidden" else 1.0
    return uniform(key, split, (1,), low=low, high=low + 1.0)


def _hurdle(x: float) -> str:
    """Return MJCF of a hurdle at x; half of it is in the ground."""
    half = HEIGHT - RADIUS
    return (
        f'<geom type="capsule" size="{RADIUS} {half}" pos="{x} 0 0" '
        f'contype="0" conaffinity="{_cheetah.OBSTACLE}" rgba=".8 .35 .2 1"/>'
    )
