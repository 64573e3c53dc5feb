"""DIAYN's ant with five waypoints in order (Eysenbach et al. 2018, 1802.06070, section 4.2.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pydantic

from hmrl_cli.families import _ant
from hmrl_cli.families._goals import disc, uniform
from hmrl_cli.families._walkers import StepResult, TaskSpec, walker_family
from hmrl_cli.lazy import jnp
from hmrl_cli.types import Reward, Split, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

ROUTE = ((2.0, 2.0), (2.0, -2.0), (-2.0, -2.0), (-2.0, 2.0), (2.0, 2.0))  # DIAYN's, clockwise, m


class Config(_ant.AntConfig):
    """An ant that walks around a square."""

    of_tasks: ClassVar[frozenset[str]] = frozenset({"horizon", "reward", "control_cost", "sparse_radius"})
    name: Literal["ant_waypoint"] = pydantic.Field("ant_waypoint", description="DIAYN's ant with waypoints")
    reward: Reward = pydantic.Field("dense", description="dense, or only for a waypoint")
    horizon: int = pydantic.Field(500, gt=0, le=10_000, description="steps of an episode")
    sparse_radius: float = pydantic.Field(
        0.5, gt=0, le=100, description="distance at which a waypoint counts as visited, m"
    )
    control_cost: float = pydantic.Field(0.0, ge=0, le=10, description="weight of the squared action")


def make(config: Config) -> TaskFamily:
    """Build the family: obs [29] = q [15], qd [14], action [8] of motors, task [10] five waypoints x, y in m.

    q is x, y, z in m, the quaternion w, x, y, z, then hip and ankle of legs 1 .. 4 in rad; qd: velocities.
    A motor gives `gear` N m at an action of 1: hip and ankle of leg 4, then of legs 1, 2, 3.

    Sparse r = 1 for a visit of the next waypoint, else 0, so an episode earns at most 5.  Dense r = 1 for a
    visit, else the decrease of the distance to the next waypoint, m.  Both have the control cost subtracted.

    A route is DIAYN's square at a random angle.  Hidden routes go round in the other direction.  DIAYN's own
    route is the task 2, 2, 2, -2, -2, -2, -2, 2, 2, 2.  A fall ends the episode, unless `ends_when_fallen` is
    false.  Success: all five waypoints are visited.
    """

    def score(before: Array, obs: Array, action: Array, task: Task, visited: Any) -> StepResult:
        place = _next(task, visited)
        distance, distance_before = (jnp.linalg.norm(place - x[:2]) for x in (obs, before))
        under_way = visited < len(ROUTE)
        hit = under_way & (distance <= config.sparse_radius)
        progress = jnp.where(under_way, distance_before - distance, 0.0)
        reward = jnp.where(hit, 1.0, progress if config.reward == "dense" else 0.0)
        visited = visited + hit
        reward -= config.control_cost * jnp.sum(jnp.square(action))
        return StepResult(reward, visited == len(ROUTE), visited)

    spec = TaskSpec(
        sample=_sample,
        task_size=2 * len(ROUTE),
        score=score,
        controller=lambda state, task: _ant.walk_to(state, _next(task, state.body.carry), config.gear),
        goals=lambda state, task: disc(_next(task, state.body.carry), config.sparse_radius),
        init_carry=lambda task: jnp.int32(0),  # number of visited waypoints
    )
    return walker_family(config.name, config.horizon, _ant.ant(config), spec)


def _next(task: Task, visited: Array) -> Array:
    """Return the next waypoint [2], or the last one after all visits."""
    return task.reshape(len(ROUTE), 2)[jnp.minimum(visited, len(ROUTE) - 1)]


def _sample(key: Key, split: Split) -> Task:
    angle = uniform(key, split, low=-math.pi, high=math.pi)
    route = jnp.array(ROUTE) * jnp.array([1.0, -1.0 if split == "hidden" else 1.0])
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return (route @ jnp.array([[cos, sin], [-sin, cos]])).reshape(-1)
