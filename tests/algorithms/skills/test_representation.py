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
    params = state.params.phi if module is metra else state.params
    phi = goal.log_q.__self__.phi.along(params, state.observed, path)
    np.testing.assert_allclose(total, jnp.sum((phi[:, -1] - phi[:, 0]) * skills, axis=-1), atol=1e-5)
