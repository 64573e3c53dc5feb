"""How structured exploration is."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
