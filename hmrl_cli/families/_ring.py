"""Goals around the start, as MAESN's wheeled robot and ant have them.

Gupta et al. 2018, 1802.07245, section 6 and appendix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import pydantic

from hmrl_cli.families import _physics
from hmrl_cli.families._goals import disc, sector_goal, uniform
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.schema import Strict
from hmrl_cli.types import Continuous, EnvState, Reward, Scene, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Split, Task


MARGIN = 1.1  # of the nearest goal of an arena: where doing nothing ends moves a little


class RingConfig(Strict):
    """Settings of the families with goals around the start."""

    of_tasks: ClassVar[frozenset[str]] = frozenset(
        {"horizon", "reward", "control_cost", "goals", "goal_radius", "sector", "sparse_radius"}
    )
    reward: Reward = pydantic.Field(
        "dense", description="dense, or constant outside the disc around the goal"
    )
    goals: Literal["ring", "arena"] = pydantic.Field(
        "ring",
        description="goals at their radius, or anywhere within it where doing nothing seldom succeeds",
    )
    goal_radius: float = pydantic.Field(
        2.0, gt=0, le=100, description="distance of the goals from the start, of an arena the largest, m"
    )
    sector: float = pydantic.Field(
        0.5,
        gt=0,
        lt=1,
        description="share of the circle for training and test goals; hidden ones have the rest",
    )
    sparse_radius: float = pydantic.Field(
        0.8,
        gt=0,
        le=100,
        description="radius of the disc of success, outside of which the sparse reward is constant, m",
    )

    @pydantic.model_validator(mode="after")
    def _arena_has_room(self) -> Self:
        if self.goals == "arena" and self.goal_radius <= MARGIN * self.sparse_radius:
            raise ValueError(
                f"goal_radius: found {self.goal_radius}; must be more than {MARGIN} sparse_radius, "
                f"{MARGIN * self.sparse_radius:.2g}, in an arena"
            )
        return self


def sample_goal(key: Key, split: Split, config: RingConfig) -> Task:
    """Draw a goal [2] of a split, m: even over the angles of its sector, or over the area."""
    if config.goals == "ring":
        return sector_goal(key, split, config.goal_radius, config.sector)
    nearest = MARGIN * config.sparse_radius
    square = uniform(jax.random.fold_in(key, 1), split, low=nearest**2, high=config.goal_radius**2)
    return sector_goal(key, split, jnp.sqrt(square), config.sector)


def goal_cost(offset: Array, task: Array, order: int, config: RingConfig) -> Array:
    """Return the cost [] of the distance from the goal; the reward contains its negative.

    The dense cost is the distance.  Outside the disc, the sparse cost is the distance from the start to the
    goal.  In an arena, and on a ring by the norm of order 1, it differs from task to task.  By that norm a
    corner of the disc may be farther from a near goal than the start is.  Then it costs as much as the start.

    Args:
        offset: position - goal [2], m.
        task: goal [2], m.
        order: of the norm.
        config: settings.
    """
    cost = jnp.linalg.norm(offset, ord=order)
    if config.reward == "dense":
        return cost
    outside = jnp.linalg.norm(task, ord=order)
    inside = jnp.minimum(cost, outside) if order == 1 else cost
    return jnp.where(in_disc(offset, config), inside, outside)


def in_disc(offset: Array, config: RingConfig) -> Array:
    """Return whether position - goal [2] lies inside the disc of success [] bool."""
    return jnp.linalg.norm(offset) <= config.sparse_radius


def family(
    config: Any,
    physics: _physics.Physics,
    *,
    reset: Callable[[Key, Task], EnvState],
    step: Callable[[EnvState, Array, Task], EnvState],
    controller: Callable[[EnvState, Task], Array],
    q_size: int,
    obs_size: int,
    action_size: int,
) -> TaskFamily:
    """A family of a body without early end, whose observation begins with its position in the plane.

    Args:
        config: a `RingConfig` with a name, a horizon and a dt.
        physics: of the body; the state is `state.body.physics`.
        reset: see `TaskFamily`.
        step: see `TaskFamily`.
        controller: see `TaskFamily`.
        q_size: coordinates of the observation before the velocities.
        obs_size: of the observation.
        action_size: of the action.
    """
    return TaskFamily(
        name=config.name,
        sample=lambda key, split: sample_goal(key, split, config),
        reset=reset,
        step=step,
        controller=controller,
        features=_physics.features(q_size),
        obs_size=obs_size,
        task_size=2,
        action=Continuous(action_size),
        horizon=config.horizon,
        terminates=False,
        scene=Scene(
            physics.shapes,
            lambda state: physics.poses(state.body.physics),
            lambda state, task: disc(task, config.sparse_radius),
            config.dt,
            flat=False,
        ),
    )
