"""A policy of observation and belief: who teaches whom, and what a trial keeps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.meta import _bayes_adaptive, _belief, _trials, hyperx, varibad
from hmrl_cli.environment import composition
from hmrl_cli.learning import ppo
from tests import toys
from tests.algorithms.meta.walkers import LIBRARY

SMALL = {
    "trials_per_update": 4,
    "episodes_per_trial": 2,
    "belief": _belief.Config(
        latent_size=2,
        memory_size=4,
        decoder_hidden=(4,),
        gradient_steps=2,
        trials_per_step=4,
        buffer_trials=8,
    ),
    "ppo": ppo.Config(hidden=(4,), minibatches=2, epochs=2, init_std=2.0),
}


def drifting():
    """A walk with the wind, which takes most episodes to their early end."""
    still = toys.walker(6, ends=True)
    return still._replace(step=lambda state, action, task: still.step(state, action + 3.0, task))


@functools.cache
def met():
    """The parts of a learner, a fresh state, the program of an update, and the state after one."""
    made = varibad.make(varibad.Config(**SMALL), drifting())
    step = jax.jit(made.step)
    state = jax.jit(made.init)(jax.random.key(0))
    return made.step.__self__, state, step, step(jax.random.key(1), state)[0]


def same(one, other):
    return all(map(np.array_equal, jax.tree.leaves(one), jax.tree.leaves(other)))


@pytest.mark.slow
def test_what_the_policy_learns_does_not_reach_the_encoder():
    """Another critic leads to another policy, from the same trials, and to the same belief."""
    _, state, step, after = met()
    critic = jax.tree.map(lambda x: x + 0.3, state.agent.critic)
    other, _ = step(jax.random.key(1), state._replace(agent=state.agent._replace(critic=critic)))
    assert same(other.trials, after.trials) and not same(other.agent.policy, after.agent.policy)
    assert same(other.belief, after.belief) and not same(after.belief.params, state.belief.params)


@pytest.mark.slow
def test_a_policy_acts_on_the_belief_of_all_that_it_saw_in_the_trial():
    learner, _, _, state = met()

    @jax.jit
    def again(key):
        trials = learner.acting.trial(key, learner.params(state), jnp.array([1.0, 0.0]), 3)
        seen, valid = _trials.in_a_row(jax.tree.map(lambda x: x[None], (trials.seen, trials.steps.valid)))
        belief = learner.belief.beliefs(state.belief.params, state.observed, seen.inputs, valid)
        return seen, valid, belief, learner.agent.policy.apply(state.agent.policy, seen.policy), trials.steps

    seen, valid, belief, pi, steps = again(jax.random.key(2))
    assert 0 < valid.mean() < 1  # some episodes end early
    counts = valid[..., None] > 0
    for one, other in zip(seen.belief, belief, strict=True):
        np.testing.assert_allclose(np.where(counts, one, 0), np.where(counts, other, 0), atol=1e-5)
    np.testing.assert_array_equal(seen.policy[..., 2:], jnp.concatenate(seen.belief, axis=-1))
    assert (np.ptp(belief.mean[0, valid[0] > 0], axis=0) > 0).all()
    action = steps.action.reshape(1, -1, 2)
    said = pi.log_prob(action) * valid
    np.testing.assert_allclose(said, steps.log_prob.reshape(1, -1) * valid, atol=1e-4)


@pytest.mark.slow
def test_the_buffer_keeps_the_last_trials():
    _, state, step, after = met()
    assert (int(state.trials.size), int(after.trials.size)) == (0, 4)
    for number in range(2, 4):
        after, _ = step(jax.random.key(number), after)
    assert (int(after.trials.size), int(after.trials.position)) == (8, 4)


@pytest.mark.parametrize("module", [pytest.param(varibad, marks=pytest.mark.slow), hyperx])
def test_a_state_comes_back_as_it_went(module):
    for family in (composition.lift(toys.walker(12, ends=True), LIBRARY, 2, stochastic=False), drifting()):
        made = module.make(module.Config(**SMALL), family)
        state = jax.eval_shape(made.init, jax.random.key(0))
        new, metrics = jax.eval_shape(made.step, jax.random.key(1), state)
        assert jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), new) == jax.tree.map(
            lambda x: (x.shape, x.dtype, x.weak_type), state
        )
        assert made.steps_per_update == 4 * 2 * 6
        assert {"return_first", "return_last", "decoder_error", "belief_kl"} <= {*metrics}


def test_what_does_not_fit_is_named():
    odd = ppo.Config(minibatches=5)
    with pytest.raises(ValueError, match=r"algorithm.ppo.minibatches: found 5; must divide the 48 steps"):
        varibad.make(varibad.Config(**(SMALL | {"ppo": odd})), drifting())
    small = SMALL["belief"].model_copy(update={"buffer_trials": 3})
    with pytest.raises(ValueError, match=r"algorithm.belief.buffer_trials: found 3; must hold one update, 4"):
        _bayes_adaptive.make(varibad.Config(**(SMALL | {"belief": small})), drifting())
