"""VIC: what it pays, and its learned prior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.skills import vic
from tests.algorithms.skills.objectives import QUICK, WALKER, objective, walks
from tests.algorithms.skills.test_diayn import train


def test_vic_pays_once_at_the_last_step_that_counts():
    goal, state = objective(vic, num_skills=3)
    skills = jnp.array([0, 2])
    valid = jnp.ones((2, 10)).at[1, 4:].set(0.0)
    path = walks(skills)
    reward, weights = goal.reward(jax.random.key(0), state, skills, path, valid)
    log_q = goal.log_q(state, path)
    assert reward.shape == (2, 10, 1) and (weights == 1).all()
    np.testing.assert_allclose(reward[0, :9], 0)
    np.testing.assert_allclose(reward[0, 9, 0], log_q[0, 9, 0] + np.log(3), rtol=1e-5)
    np.testing.assert_allclose(reward[1, 3, 0], log_q[1, 9, 2] + np.log(3), rtol=1e-5)  # frozen from there on
    assert np.count_nonzero(reward) == 2


def test_a_learned_prior_follows_what_skills_are_worth():
    """p(z) ~ exp(E[log q(z|.)]) is where it comes to rest, and a skill nobody can tell is drawn no more."""
    goal, state = objective(vic, num_skills=3, prior_rate=0.5)
    vic_ = goal.learn.__self__
    skills, own = jnp.array([0, 0, 1, 2]), jnp.array([-0.1, -0.3, -1.0, -8.0])
    log_prior = state.log_prior
    for _ in range(40):
        log_prior = vic_._moved(log_prior, skills, own)
    np.testing.assert_allclose(log_prior, jax.nn.log_softmax(jnp.array([-0.2, -1.0, -8.0])), atol=1e-4)
    # not drawn is not forgotten: whatever the others are worth
    np.testing.assert_allclose(vic_._moved(log_prior, skills[:3], own[:3])[2], log_prior[2], rtol=1e-5)
    np.testing.assert_allclose(jax.nn.logsumexp(vic_._moved(log_prior, skills[:3], own[:3])), 0, atol=1e-5)


@pytest.mark.slow
def test_a_learned_prior_collapses_and_a_fixed_one_does_not():
    settings = QUICK | dict(num_skills=16, episodes_per_update=32, prior_rate=1.0)
    effective = {}
    for prior in ("learned", "fixed"):
        learner = vic.make(vic.Config(**settings, prior=prior), WALKER)
        effective[prior] = np.asarray(train(learner, 30, num_seeds=2)[1]["effective_prior"])
    np.testing.assert_allclose(effective["fixed"], 16, rtol=1e-4)
    assert (effective["learned"] < 11).all()
