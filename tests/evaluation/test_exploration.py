"""How structured exploration is."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.environment.frames import frames_of
from hmrl_cli.environment.rollout import unroll
from hmrl_cli.evaluation import exploration
from tests import toys
from tests.evaluation.learners import fake_learner

TASKS = jnp.array([[1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]])


@pytest.mark.parametrize(("drawn", "noise", "share"), [(1.0, 0.5, 0.8), (0.0, 0.5, 0.0), (1.0, 0.0, 1.0)])
def test_exploration_is_structured_as_far_as_draws_decide_where_it_goes(drawn, noise, share):
    def behaviour(key, state):
        heading = drawn * jax.random.normal(key, (2,))
        # noise of eight steps against one draw that is held for all of them
        return lambda key, obs: (heading + noise * 8**0.5 * jax.random.normal(key, (2,)), 0.0)

    learner = fake_learner(None)._replace(behaviour=behaviour)
    explored = partial(exploration.explored, draws=64, episodes=8)
    numbers, paths = jax.jit(lambda key: explored(key, learner, unclipped(), 0.0, TASKS[0]))(
        jax.random.key(0)
    )
    assert paths.shape == (64, 8, 9, 2)
    ends = paths[:, :, -1]
    assert abs(numbers["share_of_draws"] - share) < 0.1  # drawn**2 / (drawn**2 + noise**2)
    np.testing.assert_allclose(numbers["end_spread"] ** 2, ends.var(axis=(0, 1)).sum(), rtol=1e-5)


def unclipped():
    """A point that goes wherever it is sent in eight steps."""
    family = toys.walker(horizon=8)

    def step(state, action, task):
        place = state.body + action
        return state._replace(body=place, obs=place)

    return family._replace(step=step)


def test_visits_count_until_a_goal_is_first_met():
    """One seed, two tasks, three batches of one episode, with two places each."""
    places = np.array(
        [[[[[0.0, 0.0], [1.0, 0.0]]], [[[0.0, 0.0], [0.0, 1.0]]], [[[9.0, 9.0], [9.0, 9.0]]]]] * 2
    )
    reached = np.array([[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]])[..., None]
    goals = np.array([[[1.0, 0.0, 0.6]], [[0.0, -1.0, 0.6]]])
    found = exploration.visits(places[None], reached, goals)
    assert found["cell"] == 0.2 and found["goals"] == goals.tolist()  # 3.2 across, in at least 16 cells
    cells = {(x, y): count for x, y, count in exploration.cells_of(found)}
    assert cells == {(0, 0): 4, (5, 0): 2, (0, 5): 2, (45, 45): 2}
    both = exploration.together([found, found])
    assert {(x, y): n for x, y, n in exploration.cells_of(both)} == {key: 2 * n for key, n in cells.items()}
    assert exploration.together([found, None]) is None
    assert exploration.together([found, found | {"cell": 1.0}]) is None


def test_trials_side_by_side_end_alone():
    """Two trials of three episodes: the first meets the goal at once, the second never."""
    places = np.arange(6.0).reshape(3, 2, 1, 1) * np.ones((1, 1, 1, 1, 1, 2))
    reached = np.array([[[[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]]])
    goals = np.zeros((1, 0, 3))
    counted = [
        sum(
            count
            for *_, count in exploration.cells_of(exploration.visits(places, reached, goals, trials=trials))
        )
        for trials in (False, True)
    ]
    assert counted == [2, 4]


def test_without_goals_the_places_give_the_grid():
    lost = np.array([np.nan, np.nan])
    found = exploration.visits(
        np.array([3.0, -4.0]) * np.ones((1, 1, 1, 1, 1, 2)), np.zeros((1, 1, 1, 1)), np.zeros((1, 0, 3))
    )
    assert found["cell"] == 0.5 and found["counts"] == ["6 -8 1"] and found["goals"] == [[]]
    assert (
        exploration.visits(lost * np.ones((1, 1, 1, 1, 1, 2)), np.zeros((1, 1, 1, 1)), np.zeros((1, 0, 3)))[
            "counts"
        ]
        == []
    )


def test_a_traced_episode_keeps_its_first_and_its_last_place_and_nothing_else_changes():
    family = unclipped()._replace(horizon=37)

    def policy(key, obs):
        return jnp.array([1.0, 0.0]), jnp.float32(0)

    steps, final = unroll(jax.random.key(0), policy, exploration.traced(family), TASKS[0])
    plain, last = unroll(jax.random.key(0), policy, family, TASKS[0])
    assert frames_of(last) is None
    np.testing.assert_allclose(frames_of(final)[:, 0], [*range(0, 37, 2), 37], atol=0.1)
    np.testing.assert_array_equal(steps.obs, plain.obs)
    nowhere = family._replace(features={"identity": lambda obs: obs})
    assert exploration.traced(nowhere) is nowhere


def test_what_comes_after_an_early_end_is_no_place():
    family = unclipped()

    def step(state, action, task):
        new = family.step(state, action, task)
        return new._replace(done=new.obs[0] > 2.5)

    def policy(key, obs):
        return jnp.array([1.0, 0.0]), jnp.float32(0)

    ends = exploration.traced(family._replace(step=step, terminates=True))
    _, final = unroll(jax.random.key(0), policy, ends, TASKS[0])
    places = frames_of(final)
    np.testing.assert_allclose(places[:, 0], [0, 1, 2, 3, *[np.nan] * 5], atol=0.1)
    found = exploration.visits(places[None, None, None, None], np.zeros((1, 1, 1, 1)), np.zeros((1, 0, 3)))
    assert sum(count for *_, count in exploration.cells_of(found)) == 4


def test_goals_that_begin_at_one_place_give_no_map():
    """As those of speeds, which move away."""
    places, goals = np.zeros((1, 2, 1, 1, 3, 2)), np.zeros((2, 1, 3))
    assert exploration.visits(places, np.zeros((1, 2, 1, 1)), goals) is None
    assert exploration.visits(places, np.zeros((1, 2, 1, 1)), goals + np.array([[[0]], [[1]]])) is not None
