import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.meta_gradient import clipped_step
from hmrl_cli.meta_gradient.problem import Problem


def bowl(params, outputs):
    return jnp.sum((outputs - 1.0) ** 2)


def outputs(params):
    return params["x"] * jnp.array([1.0, 2.0])


def far(old, new):
    return jnp.sum((old - new) ** 2)


def test_the_steps_are_adams():
    config = clipped_step.Config(epochs=3, learning_rate=0.1)
    params = {"x": jnp.zeros(2)}
    new, _, info = clipped_step.step(
        params, clipped_step.init(params, config), Problem(outputs, bowl, far), config
    )
    x, first, second = np.zeros(2), np.zeros(2), np.zeros(2)
    for t in range(1, 4):
        slope = 2 * (x * [1.0, 2.0] - 1.0) * [1.0, 2.0]
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        x = x - 0.1 * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(new["x"], x, rtol=1e-4)
    assert info.improvement > 0 and info.loss == pytest.approx(2.0)


@pytest.mark.parametrize(("target", "change"), [(1e-6, 1 / 1.5), (10.0, 1.5), (None, 1.0)])
def test_the_learning_rate_follows_how_far_an_update_went(target, change):
    config = clipped_step.Config(learning_rate=0.004, target_kl=target)
    params = {"x": jnp.zeros(2)}
    _, state, info = jax.jit(
        lambda p: clipped_step.step(p, clipped_step.init(p, config), Problem(outputs, bowl, far), config)
    )(params)
    assert info.divergence > 0
    np.testing.assert_allclose(state.learning_rate, 0.004 * change, rtol=1e-5)


def test_a_batch_without_a_gradient_changes_nothing():
    """Neither the rate, nor what Adam remembers, so that the next batch moves as if it were the first."""
    config = clipped_step.Config(learning_rate=0.004, target_kl=0.02)
    params = {"x": jnp.ones(2)}
    first = clipped_step.init(params, config)
    flat = Problem(outputs, lambda params, outputs: 0.0 * jnp.sum(outputs), far)
    new, state, info = clipped_step.step(params, first, flat, config)
    jax.tree.map(np.testing.assert_array_equal, (new, state), (params, first))
    assert info.outer_learning_rate == first.learning_rate and info.divergence == 0


def test_a_target_needs_a_step_to_be_seen():
    with pytest.raises(ValueError, match="epochs: found 1; must be at least 2"):
        clipped_step.Config(target_kl=0.01, epochs=1)
    clipped_step.Config(epochs=1)
