from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.learning.networks import policy as make_policy
from hmrl_cli.meta_gradient import refit
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import AdaptState, Discrete
from tests import toys

PRIOR = Gaussian(jnp.zeros(2), jnp.zeros(2))
NET = make_policy(2, Discrete(4), (8,), latent_size=2)
START = AdaptState(jax.jit(NET.init)(jax.random.key(0)), PRIOR)


@partial(jax.jit, static_argnames=("steps", "episodes", "least_gain"))
def refitted(seen, steps, **gate):
    budget = Evaluation(rule="refit", imitation_steps=steps, **gate)
    return refit.refit(jax.random.key(1), START, seen, NET, budget)


def memory(returned, kept=None, latent=None):
    """Episodes of three steps, each of which earns a third of the return."""
    number = len(returned)
    latent = np.zeros((number, 2), np.float32) if latent is None else latent
    kept = np.ones(number, np.float32) if kept is None else np.array(kept, np.float32)
    obs = np.ones((number, 3, 2), np.float32)
    action = np.tile(np.arange(number, dtype=np.int32)[:, None] % 4, (1, 3))
    valid, own = np.ones((number, 3), np.float32), np.ones(number, np.float32)
    returned = np.array(returned, np.float32)
    seen = refit.EpisodeBuffer(latent, obs, action, valid, own, returned, returned / 3, kept)
    return jax.tree.map(jnp.asarray, seen)


def test_equal_returns_weigh_alike_and_a_success_weighs_nearly_all():
    weights = jax.jit(partial(refit.weights, selectivity=10.0))
    np.testing.assert_allclose(weights(memory([-200.0] * 5)), 0.2, rtol=1e-5)
    assert weights(memory([-200.0, -200.0, -120.0, -200.0]))[2] > 0.999
    # what is not there weighs nothing, whatever stands in its place
    np.testing.assert_allclose(weights(memory([-3.0, 0.0, -3.0], kept=[1, 0, 1])), [0.5, 0, 0.5], atol=1e-6)


def test_the_posterior_is_the_prior_and_the_weighted_latents():
    latents = jnp.array([[2.0, 0.0], [4.0, 0.0]])
    got = refit.posterior(PRIOR, latents, jnp.array([0.5, 0.5]))
    # two episodes and the prior's one: a third of 0, two thirds of 3
    np.testing.assert_allclose(got.mean, [2.0, 0.0], atol=1e-6)
    scatter = (2 / 3) * (0.0**2 + 2.0**2) / 2 + (1 / 3) * 2.0**2 + 1 / 3
    np.testing.assert_allclose(jnp.exp(2 * got.log_std), [scatter, 1 / 3], rtol=1e-5)
    one = refit.posterior(PRIOR, latents, jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(one.mean, [2.0, 0.0], atol=1e-6)  # half way to the only one that counts


def test_a_latent_is_not_fitted_to_episodes_that_repeated_an_action():
    latent = jnp.array([[1.0, 0.0], [0.0, 1.0], [2.0, -2.0]])
    seen = memory([-9.0, -9.0, -1.0], latent=latent)._replace(max_reward=jnp.array([-3.0, -2.0, 0.0]))

    def fitted(own, steps=0):
        return refitted(seen._replace(on_policy=jnp.array(own)), steps).latent

    np.testing.assert_allclose(fitted([1.0, 1.0, 0.0]).mean, [1 / 3, 1 / 3], atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, fitted([0.0, 0.0, 0.0]), PRIOR)
    # whoever imitates it acts as it did under its latent
    np.testing.assert_allclose(fitted([1.0, 1.0, 0.0], steps=1).mean, [1.0, -1.0], atol=0.01)


def test_imitation_does_as_the_best_episode_did():
    new = refitted(memory([-9.0, -9.0, -1.0, -9.0]), 100)
    assert NET.apply(new.params, jnp.ones(2), jnp.zeros(2)).log_probs()[2] > np.log(0.9)
    still = refitted(memory([-9.0, -9.0, -1.0, -9.0]), 0)
    jax.tree.map(np.testing.assert_array_equal, still.params, START.params)


@pytest.mark.parametrize(
    ("finds", "found"),
    [
        ([], False),  # nothing but what actions cost
        ([70], True),  # once, late, in a hundred
        ([0, 2, 4, 6, 8, 10, 12, 14, 16, 18], True),  # half of the first batch
        ([*range(20, 100)], True),  # all but the first batch
    ],
)
def test_nothing_moves_until_something_was_found(finds, found):
    """And then as far as if all returns counted; costs differ by a few, a find is worth 40."""
    rng = np.random.default_rng(0)
    returned = -200.0 - np.abs(rng.normal(0, 3, 100))
    returned[finds] += 40.0
    seen = memory(returned, latent=jnp.array(rng.normal(size=(100, 2)), jnp.float32))

    moved = refitted(seen, 3)
    expected = moved if found else START
    jax.tree.map(np.testing.assert_array_equal, refitted(seen, 3, episodes=20, least_gain=20.0), expected)
    assert np.abs(moved.latent.mean).max() > 0.05  # costs alone would have moved it


def test_equal_returns_are_no_find():
    """Nor where any gain is one."""
    for returned, found in (([-200.0] * 8, False), ([-200.0] * 7 + [-199.0], True)):
        assert bool(refit.stands_out(memory(returned), 8, 0.0)) == found
        seen = memory(returned, latent=np.arange(16.0, dtype=np.float32).reshape(8, 2))
        assert bool((refitted(seen, 3).latent.mean != 0).any()) == found  # a missing `least_gain` is 0


def test_the_cost_of_repeated_actions_makes_no_find_of_the_others():
    own = jnp.array([1.0, 0.0, 0.0, 1.0, 0.0])
    seen = memory([-200.0, -240.0, -235.0, -203.0, -230.0])._replace(on_policy=own)
    assert not refit.stands_out(seen, 5, 20.0)
    assert refit.stands_out(seen._replace(on_policy=jnp.zeros(5)), 5, 20.0)  # there is nothing else to go by
    late = seen._replace(max_reward=seen.max_reward.at[4].set(-60.0))  # in vain, if all its steps are counted
    assert refit.stands_out(late, 5, 20.0)


def test_an_untrained_policy_gets_better_by_doing_again_what_was_good():
    returns = toys.returns_untrained(adapt_steps=4, rule="refit", fallback=0.5, imitation_steps=20)
    assert returns[-1] > returns[0] + 1.0
