"""Skills that imitate: which one is found, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.errors import InputError
from hmrl_cli.runner import imitate
from hmrl_cli.types import SkillLearner
from tests import toys

DIRECTIONS = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
WALKER = toys.walker(horizon=8)


def straight_learner():
    def discriminate(state, obs):
        return jax.nn.log_softmax(2 * (obs[..., 1:, :] - obs[..., :1, :]) @ state.T)

    return SkillLearner(None, None, 1, lambda state: state, toys.straight, discriminate)


@pytest.mark.parametrize("skill", range(4))
def test_the_skill_that_made_a_trajectory_is_found(skill):
    steps = 0.3 * jnp.arange(6.0)[:, None] * DIRECTIONS[skill]
    match = jax.jit(lambda key, steps: imitate.match(key, WALKER, straight_learner(), DIRECTIONS, steps))
    log_q, distance = match(jax.random.key(0), steps + jnp.array([5.0, -2.0]))
    assert log_q.argmax() == skill == distance.argmin()
    assert distance[skill] < 0.15 and distance[(skill + 2) % 4] == pytest.approx(2 * 0.3 * 2.5, abs=0.1)


def test_trajectories_that_are_none_are_named(tmp_path):
    file = tmp_path / "t.npz"
    for obs, text in (
        (np.zeros((3, 5)), r"obs has shape \(3, 5\); must be \(from 2 to 9, 2\), observations of walker"),
        (np.zeros((10, 2)), r"obs has shape \(10, 2\); must be \(from 2 to 9, 2\)"),
        (np.zeros((1, 2)), r"obs has shape \(1, 2\)"),
        (np.array([[0, 0], [0, np.inf]]), "row 1 of obs is not finite"),
        (np.array(["a"]), "obs has dtype <U1; must be numbers"),
    ):
        np.savez(file, obs=obs)
        with pytest.raises(InputError, match=text):
            imitate.read_trajectory(file, WALKER)
    np.savez(file, tasks=np.zeros((3, 2)))
    with pytest.raises(InputError, match="holds no array 'obs', only 'tasks'"):
        imitate.read_trajectory(file, WALKER)
