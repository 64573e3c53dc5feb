"""A half-cheetah with hurdles, after DIAYN's (Eysenbach et al. 2019, 1802.06070)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

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
# A hurdle is an upright capsule.  In the plane of the cheetah it is a wall with a round top.  Five capsules
# cost less than one box.
RADIUS = 0.125  # m, of a hurdle; a foot at 10 m/s moves 0.125 m in a substep and must not pass through
BEHIND = 0.75  # m from a hurdle to the middle of the torso at which the whole body has passed it


class Config(_cheetah.CheetahConfig):
    """A half-cheetah that runs over hurdles."""

    of_tasks: ClassVar[frozenset[str]] = frozenset({"horizon", "reward", "control_cost", "hurdles_to_clear"})
    name: Literal["cheetah_hurdles"] = pydantic.Field("cheetah_hurdles", description="half-cheetah, hurdles")
    reward: Reward = pydantic.Field(
        "dense", description="dense: passed hurdles and distance; sparse: passed hurdles alone"
    )
    horizon: int = pydantic.Field(200, gt=0, le=10_000, description="steps of an episode")
    control_cost: float = pydantic.Field(0.0, ge=0, le=10, description="weight of the squared action")
    hurdles_to_clear: int = pydantic.Field(
        2, gt=0, le=HURDLES, description="number of passed hurdles for success"
    )


def make(config: Config) -> TaskFamily:
    """Build the family: obs [18] = q [9], qd [9], action [6] motors, task [1] m to the first hurdle.

    q is x, z in m, pitch, then thigh, shin and foot of the back and the front leg in rad; qd its velocities.
    The motors turn these joints in that order.  An action of 1 is a torque of 120, 90, 60, 120, 100, 100 N m.
    Under mjx it is 120, 90, 60, 120, 60, 30 N m.

    Sparse r = 1 at a step that passes a hurdle, else 0.  Dense r = 1 at such a step, else (x' - x) / 3 m,
    which adds up to 1 between two hurdles.  Both have `control_cost` sum a^2 subtracted, with a =
    clip(action).

    Five hurdles stand 3 m apart.  Each is 0.25 m high and wide and has a round top.  Shins and feet collide
    with hurdles.  A hurdle counts as passed, once an episode, when the middle of the torso is 0.75 m behind
    it.  The episode starts at the task's distance in front of the first hurdle, U(1, 2), hidden U(2, 3).
    Observed x is relative to the start.  No early end.  Success: `hurdles_to_clear` hurdles are passed.
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
        init_carry=lambda task: jnp.zeros(()),  # number of passed hurdles
        origin=lambda task: -task[0],
        is_task=lambda task: task[0] >= BEHIND,  # nearer, the body would overlap the hurdle at the start
    )
    walker = _cheetah.cheetah(config, "".join(_hurdle(SPACING * i) for i in range(HURDLES)))
    return walker_family(config.name, config.horizon, walker, spec)


def _sample(key: Key, split: Split) -> Task:
    low = 2.0 if split == "hidden" else 1.0
    return uniform(key, split, (1,), low=low, high=low + 1.0)


def _hurdle(x: float) -> str:
    """Return MJCF of a hurdle at x; its lower half is in the ground."""
    half = HEIGHT - RADIUS
    return (
        f'<geom type="capsule" size="{RADIUS} {half}" pos="{x} 0 0" '
        f'contype="0" conaffinity="{_cheetah.OBSTACLE}" rgba=".8 .35 .2 1"/>'
    )
