"""The families that stand on Brax: silence, and what happens when a simulation explodes."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.families import ant_dir, pusher, wheeled


def python(program, cwd):
    return subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, timeout=300
    )


def test_importing_a_family_imports_no_jax_and_no_brax(tmp_path):
    program = """
import sys
from hmrl_cli.config import plugins
for name in plugins.names("families"):
    plugins.load("families", name).Config()
loaded = {"jax", "brax", "mujoco"} & set(sys.modules)
sys.exit(f"imported {loaded}" if loaded else 0)
"""
    done = python(program, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_physics_is_silent_and_writes_no_file(tmp_path):
    program = """
import jax, jax.numpy as jnp
from hmrl_cli.families import _ant, ant_dir, ant_goal, ant_maze, wheeled
for module in (ant_goal, wheeled):
    family = module.make(module.Config())
    task = jnp.ones(2)
    state = jax.eval_shape(family.reset, jax.random.key(0), task)
    jax.eval_shape(family.step, state, jnp.zeros(family.action.size), task)
"""
    done = python(program, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "settings"), [(wheeled, {"rolling_drag": 600.0}), (pusher, {"gripper_mass": 0.015})]
)
def test_a_drag_that_would_explode_is_refused(module, settings):
    with pytest.raises(ValueError, match="must be at least 2, or the drag makes the simulation explode"):
        module.Config(substeps=1, **settings)


def test_an_ant_that_explodes_ends_its_episode_and_is_seen_as_it_was():
    family = ant_dir.make(ant_dir.Config())
    task = jnp.array([0.5])
    state = jax.jit(family.reset)(jax.random.key(0), task)
    for factor in (jnp.nan, 1e9):
        broken = jax.tree.map(lambda x, factor=factor: factor * x, state.body.physics)
        body = state.body._replace(physics=broken)
        after = jax.jit(family.step)(state._replace(body=body), jnp.zeros(8), task)
        assert after.done and not after.success
        np.testing.assert_array_equal(after.obs, state.obs)
        assert after.reward == pytest.approx(ant_dir.ALIVE)  # it got nowhere
