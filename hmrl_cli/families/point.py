"""MAML's 2-D navigation (Finn et al. 2017, 1703.03400, section 5.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import pydantic

from hmrl_cli.families import _plane
from hmrl_cli.families._goals import uniform
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.schema import Strict
from hmrl_cli.types import Reward, Split, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

GOAL_RANGE = 0.5  # training goals ~ U[-.5, .5]^2
HIDDEN_RANGE = 1.0  # hidden goals lie in [-1, 1]^2 but not in the training square
END_RANGE = 0.01  # distance from the goal, in each coordinate, below which the episode ends


class Config(Strict):
    """A point that walks to a goal in the plane."""

    of_tasks: ClassVar[frozenset[str]] = frozenset({"horizon", "reward", "sparse_radius"})
    name: Literal["point"] = pydantic.Field("point", description="MAML's 2-D navigation")
    reward: Reward = pydantic.Field("dense", description="dense, or only near the goal")
    horizon: int = pydantic.Field(100, gt=0, le=10_000, description="steps of an episode")
    sparse_radius: float = pydantic.Field(
        0.1, gt=0, le=1, description="radius around the goal of success and of the sparse reward"
    )


def make(config: Config) -> TaskFamily:
    """Build the family: obs [2] position s, action [2], task [2] goal g, from s = (0, 0).

    s' = s + 0.1 clip(action), with both coordinates of the action clipped to [-1, 1].

    Dense r = -||s' - g||, as in MAML.  Sparse r = max(`sparse_radius` - ||s' - g||, 0).  Under the dense
    reward the episode ends early if |s' - g| < .01 in both coordinates.  Under the sparse reward it does
    not, because an early end would forfeit the rewards of staying at the goal.  Success: ||s' - g|| <=
    `sparse_radius`.
    """

    def reward(offset: Array) -> Array:
        distance = jnp.linalg.norm(offset)
        return -distance if config.reward == "dense" else jnp.maximum(config.sparse_radius - distance, 0.0)

    return _plane.family(
        name=config.name,
        sample=_sample,
        reward=reward,
        ended=(lambda offset: jnp.all(jnp.abs(offset) < END_RANGE)) if config.reward == "dense" else None,
        success_radius=config.sparse_radius,
        horizon=config.horizon,
    )


def _sample(key: Key, split: Split) -> Task:
    if split != "hidden":
        return uniform(key, split, (2,), low=-GOAL_RANGE, high=GOAL_RANGE)
    # Four equal rectangles, one per quarter turn, tile the frame, so a draw is uniform without rejection.
    turn_key, goal_key = jax.random.split(key)
    x, y = uniform(goal_key, split, (2,), low=jnp.array([GOAL_RANGE, -GOAL_RANGE]), high=HIDDEN_RANGE)
    turns = jnp.stack([jnp.stack([x, y]), jnp.stack([-y, x]), jnp.stack([-x, -y]), jnp.stack([y, -x])])
    return turns[jax.random.randint(turn_key, (), 0, 4)]
