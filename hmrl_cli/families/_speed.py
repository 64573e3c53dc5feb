"""Rewards for a speed or a direction, which the ants and half-cheetahs share.

The dense rewards are MAML's (Finn et al. 2017, 1703.03400, section 5.3).  The sparse reward of a direction is
like HyperX's (Zintgraf et al. 2021, 2010.01062).  Theirs is also paid, as a cost, as far on the wrong side,
which tells the direction; here the wrong side pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import pydantic

from hmrl_cli.errors import ConfigError
from hmrl_cli.families._goals import split_key, uniform
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.schema import Strict
from hmrl_cli.types import Reward, Split

if TYPE_CHECKING:
    from hmrl_cli.types import Array, EnvState, Key, Task


KEPT = 1.0  # s for which success requires the wanted speed


def max_speed(default: float) -> Any:
    """Return the field of the greatest speed, m/s."""
    text = "greatest speed of training and test tasks, m/s; hidden ones go 1 m/s beyond"
    return pydantic.Field(default, gt=0, le=20, description=text)


class SpeedConfig(Strict):
    """Settings of a family of speeds."""

    of_tasks: ClassVar[frozenset[str]] = frozenset(
        {"horizon", "reward", "control_cost", "tolerance", "max_speed"}
    )
    reward: Reward = pydantic.Field("dense", description="dense, or only near the wanted speed")
    horizon: int = pydantic.Field(200, gt=0, le=10_000, description="steps of an episode")
    max_speed: float
    tolerance: float = pydantic.Field(
        0.5,
        gt=0,
        le=10,
        description="greatest error of the speed for success, and for the sparse reward, m/s",
    )


class DirectionConfig(Strict):
    """Settings of a family of directions."""

    of_tasks: ClassVar[frozenset[str]] = frozenset({"horizon", "reward", "control_cost", "sparse_distance"})
    reward: Reward = pydantic.Field("dense", description="dense, or only from `sparse_distance` on")
    horizon: int = pydantic.Field(200, gt=0, le=10_000, description="steps of an episode")
    sparse_distance: float = pydantic.Field(
        5.0,
        gt=0,
        le=1000,
        description="distance along the direction from which success and the sparse reward begin, m",
    )


def sample(key: Key, split: Split, max_speed: float) -> Task:
    """Draw a speed [1] from U(0, max_speed), m/s; U(max_speed, max_speed + 1) for the hidden split."""
    low, high = (max_speed, max_speed + 1.0) if split == "hidden" else (0.0, max_speed)
    return uniform(key, split, (1,), low=low, high=high)


def ahead_or_back(key: Key, split: Split, directions: str) -> Array:
    """Draw 1 for ahead or -1 for back [].

    With `directions` "both", train and test share both.  With "forward", train and test are ahead, and
    hidden is back.

    Raises:
        ConfigError: both directions are trained, so that none is hidden.
    """
    if directions == "forward":
        return jnp.float32(-1.0 if split == "hidden" else 1.0)
    if split == "hidden":
        raise ConfigError(
            "family.directions: found 'both', which leaves no direction out for the hidden split; "
            "to have one, train with: --set family.directions=forward"
        )
    return jax.random.rademacher(split_key(key, split), (), jnp.float32)


def speed_reward(
    speed: Array, task: Task, kept: Array, config: SpeedConfig, dt: float
) -> tuple[Array, Array, Array]:
    """Return the reward [] for a speed v, the success [] bool, and the new value of `kept`.

    Dense r = -|v - v*|.  Sparse r = max(tolerance - |v - v*|, 0).  Success: |v - v*| <= tolerance in every
    step of the last second, or of the whole episode if the episode is shorter.  One step is not enough,
    because random actions pass through the wanted speed now and then.

    Args:
        speed: v in this step [], m/s.
        task: the wanted speed v* [1], m/s.
        kept: number of steps before this one [] since the error last exceeded the tolerance.
        config: the family's settings.
        dt: of a step, s.
    """
    error = jnp.abs(speed - task[0])
    reward = -error if config.reward == "dense" else jnp.maximum(config.tolerance - error, 0.0)
    kept = jnp.where(error <= config.tolerance, kept + 1, 0)
    return reward, kept >= min(round(KEPT / dt), config.horizon), kept


def direction_reward(speed: Array, distance: Array, config: DirectionConfig) -> tuple[Array, Array]:
    """Return the reward [] and the success [] bool.

    Dense r = v.  Sparse r = v from `sparse_distance` on, and 0 before.  Success: at or beyond
    `sparse_distance`.

    Args:
        speed: v along the direction [], m/s.
        distance: from the start along the direction [], m.
        config: the family's settings.
    """
    far = distance >= config.sparse_distance
    return (speed if config.reward == "dense" else jnp.where(far, speed, 0.0)), far


def moving_goal(width: float) -> Callable[[EnvState, Task], Array]:
    """Return the goals of a scene: the position of a body at the wanted speed [1, 4].

    The goal is drawn with a radius of `width`, m.
    """

    def goals(state: EnvState, task: Task) -> Array:
        return jnp.stack([task[0] * state.body.time, jnp.zeros(()), jnp.zeros(()), jnp.float32(width)])[None]

    return goals
