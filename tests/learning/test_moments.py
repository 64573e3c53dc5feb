import jax.numpy as jnp
import numpy as np

from hmrl_cli.learning import moments


def test_moments_are_those_of_all_steps_that_count():
    rng = np.random.default_rng(0)
    obs = rng.normal(3.0, 2.0, size=(5, 4, 6, 3)).astype(np.float32)  # five updates of four episodes
    valid = (rng.random((5, 4, 6)) < 0.7).astype(np.float32)
    seen = moments.initial(3)
    for o, v in zip(obs, valid, strict=True):
        seen = moments.absorb(seen, jnp.array(o), jnp.array(v))
    counted = obs[valid > 0]
    np.testing.assert_allclose(seen.mean, counted.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(seen.variance, counted.var(axis=0), rtol=1e-3)


def test_what_is_normalised_has_unit_variance_and_a_limit():
    seen = moments.Moments(jnp.float32(9.0), jnp.array([1.0, 2.0]), jnp.array([4.0, 0.0]))
    x = jnp.array([[3.0, 2.0], [-1.0, 5.0]])
    np.testing.assert_allclose(moments.normalize(seen, x), [[1.0, 0.0], [-1.0, moments.LIMIT]], rtol=1e-5)
