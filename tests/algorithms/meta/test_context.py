"""PEARL's posterior in closed form."""

import jax
import jax.numpy as jnp
import numpy as np

from hmrl_cli.algorithms.meta import _context
from hmrl_cli.learning.distributions import Gaussian

FACTORS = Gaussian(
    jnp.array([[1.0, -2.0], [0.5, 0.0], [-3.0, 1.0]]),
    jnp.log(jnp.array([[0.5, 1.0], [2.0, 0.1], [1.0, 3.0]])),
)


def test_the_posterior_is_the_product_of_its_factors_and_the_prior():
    """The density of the product, normalised on a grid, has the moments in closed form."""
    latent = _context.posterior(_context.evidence(FACTORS, jnp.ones(3)))
    grid = np.linspace(-8, 8, 200_001)
    for dim in range(2):
        mean, std = np.asarray(FACTORS.mean)[:, dim, None], np.exp(np.asarray(FACTORS.log_std))[:, dim, None]
        log_density = -0.5 * grid**2 - 0.5 * np.sum(((grid - mean) / std) ** 2, axis=0)
        density = np.exp(log_density - log_density.max())
        density /= density.sum()
        centre = np.sum(density * grid)
        np.testing.assert_allclose(latent.mean[dim], centre, atol=1e-4)
        np.testing.assert_allclose(
            jnp.exp(latent.log_std[dim]), np.sqrt(np.sum(density * (grid - centre) ** 2)), rtol=1e-4
        )


def test_order_and_padding_do_not_matter_and_nothing_known_is_the_prior():
    whole = _context.posterior(_context.evidence(FACTORS, jnp.ones(3)))
    turned = _context.posterior(_context.evidence(jax.tree.map(lambda x: x[::-1], FACTORS), jnp.ones(3)))
    padded = jax.tree.map(lambda x: jnp.concatenate([x[:1], 9 + x[:2], x[1:]]), FACTORS)
    masked = _context.posterior(_context.evidence(padded, jnp.array([1.0, 0, 0, 1, 1])))
    for other in (turned, masked):
        np.testing.assert_allclose(other.mean, whole.mean, rtol=1e-6)
        np.testing.assert_allclose(other.log_std, whole.log_std, rtol=1e-6)
    empty = _context.posterior(_context.evidence(FACTORS, jnp.zeros(3)))
    np.testing.assert_array_equal(empty.mean, 0.0)
    np.testing.assert_array_equal(empty.log_std, 0.0)
