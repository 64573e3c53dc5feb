"""What the steps of a trial are worth."""

import jax.numpy as jnp
import numpy as np

from hmrl_cli.algorithms.meta import _trials
from hmrl_cli.learning.returns import gae


def test_advantages_are_those_of_the_steps_that_count():
    """As if the steps after an early end were not there."""
    rng = np.random.default_rng(0)
    reward, value = rng.normal(size=(2, 9)).astype(np.float32)
    valid = np.array([1, 1, 0, 1, 1, 1, 1, 0, 0], np.float32)  # three episodes of three steps
    got = _trials.advantages(reward, value, valid, 0.9, 0.8)
    kept = valid > 0
    expected = gae(reward[kept], jnp.full(6, 0.9), value[kept], jnp.zeros(()), 0.8)
    np.testing.assert_allclose(got[kept], expected, atol=1e-5)
