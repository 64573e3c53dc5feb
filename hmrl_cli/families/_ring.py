"""Goals on a half circle of 2 m, which MAESN's wheeled robot and ant share.

Gupta et al. 2018, 1802.07245, section 6 and appendix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydantic

from hmrl_cli.lazy import jnp
from hmrl_cli.schema import Strict
from hmrl_cli.types import Reward

if TYPE_CHECKING:
    from hmrl_cli.types import Array


class RingConfig(Strict):
    """Settings of the families with goals on a half circle."""

    reward: Reward = pydantic.Field(
        "dense", description="dense, or constant outside the disc around the goal"
    )
    goal_radius: float = pydantic.Field(
        2.0, gt=0, le=100, description="distance of the goals from the start, m"
    )
    sparse_radius: float = pydantic.Field(
        0.8,
        gt=0,
        le=100,
        description="radius of the disc of success, outside of which the sparse reward is constant, m",
    )


def goal_cost(offset: Array, task: Array, order: int, config: RingConfig) -> Array:
    """Return the cost [] of the distance from the goal; the reward contains its negative.

    The dense cost is the distance.  Outside the disc, the sparse cost is the distance from the start to the
    goal.

    Args:
        offset: position - goal [2], m.
        task: goal [2], m.
        order: of the norm.
        config: settings.
    """
    cost = jnp.linalg.norm(offset, ord=order)
    if config.reward == "dense":
        return cost
    return jnp.where(in_disc(offset, config), cost, jnp.linalg.norm(task, ord=order))


def in_disc(offset: Array, config: RingConfig) -> Array:
    """Return whether position - goal [2] lies inside the disc of success [] bool."""
    return jnp.linalg.norm(offset) <= config.sparse_radius
