"""MAML and MAESN learn to adapt, on plain and on lifted families."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.meta import maesn, maml
from hmrl_cli.environment import composition
from hmrl_cli.schema import Evaluation
from tests import toys

DIRECTIONS = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [0.0, 0.0]])
LIBRARY = toys.straight(DIRECTIONS)


def plain():
    return toys.walker(10)


def lifted():
    return composition.lift(toys.walker(10), LIBRARY, 2, stochastic=False)


def adapted_returns(learner, updates):
    """Mean return over 8 new tasks before and after one inner update."""

    @jax.jit
    def run():
        state = learner.init(jax.random.key(0))
        step_keys = jax.random.split(jax.random.key(3), updates)
        state, _ = jax.lax.scan(lambda state, key: learner.step(key, state), state, step_keys)
        angles = jnp.linspace(0, 2 * jnp.pi, 8, endpoint=False)
        tasks = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
        keys = jax.random.split(jax.random.key(2), 8)
        return jax.vmap(lambda key, task: learner.adapt(key, state, task, Evaluation(adapt_steps=1))[1])(
            keys, tasks
        )

    return np.asarray(run().returned).mean(axis=0)


@pytest.mark.parametrize(
    ("family", "margin"), [(plain, 4.0), pytest.param(lifted, 2.0, marks=pytest.mark.slow)]
)
def test_maml_adapts_in_one_step(family, margin):
    config = maml.Config(hidden=(32,), inner_lr=0.3, tasks_per_update=10)
    before, after = adapted_returns(maml.make(config, family()), 30)
    assert after > before + margin


@pytest.mark.parametrize(
    ("family", "margin"), [pytest.param(plain, 1.5, marks=pytest.mark.slow), (lifted, 0.5)]
)
def test_maesn_adapts_its_latent_in_one_step(family, margin):
    config = maesn.Config(hidden=(32,), num_train_tasks=20, tasks_per_update=10, mean_step_size=1.0)
    before, after = adapted_returns(maesn.make(config, family()), 60)
    assert after > before + margin
