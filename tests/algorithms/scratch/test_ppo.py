"""PPO from scratch: what it starts as, and its tasks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.scratch import _shared, ppo
from tests import toys
from tests.algorithms.scratch.learners import DIRECTIONS, LIBRARY, PPO, learner


def test_the_skill_that_a_policy_starts_as_is_the_one_that_pays_most():
    scratch = learner("ppo", toys.walker(8))
    state = jax.jit(scratch.init)(jax.random.key(0))
    observed = state.observed._replace(mean=jnp.array([7.0, 7.0]))

    def fold(skill):
        return {"policy": jax.tree.map(lambda x: 0 * x + skill, state.agent.policy), "observed": observed}

    start = jax.jit(lambda key, state: scratch.start(key, state, LIBRARY, fold))
    for best in range(4):
        started = start(jax.random.key(1), state._replace(tasks=2 * DIRECTIONS[best][None]))
        assert all((leaf == best).all() for leaf in jax.tree.leaves(started.agent.policy))
        np.testing.assert_array_equal(started.observed.mean, observed.mean)
        for old, new in zip(
            jax.tree.leaves(state.agent.critic), jax.tree.leaves(started.agent.critic), strict=True
        ):
            np.testing.assert_array_equal(old, new)
    with pytest.raises(
        ValueError, match=r"algorithm.ppo.hidden: found \(32,\); must be as in the skills' policy"
    ):
        scratch.start(jax.random.key(1), state, LIBRARY, lambda skill: {"policy": {}, "observed": observed})


def test_several_tasks_are_met_in_turn():
    several = ppo.make(PPO.model_copy(update={"num_tasks": 4}), toys.walker(8))
    state = jax.jit(several.init)(jax.random.key(0))
    assert state.tasks.shape == (4, 2) and len(np.unique(state.tasks, axis=0)) == 4
    family = toys.walker(2)._replace(step=lambda state, action, task: state._replace(obs=task))

    def still(key, obs):
        return jnp.zeros(2), jnp.float32(0)

    _, last = _shared.episodes(jax.random.key(1), still, family, state.tasks, 6)
    np.testing.assert_array_equal(last.obs, state.tasks[jnp.array([0, 1, 2, 3, 0, 1])])
    with pytest.raises(ValueError, match="found 16; must be at least num_tasks, 17, so that every task"):
        ppo.Config(num_tasks=17, episodes_per_update=16)
