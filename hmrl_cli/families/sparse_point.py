"""PEARL's sparse point robot (Rakelly et al. 2019, 1903.08254, section 6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import pydantic

from hmrl_cli.families import _plane
from hmrl_cli.families._goals import sector_goal
from hmrl_cli.lazy import jnp
from hmrl_cli.schema import Strict
from hmrl_cli.types import Reward, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array


class Config(Strict):
    """A point that walks to a goal on the upper unit half circle."""

    of_tasks: ClassVar[frozenset[str]] = frozenset({"horizon", "reward", "sector", "sparse_radius"})
    name: Literal["sparse_point"] = pydantic.Field("sparse_point", description="PEARL's sparse point robot")
    reward: Reward = pydantic.Field("dense", description="dense, or only near the goal")
    horizon: int = pydantic.Field(
        20, gt=0, le=10_000, description="steps of an episode: PEARL has 20, VariBAD and HyperX 100"
    )
    sparse_radius: float = pydantic.Field(
        0.2, gt=0, le=1, description="radius around the goal of success and of the sparse reward"
    )
    sector: float = pydantic.Field(
        0.5,
        gt=0,
        lt=1,
        description="share of the circle for training and test goals; hidden ones have the rest",
    )


def make(config: Config) -> TaskFamily:
    """Build the family: obs [2] position s, action [2], task [2] goal g, from s = (0, 0).

    s' = s + 0.1 clip(action), with both coordinates of the action clipped to [-1, 1].

    Dense r = -||s' - g||.  Sparse r = 1 - ||s' - g|| within `sparse_radius` of the goal, else 0.  Train and
    test goals lie on a sector of the unit circle, hidden goals on the rest.  No early end.  Success:
    ||s' - g|| <= `sparse_radius`.
    """

    def reward(offset: Array) -> Array:
        distance = jnp.linalg.norm(offset)
        if config.reward == "dense":
            return -distance
        return jnp.where(distance <= config.sparse_radius, 1.0 - distance, 0.0)

    return _plane.family(
        name=config.name,
        sample=lambda key, split: sector_goal(key, split, 1.0, config.sector),
        reward=reward,
        ended=None,
        success_radius=config.sparse_radius,
        horizon=config.horizon,
    )
