"""HyperX's bonuses: what they reward, and that they end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.meta import hyperx
from hmrl_cli.learning import moments
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.types import Transition
from tests import toys
from tests.algorithms.meta.test_bayes_adaptive import SMALL

OBSERVED = moments.initial(3)


def given(**settings):
    """The bonuses, their fresh state, parameters of the belief, and beliefs and steps of two trials."""
    explore = hyperx.exploration(hyperx.Config(**SMALL, anneal_updates=4, **settings), toys.walker())
    keys = jax.random.split(jax.random.key(0), 6)
    obs, action, next_obs = (jax.random.normal(key, (2, 6, 2)) for key in keys[:3])
    number = jnp.ones((2, 6))
    steps = Transition(obs, action, number, number, number, number, next_obs)
    beliefs = Gaussian(*jax.random.normal(keys[3], (2, 2, 6, 2)))
    start, params = jax.jit(lambda a, b: (explore.init(a), explore.belief.init(b).params))(keys[4], keys[5])
    return explore, start, params, beliefs, explore.belief.experience(jnp.zeros((2, 6, 7)), steps)


def test_the_bonuses_fall_linearly_to_0():
    explore, state, params, beliefs, steps = given()

    @jax.jit
    def bonus(updates):
        now = state._replace(updates=updates)
        made, after, _ = explore.of_trials(jax.random.key(1), now, params, OBSERVED, beliefs, steps)
        return made, after.updates

    first = bonus(jnp.int32(0))[0]
    assert (first > 0).all()
    for updates, share in ((1, 0.75), (3, 0.25), (4, 0.0), (99, 0.0)):
        made, after = bonus(jnp.int32(updates))
        np.testing.assert_allclose(made, share * first, rtol=1e-5)
        assert after == updates + 1


@pytest.mark.slow
def test_the_error_is_that_of_the_step_by_the_belief_after_it():
    explore, state, params, beliefs, steps = given(novelty_weight=0.0, error_weight=1.0)
    sure = beliefs._replace(log_std=jnp.full_like(beliefs.log_std, -20.0))  # a sample is the mean

    @jax.jit
    def both(key):
        made, _, _ = explore.of_trials(key, state, params, OBSERVED, sure, steps)
        late = jnp.concatenate([sure.mean[:, 1:], sure.mean[:, -1:]], axis=1)
        return made, explore.belief.error(params, OBSERVED, late, steps)

    bonus, error = both(jax.random.key(2))
    np.testing.assert_allclose(bonus, error / np.sqrt(np.mean(error**2)), rtol=1e-3)


@pytest.mark.slow
def test_a_known_place_is_new_to_another_belief():
    explore, state, params, beliefs, steps = given(error_weight=0.0)

    @jax.jit
    def novelties(key):
        def learn(state, t):
            key_t = jax.random.fold_in(key, t)
            return explore.of_trials(key_t, state, params, OBSERVED, beliefs, steps)[1], None

        known = jax.lax.scan(learn, state, jnp.arange(30))[0]._replace(updates=jnp.int32(0))
        others = beliefs._replace(mean=beliefs.mean + 2.0)
        pair = zip(jax.random.split(jax.random.key(4)), (beliefs, others), strict=True)
        return [explore.of_trials(k, known, params, OBSERVED, q, steps)[0].mean() for k, q in pair]

    same, other = novelties(jax.random.key(3))
    assert other > 3 * same


def test_an_unknown_feature_is_named():
    with pytest.raises(ValueError, match=r"algorithm.observe: walker has no feature 'yx', only identity, xy"):
        hyperx.make(hyperx.Config(**SMALL, observe="yx"), toys.walker())
