"""A learner whose curves are known."""

import jax.numpy as jnp

from hmrl_cli.types import Adaptation, AdaptState, MetaLearner


def fake_learner(skills):
    """Its return is seed + task + update, so that every axis can be told."""

    def adapt(key, state, task, budget):
        steps = jnp.arange(budget.adapt_steps + 1.0)
        return AdaptState(state, None), Adaptation(100 * state + 10 * task[0] + steps, steps, steps)

    def behaviour(key, state):
        raise NotImplementedError

    return MetaLearner(lambda key: 0.0, lambda key, state: (state, {}), 1, adapt, behaviour)
