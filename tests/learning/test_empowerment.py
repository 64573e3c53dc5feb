"""The bound of empowerment against mutual information in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.learning import empowerment

LOG_2 = np.log(2.0)


def test_skills_that_live_longer_prove_nothing():
    """All see the same state, and q names the skill whose episodes last: no information, no bound above 0."""
    valid = jnp.zeros((8, 100)).at[:, 0].set(1.0).at[0].set(1.0)
    log_q = jnp.log(jnp.where(jnp.arange(8) == 0, 0.93, 0.01))
    assert empowerment.lower_bound(jnp.tile(log_q[:, None], 100), -jnp.log(8.0), valid) < 0


def test_the_bound_of_samples_is_the_mutual_information_under_the_true_posterior():
    """A binary symmetric channel has I = log 2 - H(error), its capacity; any other q has less."""
    error = 0.1
    channel = jnp.array([[1 - error, error], [error, 1 - error]])
    skill_key, state_key = jax.random.split(jax.random.key(0))
    skills = jax.random.randint(skill_key, (20_000,), 0, 2)
    states = jax.random.categorical(state_key, jnp.log(channel)[skills])
    seen = jnp.ones(20_000)
    right = empowerment.lower_bound(jnp.log(channel)[skills, states], -LOG_2, seen)  # symmetric: q = channel
    log_q = jnp.log(jnp.array([0.6, 0.4]))[jnp.abs(skills - states)]
    wrong = empowerment.lower_bound(log_q, -LOG_2, seen)
    entropy = -(error * np.log(error) + (1 - error) * np.log(1 - error))
    assert right == pytest.approx(LOG_2 - entropy, abs=0.02)
    assert wrong < right - 0.1
    half = empowerment.lower_bound(log_q, -LOG_2, seen * (skills == states))
    assert half == pytest.approx(np.log(0.6) + LOG_2, abs=1e-4)  # of the steps that count alone
