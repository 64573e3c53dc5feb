"""The families that stand on Brax: silence, closed forms, agreement of the backends."""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.families import ant_goal, wheeled


def python(program, cwd):
    return subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, timeout=300
    )


def test_importing_a_family_imports_no_jax_and_no_brax(tmp_path):
    program = """
import sys
from hmrl_cli.families import ant_goal, point, sparse_point, wheeled
ant_goal.Config(), wheeled.Config()
loaded = {"jax", "brax", "mujoco"} & set(sys.modules)
sys.exit(f"imported {loaded}" if loaded else 0)
"""
    done = python(program, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_physics_is_silent_and_writes_no_file(tmp_path):
    program = """
import jax, jax.numpy as jnp
from hmrl_cli.families import ant_goal, wheeled
for module in (ant_goal, wheeled):
    family = module.make(module.Config())
    task = jnp.ones(2)
    state = jax.eval_shape(family.reset, jax.random.key(0), task)
    jax.eval_shape(family.step, state, jnp.zeros(family.action.size), task)
"""
    done = python(program, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


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
    assert drive(jnp.zeros((200, 2)))[1].sum() == pytest.approx(-400.0, abs=1e-2)


def test_wheels_turn_drive_and_roll():
    obs = drive(spin_and_go())[0]
    heading = obs[:, 2]
    assert heading[99] > 0.5
    assert np.hypot(*obs[199, :2]) > 0.3  # moved, and along its heading
    speed = obs[199, 6] * np.cos(heading[199]) + obs[199, 7] * np.sin(heading[199])
    assert speed == pytest.approx(np.hypot(*obs[199, 6:8]), rel=0.1)
    # Rolling without slipping: the mean of both wheels is the speed over their radius.
    assert obs[199, 9:11].mean() * wheeled.WHEEL_RADIUS == pytest.approx(speed, rel=1e-4)
    assert np.abs(obs[:, 2:6]).max() <= np.float32(np.pi)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["mjx", "generalized"])
def test_backends_agree_on_the_wheeled_robot(backend):
    np.testing.assert_allclose(
        drive(spin_and_go(), backend)[0], drive(spin_and_go())[0], atol=0.05, rtol=0.01
    )


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["mjx", "positional", "generalized"])
def test_ant_runs_on_every_backend(backend):
    family = ant_goal.make(ant_goal.Config(backend=backend))
    task = jnp.array([0.0, 2.0])
    state = jax.jit(family.reset)(jax.random.key(0), task)
    step = jax.jit(family.step)
    for _ in range(20):
        state = step(state, jnp.zeros(8), task)
    assert np.isfinite(state.obs).all() and not state.done


def test_a_backend_that_does_not_suit_the_body_is_refused():
    with pytest.raises(ValueError, match="'spring', 'mjx' or 'generalized'"):
        wheeled.Config(backend="positional")


def test_an_ant_that_explodes_ends_its_episode_and_shows_zeros():
    family = ant_goal.make(ant_goal.Config())
    task = jnp.array([0.0, 2.0])
    state = jax.jit(family.reset)(jax.random.key(0), task)
    broken = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), state.body)
    after = jax.jit(family.step)(state._replace(body=broken), jnp.zeros(8), task)
    assert after.done and not after.success
    np.testing.assert_array_equal(after.obs, jnp.zeros(29))
    assert np.isfinite(after.reward)
