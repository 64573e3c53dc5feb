"""VariBAD learns to find out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.meta import _belief, varibad
from hmrl_cli.learning import ppo
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import Discrete
from tests import toys
from tests.algorithms.meta.test_rl2 import doors


@pytest.mark.slow
def test_a_later_episode_is_better_by_what_is_believed():
    """Behind one of two doors is a reward, and nothing is seen of it before the first try."""
    config = varibad.Config(
        trials_per_update=64,
        episodes_per_trial=3,
        belief=_belief.Config(
            latent_size=1, memory_size=8, decoder_hidden=(16,), learning_rate=1e-2, gradient_steps=5
        ),
        ppo=ppo.Config(hidden=(16,), minibatches=4, learning_rate=3e-3),
    )
    learner = varibad.make(config, doors(Discrete(2)))
    state, metrics = toys.train(learner, 8, num_seeds=2)
    assert (metrics["return_last"] > 0.9).all() and (metrics["return_first"] < 0.6).all()

    def adapt(state, side):
        budget = Evaluation(adapt_steps=2, episodes=50)
        return learner.adapt(jax.random.key(9), state, jnp.array([side]), budget)[1].returned

    every = jax.jit(jax.vmap(jax.vmap(adapt, in_axes=(None, 0)), in_axes=(0, None)))
    returned = every(state, jnp.array([-1.0, 1.0]))
    assert returned.shape == (2, 2, 3) and (returned[..., 1:] > 0.9).all()
    np.testing.assert_allclose(returned[..., 0].mean(axis=1), 0.5, atol=0.1)  # a guess
