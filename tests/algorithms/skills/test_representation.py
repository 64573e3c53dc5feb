"""METRA and CSF: the reward by a learned representation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.skills import csf, metra
from tests.algorithms.skills.objectives import objective, walks


@pytest.mark.parametrize("module", [metra, csf])
def test_the_reward_of_an_episode_is_how_far_phi_went_along_the_skill(module):
    goal, state = objective(module)
    skills = goal.space.draw(jax.random.key(1), 3)
    path, valid = walks(skills), jnp.ones((3, 10))
    reward, weights = goal.reward(jax.random.key(0), state, skills, path, valid)
    total = jnp.sum(reward.sum(axis=1) * weights, axis=-1)
    phi = goal.log_q.__self__.along(state, path)
    np.testing.assert_allclose(total, jnp.sum((phi[:, -1] - phi[:, 0]) * skills, axis=-1), atol=1e-5)


def test_the_skill_toward_a_goal_is_its_direction_where_phi_is_the_position():
    for skills, size, expected in (("continuous", 2, [0.6, -0.8]), ("discrete", 2, 0)):
        goal, state = objective(metra, hidden=(), skills=skills, skill_size=size)
        phi = {"layers_0": {"kernel": jnp.eye(2), "bias": jnp.ones(2)}}
        state = state._replace(params=state.params._replace(phi=phi))
        found = jax.jit(goal.toward)(state, jnp.array([1.0, 2.0]), jnp.array([4.0, -2.0]))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_phi_tells_far_places_apart_though_its_moments_stay():
    goal, state = objective(metra, hidden=(), normalize_until=20)
    skills = goal.space.draw(jax.random.key(1), 4)
    for scale in (1.0, 100.0):
        path = scale * walks(skills)
        state, _ = jax.jit(goal.learn)(jax.random.key(0), state, skills, path, jnp.ones((4, 10)))
    assert 40 <= state.observed.seen < 41 and state.observed.variance.max() < 20
    far = goal.log_q.__self__.along(state, jnp.array([[0.0, 0.0], [500.0, 0.0], [1000.0, 0.0]]))
    np.testing.assert_allclose(far[2] - far[1], far[1] - far[0], rtol=1e-3)
