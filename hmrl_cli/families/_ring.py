"""Goals on a ring of 2 m around a body: what MAESN's wheeled robot and ant share.

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
    """The settings that the ring families share."""

    reward: Reward = pydantic.Field("dense", description="dense, or flat outside the disc around the goal")
    goal_radius: float = pydantic.Field(
        2.0, gt=0, le=100, description="distance of the goals from the start, m"
    )
    sparse_radius: float = pydantic.Field(
        0.8, gt=0, le=100, description="success, and all of the sparse signal, is this near to the goal, m"
    )


def goal_cost(offset: Array, task: Array, order: int, config: RingConfig) -> Array:
    """Return the norm of the given order of position - goal [2]: the negative of the goal reward.

    Outside the disc the sparse cost is that of the start: flat, not zero.
    """
    cost = jnp.linalg.norm(offset, ord=order)
    if config.reward == "dense":
        return cost
    return jnp.where(in_disc(offset, config), cost, jnp.linalg.norm(task, ord=order))


def in_disc(offset: Array, config: RingConfig) -> Array:
    """Return whether position - goal [2] lies inside the sparse disc."""
    return jnp.linalg.norm(offset) <= config.sparse_radius
