"""Running at a speed or in a direction: the rewards that MAML's ant and half-cheetah share.

Finn et al. 2017, 1703.03400, section 5.3; the sparse direction is that of HyperX (Zintgraf et al. 2021,
2010.01062).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import pydantic

from hmrl_cli.families._goals import uniform
from hmrl_cli.lazy import jnp
from hmrl_cli.schema import Strict
from hmrl_cli.types import Reward, Split

if TYPE_CHECKING:
    from hmrl_cli.types import Array, EnvState, Key, Task


KEPT = 1.0  # s, for which a speed is to be kept


class SpeedConfig(Strict):
    """The settings of a family of speeds."""

    of_tasks: ClassVar[frozenset[str]] = frozenset({"horizon", "reward", "control_cost", "tolerance"})
    reward: Reward = pydantic.Field("dense", description="dense, or only near the wanted speed")
    horizon: int = pydantic.Field(200, gt=0, le=10_000, description="steps of an episode")
    tolerance: float = pydantic.Field(
        0.5,
        gt=0,
        le=10,
        description="all of the sparse reward, and success, which takes 1 s, is this near to the speed, m/s",
    )


class DirectionConfig(Strict):
    """The settings of a family of directions."""

    of_tasks: ClassVar[frozenset[str]] = frozenset({"horizon", "reward", "control_cost", "sparse_distance"})
    reward: Reward = pydantic.Field("dense", description="dense, or only far out in the direction")
    horizon: int = pydantic.Field(200, gt=0, le=10_000, description="steps of an episode")
    sparse_distance: float = pydantic.Field(
        5.0, gt=0, le=1000, description="success, and the sparse reward for the speed, begin this far out, m"
    )


def sample(key: Key, split: Split, fastest: float) -> Task:
    """Draw a speed [1] from U(0, fastest), for the hidden split from the m/s above, m/s."""
    low, high = (fastest, fastest + 1.0) if split == "hidden" else (0.0, fastest)
    return uniform(key, split, (1,), low=low, high=high)


def speed_reward(
    speed: Array, task: Task, kept: Array, config: SpeedConfig, dt: float
) -> tuple[Array, Array, Array]:
    """Return the reward for a speed, whether it is a success, and for how many steps the speed was kept.

    Dense r = -|v - v*|.  Sparse r = max(tolerance - |v - v*|, 0): the dense one, moved up to be 0 on the edge
    of the band.  Success: |v - v*| <= tolerance in every step of the last second, or of the whole episode
    where it is shorter.  Chance passes through the band now and then; it does not stay there.

    Args:
        speed: in this step [], m/s.
        task: the wanted speed [1], m/s.
        kept: for how many steps the speed was kept until now [].
        config: the family's settings.
        dt: of a step, s.
    """
    error = jnp.abs(speed - task[0])
    reward = -error if config.reward == "dense" else jnp.maximum(config.tolerance - error, 0.0)
    kept = jnp.where(error <= config.tolerance, kept + 1, 0)
    return reward, kept >= min(round(KEPT / dt), config.horizon), kept


def direction_reward(speed: Array, distance: Array, config: DirectionConfig) -> tuple[Array, Array]:
    """Return the reward for the speed along the direction, at a distance from the start along it.

    Dense r = v.  Sparse r = v, from `sparse_distance` on, which is also what counts as a success.
    """
    far = distance >= config.sparse_distance
    return (speed if config.reward == "dense" else jnp.where(far, speed, 0.0)), far


def moving_goal(width: float) -> Callable[[EnvState, Task], Array]:
    """Return the scene's goal [1, 4]: where a body at the wanted speed would be."""

    def goals(state: EnvState, task: Task) -> Array:
        return jnp.stack([task[0] * state.body.time, jnp.zeros(()), jnp.zeros(()), jnp.float32(width)])[None]

    return goals
