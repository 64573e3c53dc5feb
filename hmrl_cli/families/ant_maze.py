"""An ant in a small maze.  A wall blocks the straight way to the goal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import pydantic

from hmrl_cli.families import _ant
from hmrl_cli.families._goals import disc, uniform
from hmrl_cli.families._walkers import StepResult, TaskSpec, walker_family
from hmrl_cli.lazy import jnp
from hmrl_cli.types import EnvState, Reward, Split, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

FAR = 12.0  # m; no place of a maze is farther from a goal
WALL = 0.1  # m, half the thickness of a wall
HEIGHT = 0.8  # m, of a wall

Place = tuple[float, float]  # x, y; m
Rectangle = tuple[Place, Place]  # x from, to; y from, to; m


class Layout(NamedTuple):
    """A maze: a room with walls.  The ant starts at the origin and faces along x."""

    room: Rectangle
    walls: tuple[Rectangle, ...]
    goals: Rectangle
    hidden: Rectangle  # goals of the hidden split
    doors: tuple[tuple[Place, Place], ...]  # place and heading of each, in order on the way to a goal
    symmetric: bool  # whether half a turn maps the maze to itself and `goals` to `hidden`


LAYOUTS = {
    "u_maze": Layout(
        room=((-1.5, 4.5), (-1.5, 4.5)),
        walls=(((-1.5, 1.5), (1.5 - WALL, 1.5 + WALL)),),
        goals=((0.25, 1.25), (2.5, 3.5)),
        hidden=((-0.75, 0.2), (2.5, 3.5)),
        doors=(((2.75, 0.5), (1.0, 0.0)), ((2.75, 2.5), (0.0, 1.0))),
        symmetric=False,
    ),
    "corridor": Layout(
        room=((-6.0, 6.0), (-2.0, 2.0)),
        walls=(((2.0 - WALL, 2.0 + WALL), (-2.0, 0.0)), ((-2.0 - WALL, -2.0 + WALL), (0.0, 2.0))),
        goals=((3.5, 5.0), (-1.2, -0.2)),
        hidden=((-5.0, -3.5), (0.2, 1.2)),
        doors=(((1.5, 1.0), (1.0, 0.0)), ((2.9, 1.0), (1.0, 0.0))),
        symmetric=True,
    ),
}


class Config(_ant.AntConfig):
    """An ant that has to walk around a wall."""

    of_tasks: ClassVar[frozenset[str]] = frozenset({"horizon", "reward", "control_cost", "sparse_radius"})
    name: Literal["ant_maze"] = pydantic.Field("ant_maze", description="an ant in a maze")
    layout: Literal["u_maze", "corridor"] = pydantic.Field("u_maze", description="where the walls are")
    reward: Reward = pydantic.Field("dense", description="dense, or only near the goal")
    horizon: int = pydantic.Field(250, gt=0, le=10_000, description="steps of an episode")
    sparse_radius: float = pydantic.Field(
        0.8, gt=0, le=100, description="radius around the goal of success and of the sparse reward, m"
    )
    control_cost: float = pydantic.Field(0.0, ge=0, le=10, description="weight of the squared action")


def make(config: Config) -> TaskFamily:
    """Build the family: obs [29] = q [15], qd [14], action [8] of motors, task [2] goal x, y in m.

    q is x, y, z in m, the quaternion w, x, y, z, then hip and ankle of legs 1 .. 4 in rad; qd: velocities.
    A motor gives `gear` N m at an action of 1: hip and ankle of leg 4, then of legs 1, 2, 3.

    Sparse r = 1 inside the disc of `sparse_radius` around the goal g, else 0.  Dense r = 1 inside the disc,
    else 1 - ||p - g|| / 12 for the torso at p.  The dense reward leads straight at the wall.  Both have the
    control cost subtracted.  A fall ends the episode, unless `ends_when_fallen` is false.  Success: inside
    the disc.  Torso and feet collide with the walls.  Hidden goals lie in another part of the maze.
    """
    layout = LAYOUTS[config.layout]

    def score(before: Array, obs: Array, action: Array, task: Task, carry: Any) -> StepResult:
        distance = jnp.linalg.norm(obs[:2] - task)
        inside = distance <= config.sparse_radius
        outside = 1.0 - distance / FAR if config.reward == "dense" else 0.0
        cost = config.control_cost * jnp.sum(jnp.square(action))
        return StepResult(jnp.where(inside, 1.0, outside) - cost, inside)

    def sample(key: Key, split: Split) -> Task:
        (x_from, x_to), (y_from, y_to) = layout.hidden if split == "hidden" else layout.goals
        return uniform(key, split, (2,), low=jnp.array([x_from, y_from]), high=jnp.array([x_to, y_to]))

    spec = TaskSpec(
        sample=sample,
        task_size=2,
        score=score,
        controller=lambda state, task: _ant.walk_to(state, _way(state, task, layout), config.gear),
        goals=lambda state, task: disc(task, config.sparse_radius),
        is_task=lambda goal: _inside(goal, layout.room),
    )
    walker = _ant.ant(config, scenery="".join(_scenery(layout)))
    return walker_family(config.name, config.horizon, walker, spec)


def _inside(place: Array, rectangle: Rectangle) -> Array:
    (west, east), (south, north) = rectangle
    return (place[0] > west) & (place[0] < east) & (place[1] > south) & (place[1] < north)


def _way(state: EnvState, goal: Task, layout: Layout) -> Array:
    """Return the place [2] to walk to: the next door, or the goal after the last door."""
    turn = jnp.where(goal[0] < 0.0, -1.0, 1.0) if layout.symmetric else 1.0
    place = turn * state.obs[:2]
    passed = jnp.array(
        [jnp.dot(place - jnp.array(door), jnp.array(heading)) for door, heading in layout.doors]
    )
    target = turn * jnp.array(layout.doors[0][0])
    for number, behind in enumerate(passed > -0.3):
        last = number + 1 == len(layout.doors)
        target = jnp.where(behind, goal if last else turn * jnp.array(layout.doors[number + 1][0]), target)
    return target


def _scenery(layout: Layout) -> Iterator[str]:
    """Yield MJCF of the walls.

    The ant collides with invisible planes in place of the outer walls, because planes cost less than boxes.
    """
    (west, east), (south, north) = layout.room
    for x, y, normal in ((west, 0, "1 0"), (east, 0, "-1 0"), (0, south, "0 1"), (0, north, "0 -1")):
        place = f'pos="{x} {y} 0" zaxis="{normal} 0"'
        yield f'<geom type="plane" {place} size="9 9 1" conaffinity="{_ant.SCENERY}"/>'
    outer = 2 * WALL
    for rectangle in (
        ((west - outer, west), (south - outer, north + outer)),
        ((east, east + outer), (south - outer, north + outer)),
        ((west, east), (south - outer, south)),
        ((west, east), (north, north + outer)),
    ):
        yield _wall(rectangle, collides=0)
    for rectangle in layout.walls:
        yield _wall(rectangle, collides=_ant.SCENERY)


def _wall(rectangle: Rectangle, collides: int) -> str:
    (west, east), (south, north) = rectangle
    position = f"{(west + east) / 2} {(south + north) / 2} {HEIGHT / 2}"
    size = f"{(east - west) / 2} {(north - south) / 2} {HEIGHT / 2}"
    return f'<geom type="box" pos="{position}" size="{size}" conaffinity="{collides}" rgba=".6 .6 .65 1"/>'
