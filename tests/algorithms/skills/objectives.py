"""Objectives of skills on a small walk."""

import jax
import jax.numpy as jnp
import numpy as np

from hmrl_cli.environment.rollout import unroll
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


def ends_of_examples(learner, state):
    """Where each example's most likely actions lead [M, 2]."""
    library = learner.skills(learner.freeze(state))

    def end(skill):
        def act(key, obs):
            return library.policy(library.params, obs, skill).mode(), jnp.zeros(())

        return unroll(jax.random.key(0), act, WALKER, jnp.zeros(2))[1].obs

    return jax.vmap(end)(library.examples)


def check_apart(learner, state):
    """Skills of states [3, ...] lead to different places."""
    ends = np.asarray(jax.jit(jax.vmap(lambda state: ends_of_examples(learner, state)))(state))
    if ends.shape[1] == 4:  # all discrete skills
        apart = np.linalg.norm(ends[:, :, None] - ends[:, None], axis=-1)
        parted = (apart[:, ~np.eye(4, dtype=bool)] > 1.0).all(axis=1)
        assert parted.sum() >= 2, ends  # in one seed of ten two skills of DADS share a corner
    else:  # of eight directions those that are opposite; neighbours may share a corner of what can be reached
        assert (np.linalg.norm(ends[:, :4] - ends[:, 4:], axis=-1) > 3.0).all(), ends
