"""The arm of two links, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.families import reacher
from tests.families.each import make


@pytest.fixture(scope="module")
def arm():
    return make("reacher")


def test_the_observed_tip_and_its_velocity_are_those_of_the_links(arm):
    """By complex numbers, and by the derivative of the tip."""
    task = jnp.array([0.18, 0.0])
    state, step = arm.reset(jax.random.key(0), task), jax.jit(arm.step)
    for _ in range(3):
        state = step(state, jnp.array([0.8, -0.5]), task)
    shoulder, elbow = np.float64(state.body.physics.q)
    link = reacher.LINK * np.exp(1j * shoulder)
    tip = link + link * np.exp(1j * elbow)
    np.testing.assert_allclose(state.obs[:2], [tip.real, tip.imag], atol=1e-6)
    angles = np.arctan2(state.obs[4:6], state.obs[2:4])
    np.testing.assert_allclose(angles, np.angle(np.exp([1j * shoulder, 1j * elbow])), atol=1e-5)
    np.testing.assert_allclose(state.obs[8:], state.body.physics.qd)

    def place(q):
        angles = jnp.cumsum(q)
        return reacher.LINK * jnp.stack([jnp.cos(angles).sum(), jnp.sin(angles).sum()])

    q, qd = state.body.physics.q, state.body.physics.qd
    velocity = jax.jvp(place, (q,), (qd,))[1]
    np.testing.assert_allclose(arm.features["velocity"](state.obs), velocity, atol=1e-5)


def test_a_joint_turns_as_its_torque_drag_and_armature_say(arm):
    """With the elbow still, the shoulder has w' = 20 a - w: links weigh next to nothing."""
    task = jnp.array([0.18, 0.0])
    state = arm.reset(jax.random.key(0), task)
    before = state.body.physics.qd[0]
    after = jax.jit(arm.step)(state, jnp.array([0.5, 0.0]), task).body.physics.qd[0]
    expected = before + 0.05 * (0.5 * reacher.MAX_TORQUE - reacher.DRAG * before)
    assert after == pytest.approx(float(expected), rel=0.02)


@pytest.mark.parametrize("goals", ["ring", "arena"])
def test_the_arm_starts_folded_and_the_controller_reaches_every_goal(goals):
    arm = make("reacher", goals=goals)

    @jax.jit
    @jax.vmap
    def run(key):
        task = arm.sample(key, "hidden")
        first = arm.reset(key, task)

        def step(state, _):
            return arm.step(state, arm.controller(state, task), task), None

        last = jax.lax.scan(step, first, None, arm.horizon)[0]
        return first.obs[:2], last.success, jnp.linalg.norm(last.obs[:2] - task)

    start, success, distance = run(jax.random.split(jax.random.key(1), 64))
    assert np.abs(start).max() < 0.01
    assert success.all() and distance.max() < 1e-3
