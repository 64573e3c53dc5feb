"""The kinematic families follow their published equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.environment.rollout import advance
from hmrl_cli.families import point, sparse_point


def episode(family, actions, task):
    def one_step(state, action):
        new = advance(family, state, action, task)
        return new, new

    return jax.lax.scan(one_step, family.reset(jax.random.key(0), task), actions)[1]


def test_actions_are_clipped_and_scaled():
    family = point.make(point.Config())
    steps = episode(family, jnp.array([[0.5, -0.5], [3.0, -3.0], [0.0, 0.0]]), jnp.array([0.4, 0.3]))
    np.testing.assert_allclose(steps.obs, [[0.05, -0.05], [0.15, -0.15], [0.15, -0.15]], atol=1e-7)
    np.testing.assert_allclose(steps.reward[0], -np.hypot(0.35, 0.35), rtol=1e-6)


def test_point_ends_at_the_goal_and_earns_nothing_after():
    family = point.make(point.Config())
    # 0.1, 0.195: the second offset is .005 in x and 0 in y, which ends the episode.
    steps = episode(family, jnp.array([[1.0, 0.0], [0.95, 0.0], [1.0, 0.0]]), jnp.array([0.2, 0.0]))
    np.testing.assert_array_equal(steps.done, [False, True, True])
    np.testing.assert_allclose(steps.reward, [-0.1, -0.005, 0.0], atol=1e-6)
    np.testing.assert_allclose(steps.obs[2], [0.195, 0.0], atol=1e-6)
    np.testing.assert_array_equal(steps.success[1:], [True, True])


def test_sparse_point_navigation_goes_on_at_the_goal_and_pays_for_staying():
    family = point.make(point.Config(reward="sparse"))
    steps = episode(family, jnp.array([[1.0, 0.0], [0.95, 0.0], [0.0, 0.0]]), jnp.array([0.2, 0.0]))
    assert not family.terminates and not steps.done.any()
    np.testing.assert_allclose(steps.reward, [0.0, 0.095, 0.095], atol=1e-6)


def test_near_in_one_coordinate_only_is_not_the_end():
    family = point.make(point.Config())
    steps = episode(family, jnp.array([[1.0, 0.0]]), jnp.array([0.1, 0.02]))
    assert not steps.done[0]


@pytest.mark.parametrize(("reward", "expected"), [("dense", -20.0), ("sparse", 0.0)])
def test_doing_nothing_on_sparse_point(reward, expected):
    family = sparse_point.make(sparse_point.Config(reward=reward))
    task = family.sample(jax.random.key(0), "test")
    steps = episode(family, jnp.zeros((family.horizon, 2)), task)
    assert steps.reward.sum() == (pytest.approx(expected, abs=1e-5) if expected else 0.0)


def test_sparse_point_pays_one_minus_the_distance_within_the_radius():
    family = sparse_point.make(sparse_point.Config(reward="sparse"))
    steps = episode(family, jnp.tile(jnp.array([0.0, 1.0]), (10, 1)), jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(steps.reward, [0] * 7 + [0.8, 0.9, 1.0], atol=1e-6)
