"""Walks, plain and through skills, and what adapting to them is worth."""

import jax
import jax.numpy as jnp
import numpy as np

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
