import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from hmrl_cli.learning.distributions import Categorical, Gaussian, SquashedGaussian

GAUSSIAN = Gaussian(jnp.array([0.3, -1.0]), jnp.array([0.1, -0.5]))
OTHER = Gaussian(jnp.array([0.0, 0.4]), jnp.array([-0.2, 0.2]))


def test_gaussian_agrees_with_scipy():
    oracle = scipy.stats.norm(GAUSSIAN.mean, np.exp(GAUSSIAN.log_std))
    value = np.array([0.7, 0.1])
    np.testing.assert_allclose(GAUSSIAN.log_prob(value), oracle.logpdf(value).sum(), rtol=1e-5)


def test_divergences_are_means_of_log_ratios():
    keys = jax.random.split(jax.random.key(0), 100_000)
    draws = jax.vmap(GAUSSIAN.sample)(keys)
    estimate = jnp.mean(jax.vmap(GAUSSIAN.log_prob)(draws) - jax.vmap(OTHER.log_prob)(draws))
    np.testing.assert_allclose(GAUSSIAN.kl(OTHER), estimate, rtol=0.02)
    one, two = Categorical(jnp.array([0.0, 1.0, -1.0])), Categorical(jnp.array([1.0, 0.0, 0.0]))
    p, q = jax.nn.softmax(one.logits), jax.nn.softmax(two.logits)
    np.testing.assert_allclose(one.kl(two), jnp.sum(p * jnp.log(p / q)), rtol=1e-5)
    assert GAUSSIAN.kl(GAUSSIAN) == 0 and one.kl(one) == 0


def test_squashed_density_integrates_to_one_and_fits_its_draws():
    policy = SquashedGaussian(jnp.array([0.4]), jnp.array([-0.3]))
    action = np.tanh(np.linspace(-6, 6, 20_001))
    normal = Gaussian(policy.mean, policy.log_std)
    log_density = jax.vmap(normal.log_prob)(np.arctanh(action)[:, None]) - np.log1p(-(action**2))
    np.testing.assert_allclose(np.trapezoid(np.exp(log_density), action), 1.0, rtol=1e-3)
    draw, log_prob = policy.sample_with_log_prob(jax.random.key(1))
    np.testing.assert_allclose(log_prob, np.interp(draw[0], action, log_density), rtol=1e-3)


def test_squashed_log_density_stays_finite_at_the_edge():
    edge = SquashedGaussian(jnp.array([30.0]), jnp.array([-5.0]))
    action, log_prob = edge.sample_with_log_prob(jax.random.key(0))
    assert action[0] == 1.0 and np.isfinite(log_prob)


def test_categorical_frequencies_follow_the_logits():
    dist = Categorical(jnp.log(jnp.array([0.2, 0.5, 0.3])))
    draws = jax.vmap(dist.sample)(jax.random.split(jax.random.key(2), 20_000))
    np.testing.assert_allclose(np.bincount(draws) / 20_000, [0.2, 0.5, 0.3], atol=0.015)
    np.testing.assert_allclose(dist.log_prob(jnp.int32(1)), np.log(0.5), rtol=1e-5)
    assert dist.mode() == 1
