"""The jobs of the ants, with the physics replaced by a body that is where it is told to be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.environment.rollout import advance
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.families import _ant, ant_goal, ant_maze, ant_waypoint
from hmrl_cli.families._walkers import Body
from hmrl_cli.types import EnvState
from tests.families.bodies import jumping

DIAYN = jnp.array([2.0, 2.0, 2.0, -2.0, -2.0, -2.0, -2.0, 2.0, 2.0, 2.0])


@pytest.fixture
def still(monkeypatch):
    """Ants that stay where they are."""
    monkeypatch.setattr("hmrl_cli.families._physics.load", jumping(1.0))


def at(state: EnvState, place) -> EnvState:
    """The same episode, with the ant at another place from now on."""
    physics = state.body.physics
    moved = physics._replace(q=physics.q.at[:2].set(jnp.array(place)))
    return state._replace(body=state.body._replace(physics=moved))


def visit(family, places):
    """Rewards, and how many waypoints are visited, over steps that end at the places."""
    state = family.reset(jax.random.key(0), DIAYN)
    rewards, visited = [], []
    for place in places:
        state = advance(family, at(state, place), jnp.zeros(8), DIAYN)
        rewards.append(float(state.reward))
        visited.append(int(state.body.carry))
    return rewards, visited, state


def test_waypoints_count_once_and_in_their_order(still):
    family = ant_waypoint.make(ant_waypoint.Config(reward="sparse"))
    places = [(2, -2), (2, 2.4), (2, 2), (2, -2), (-2, -1.6), (-2, 2), (-2, 2), (2, 1.4), (2, 1.6), (0, 0)]
    rewards, visited, state = visit(family, places)
    assert rewards == [0, 1, 0, 1, 1, 1, 0, 0, 1, 0]
    assert visited == [0, 1, 1, 2, 3, 4, 4, 4, 5, 5]
    assert state.success and state.reached


def test_the_dense_reward_of_waypoints_is_the_way_gained(still):
    family = ant_waypoint.make(ant_waypoint.Config())
    rewards, _, state = visit(family, [(2, 0), (2, 1), (2, 2), (2, 0), (2, 1)])
    assert rewards[1:] == pytest.approx([1.0, 1.0, 2.0, -1.0])  # the third is the visit, not the metre
    assert not state.success


def test_the_route_of_diayn_is_one_of_the_routes(still):
    family = ant_waypoint.make(ant_waypoint.Config())
    routes = np.asarray(sample_tasks(family, "test", 300))
    np.testing.assert_allclose(np.linalg.norm(routes.reshape(-1, 5, 2), axis=-1), np.sqrt(8), rtol=1e-5)
    assert np.abs(routes - np.asarray(DIAYN)).max(axis=1).min() < 0.2


@pytest.mark.parametrize("layout", ["u_maze", "corridor"])
def test_the_way_through_a_maze_crosses_no_wall(layout):
    """From every place on the way, straight on to where the controller says."""
    plan = ant_maze.LAYOUTS[layout]

    @jax.jit
    def ahead(place, goal):
        body = Body(None, None, (), None)
        return ant_maze._way(EnvState(body, jnp.append(place, jnp.zeros(27)), *4 * [None]), goal, plan)

    for split in (plan.goals, plan.hidden):
        goal = jnp.array([sum(split[0]) / 2, sum(split[1]) / 2])
        place = np.zeros(2)
        for _ in range(400):
            way = np.asarray(ahead(place, goal)) - place
            place = place + 0.05 * way / max(np.linalg.norm(way), 1e-6)
            for (west, east), (south, north) in plan.walls:
                assert not (west < place[0] < east and south < place[1] < north)
        assert np.linalg.norm(place - goal) < 0.2


@pytest.mark.parametrize("layout", ["u_maze", "corridor"])
def test_every_goal_of_a_maze_is_behind_a_wall(layout):
    plan = ant_maze.LAYOUTS[layout]
    for (west, east), (south, north) in (plan.goals, plan.hidden):
        for x in np.linspace(west, east, 9):
            for y in np.linspace(south, north, 9):
                straight = np.linspace(0, 1, 500)[:, None] * [x, y]
                assert any(
                    ((straight > low) & (straight < high)).all(axis=1).any()
                    for low, high in (np.transpose(wall) for wall in plan.walls)
                )


def test_another_route_pays_elsewhere(still):
    family = ant_waypoint.make(ant_waypoint.Config(reward="sparse"))
    for task, reward in ((DIAYN, 1.0), (-DIAYN, 0.0)):
        state = at(family.reset(jax.random.key(0), task), (2, 2))
        assert family.step(state, jnp.zeros(8), task).reward == reward


def test_a_step_that_would_explode_is_refused():
    with pytest.raises(ValueError, match=r"substeps: found 6 for a dt of 0\.1; must be at least 12"):
        ant_goal.Config(dt=0.1)
    ant_goal.Config(dt=0.1, substeps=12), ant_goal.Config(dt=0.1, backend="mjx")


def test_an_ant_may_go_on_after_a_fall(monkeypatch):
    monkeypatch.setattr("hmrl_cli.families._physics.load", jumping(1.0))
    for ends in (True, False):
        family = ant_goal.make(ant_goal.Config(ends_when_fallen=ends))
        state = family.reset(jax.random.key(0), jnp.array([0.5, 0.0]))
        physics = state.body.physics
        lying = state._replace(body=state.body._replace(physics=physics._replace(q=physics.q.at[2].set(0.1))))
        after = advance(family, lying, jnp.zeros(8), jnp.array([0.5, 0.0]))
        assert family.terminates == ends == bool(after.done)
        assert after.success == (not ends)  # it lies inside the disc


def test_the_gait_is_the_one_for_the_motors(monkeypatch):
    used = []
    monkeypatch.setattr(_ant, "_move_legs", lambda state, way, gait, gear: used.append(gait.frequency))
    for gear in (30.0, 50.0, 120.0, 150.0):
        _ant.trot(None, jnp.ones(2), jnp.ones(()), gear)
    assert used == [6.36, 6.36, 9.71, 9.71]


@pytest.mark.slow
def test_walls_of_the_maze_are_solid():
    """An ant that walks straight at its goal behind the wall is stopped there."""
    family = ant_maze.make(ant_maze.Config())
    goal = jnp.array([0.0, 3.0])

    def one_step(state, _):
        state = family.step(state, _ant.walk_to(state, goal, 150.0), goal)
        return state, state.obs[:3]

    def episode(seed):
        return jax.lax.scan(one_step, family.reset(jax.random.key(seed), goal), None, 150)[1]

    places = np.asarray(jax.jit(jax.vmap(episode))(jnp.arange(4)))
    wall = 1.5 - ant_maze.WALL
    assert (places[..., 1].max(axis=1) > 0.5).all()  # it did walk
    assert places[..., 1].max() < wall and places[..., 0].min() > -1.5
    assert places[..., 2].max() < 1.0  # nor does it climb
