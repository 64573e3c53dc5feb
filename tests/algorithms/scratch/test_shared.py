"""PPO and SAC from scratch: they learn, through skills and with a bonus."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.scratch import ppo, sac
from hmrl_cli.environment import composition
from hmrl_cli.learning import ppo as ppo_block
from hmrl_cli.schema import Evaluation
from tests import toys
from tests.algorithms.scratch.learners import BONUSES, BUILD, LIBRARY, PPO, SAC, learner

SLOW_ON_A_CHAIN = ("rnd", "icm", "information_gain")


@pytest.mark.parametrize(
    "explore",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW_ON_A_CHAIN else []) for name in BONUSES],
)
def test_every_bonus_finds_the_end_of_a_chain(explore):
    _, metrics = toys.train(learner("ppo", toys.chain(), explore, **BONUSES[explore]), 5)
    assert (metrics["reached"] > 0.9).all() and (metrics["return"] > 1.0).all()


def test_plain_ppo_does_not_find_it():
    _, metrics = toys.train(learner("ppo", toys.chain()), 5)
    assert (metrics["reached"] < 0.1).all() and "bonus" not in metrics


def test_a_bonus_of_no_weight_changes_nothing_but_what_is_measured():
    _, plain = toys.train(learner("ppo", toys.chain(), None), 1)
    _, weightless = toys.train(learner("ppo", toys.chain(), "counts", weight=0.0), 1)
    for name in plain:
        np.testing.assert_allclose(plain[name], weightless[name], rtol=1e-5)
    assert (weightless["bonus"] > 0).all()


@pytest.mark.parametrize("algorithm", [pytest.param("ppo", marks=pytest.mark.slow), "sac"])
def test_a_goal_is_learned_and_kept(algorithm):
    """Each seed learns the one task that it drew, and an evaluation adapts nothing."""
    plain = learner(algorithm, toys.walker(10))
    state, metrics = toys.train(plain, 6, num_seeds=2)
    assert (metrics["success"] > 0.6).all()
    assert state.tasks.shape == (2, 1, 2) and (state.tasks[0] != state.tasks[1]).any()

    def met(state, task):
        adapted, record = plain.adapt(jax.random.key(7), state, task, Evaluation(adapt_steps=2))
        return adapted, record

    met = jax.jit(jax.vmap(met))
    adapted, own = met(state, state.tasks[:, 0])
    _, other = met(state, -state.tasks[:, 0])
    assert own.returned.shape == (2, 3) and (own.success > 0.6).all() and (other.success == 0).all()
    acted = adapted.params["policy"] if algorithm == "ppo" else adapted.params
    jax.tree.map(np.testing.assert_array_equal, state.agent.policy, acted)
    one = jax.tree.map(lambda x: x[0], adapted)
    action, log_prob = plain.behaviour(jax.random.key(8), one)(jax.random.key(9), jnp.zeros(2))
    assert action.shape == (2,) and log_prob.shape == ()


def test_an_evaluation_may_go_on_training_on_the_new_task():
    """After two measurements an untrained policy learns a goal from the evaluation's own episodes."""
    fresh = learner("ppo", toys.walker(8))
    state = jax.jit(fresh.init)(jax.random.key(0))
    budget = Evaluation(adapt_steps=60, episodes=16, tune_after=2)
    adapted, curve = jax.jit(fresh.adapt, static_argnums=3)(
        jax.random.key(1), state, jnp.array([2.0, 0.0]), budget
    )
    assert curve.returned.shape == (61,) and curve.success[:3].mean() < 0.3 < 0.6 < curve.success[-5:].mean()
    assert (adapted.params["observed"].mean != state.observed.mean).any()
    assert state.tasks.shape == (1, 2)


@pytest.mark.parametrize("explore", BONUSES)
@pytest.mark.parametrize("algorithm", BUILD)
def test_families_of_every_kind_carry_a_bonus(algorithm, explore):
    """Lifted, with choices for actions, and held; both end early."""
    for family in (
        composition.lift(toys.walker(8, ends=True), LIBRARY, 2, stochastic=False),
        composition.repeat(toys.walker(8, ends=True), 2),
    ):
        made = learner(algorithm, family, explore)
        state = jax.eval_shape(made.init, jax.random.key(0))
        new, metrics = jax.eval_shape(made.step, jax.random.key(1), state)
        assert jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), new) == jax.tree.map(
            lambda x: (x.shape, x.dtype, x.weak_type), state
        )
        assert {"return", "success", "reached", "bonus"} <= {*metrics}


def test_sizes_that_cannot_work_are_named():
    with pytest.raises(ValueError, match="minibatches: found 7; must divide the 128 steps"):
        ppo.make(
            PPO.model_copy(update={"ppo": ppo_block.Config(minibatches=7)}),
            toys.walker(8),
        )
    with pytest.raises(ValueError, match="buffer_capacity: found 9; must hold one update, 64 steps"):
        sac.make(SAC.model_copy(update={"buffer_capacity": 9}), toys.walker(8))
