"""Objectives of skills on a small walk."""

import jax
import jax.numpy as jnp

from hmrl_cli.learning import ppo
from tests import toys

PPO = ppo.Config(hidden=(16,), minibatches=4, learning_rate=3e-3)
QUICK = dict(observe="identity", episodes_per_update=32, learning_rate=3e-3, hidden=(32,), ppo=PPO)
WALKER = toys.walker(10)


def objective(module, family=WALKER, **settings):
    """The objective of a learner, and its fresh state."""
    learner = module.make(module.Config(**(QUICK | settings)), family)
    bound = learner.step.__self__.objective
    return bound, jax.jit(bound.init)(jax.random.key(0))


def walks(skills, seed=0):
    """Paths [N, 11, 2] of points that walk at random."""
    return jnp.cumsum(jax.random.normal(jax.random.key(seed), (len(skills), 11, 2)), axis=1)
