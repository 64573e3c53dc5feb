"""The wheeled robot drives as its equations say."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli import config
from hmrl_cli.evaluation import adaptation
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.families import wheeled


@functools.cache
def driver(backend):
    """A function from actions [200, 2] to the observations [200, 12] and rewards [200] of one robot."""
    config = wheeled.Config(backend=backend, reward="sparse", dt=0.01, horizon=200)
    family = wheeled.make(config)
    task = jnp.array([0.0, 2.0])

    def one_step(state, action):
        new = family.step(state, action, task)
        return new, (new.obs, new.reward)

    return jax.jit(lambda actions: jax.lax.scan(one_step, family.reset(jax.random.key(0), task), actions)[1])


def drive(actions, backend="spring"):
    return [np.asarray(leaf) for leaf in driver(backend)(actions)]


def spin_and_go():
    """A left turn on the spot, then straight ahead, each for a second."""
    return jnp.repeat(jnp.array([[-0.5, 0.5], [1.0, 1.0]]), 100, axis=0)


def test_a_still_wheeled_robot_earns_the_flat_return():
    assert drive(jnp.zeros((200, 2)))[1].sum() == -400.0


def test_wheels_turn_drive_and_roll():
    obs = drive(spin_and_go())[0]
    heading = obs[:, 2]
    assert heading[99] > 0.5
    assert np.hypot(*obs[199, :2]) > 0.3  # moved, and along its heading
    speed = obs[199, 6] * np.cos(heading[199]) + obs[199, 7] * np.sin(heading[199])
    assert speed == pytest.approx(np.hypot(*obs[199, 6:8]), rel=0.1)
    # Rolling without slipping: the mean of both wheels is the speed over their radius.
    assert obs[199, 9:11].mean() * 0.2 == pytest.approx(speed, rel=1e-4)
    assert np.abs(obs[:, 2:6]).max() <= np.float32(np.pi)


def test_wheels_of_some_inertia_take_their_share_of_the_torque():
    body = config.family_of("wheeled@maesn")
    forces = [
        wheeled._traction(jnp.zeros(3), jnp.zeros(3), jnp.array(torques), 0.01, body)
        for torques in ([2.0, 2.0], [-2.0, 2.0])
    ]
    # 2.6 kg more to speed up, and that at .2 m from the middle to turn
    acceleration = forces[0][0] / body.mass, forces[1][2] / body.turning_inertia
    np.testing.assert_allclose(acceleration, [40 / (10.2 + 2.62), 8 / (0.28 + 2.62 * 0.04)], rtol=1e-5)


@pytest.mark.slow
def test_the_wheeled_robot_of_maesn_is_driven_to_its_goal_in_two_seconds():
    """The authors' model in MuJoCo under the same controller: -278, on 40 tasks of test."""
    settings = config.family_of("wheeled@maesn").model_copy(update={"reward": "sparse"})
    family = wheeled.make(settings)
    lines = adaptation.reference_lines(family, sample_tasks(family, "test", 8))
    assert lines["flat"] == pytest.approx(-400.0, abs=1e-3)
    assert -300.0 < lines["feasible"] < -240.0 and lines["feasible_success"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["mjx", "generalized"])
def test_backends_agree_on_the_wheeled_robot(backend):
    np.testing.assert_allclose(
        drive(spin_and_go(), backend)[0], drive(spin_and_go())[0], atol=0.05, rtol=0.01
    )


def test_a_backend_that_does_not_suit_the_body_is_refused():
    with pytest.raises(ValueError, match="'spring', 'mjx' or 'generalized'"):
        wheeled.Config(backend="positional")
