"""MAESN learns to adapt its latent."""

from functools import partial

import jax
import numpy as np
import pytest

from hmrl_cli.algorithms.meta import maesn
from hmrl_cli.schema import Evaluation
from tests import toys
from tests.algorithms.meta.walkers import adapted_returns, lifted, plain


@pytest.mark.parametrize(
    ("family", "margin"), [pytest.param(plain, 1.5, marks=pytest.mark.slow), (lifted, 0.5)]
)
def test_maesn_adapts_its_latent_in_one_step(family, margin):
    config = maesn.Config(hidden=(32,), num_train_tasks=20, tasks_per_update=10, mean_step_size=1.0)
    before, after = adapted_returns(maesn.make(config, family()), 60)
    assert after > before + margin


@pytest.mark.parametrize(
    ("adapts", "moves"), [("latent", (False, True)), ("policy", (True, False)), ("both", (True, True))]
)
def test_an_inner_step_moves_what_it_adapts(adapts, moves):
    family = toys.walker(4)
    config = maesn.Config(hidden=(8,), num_train_tasks=2, tasks_per_update=2, adapts=adapts)
    learner = maesn.make(config, family)

    @partial(jax.jit, static_argnums=0)
    def after(updates):
        state_key, task_key, key = jax.random.split(jax.random.key(0), 3)
        state, task = learner.init(state_key), family.sample(task_key, "train")
        return learner.adapt(key, state, task, Evaluation(adapt_steps=updates, episodes=4))[0]

    before, moved = after(0), after(1)
    for part, has_moved in zip(("params", "latent"), moves, strict=True):
        pairs = zip(*(jax.tree.leaves(getattr(one, part)) for one in (before, moved)), strict=True)
        assert any(np.any(old != new) for old, new in pairs) == has_moved
