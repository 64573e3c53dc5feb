import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.learning import returns
from hmrl_cli.learning.returns import discounted, gae, whiten

linear_baseline = jax.jit(returns.linear_baseline)


def definition(reward, discount, value, bootstrap, lam):
    """Schulman et al. 2016, eq. 16, as a double sum."""
    value = np.append(value, bootstrap)
    delta = reward + discount * value[1:] - value[:-1]
    total = np.zeros(len(reward))
    for t in range(len(reward)):
        weight = 1.0
        for k in range(t, len(reward)):
            total[t] += weight * delta[k]
            weight *= lam * discount[k]
    return total


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_gae_is_its_definition(lam):
    rng = np.random.default_rng(0)
    reward, value = rng.normal(size=(2, 12)).astype(np.float32)
    discount = np.full(12, 0.9, np.float32)
    discount[7] = 0.0  # the episode ended there
    got = gae(reward, discount, value, jnp.float32(0.5), lam)
    np.testing.assert_allclose(got, definition(reward, discount, value, 0.5, lam), atol=1e-5)


def test_discounted_return():
    np.testing.assert_allclose(discounted(jnp.ones(3), jnp.full(3, 0.5)), [1.75, 1.5, 1.0])


def test_linear_baseline_is_ridge_regression_on_the_papers_features():
    rng = np.random.default_rng(1)
    obs = rng.normal(size=(6, 15, 3)).astype(np.float32)
    returns = (obs @ [1.0, -2.0, 0.5] + obs[..., 0] ** 2 + rng.normal(size=(6, 15))).astype(np.float32)
    valid = np.ones((6, 15), np.float32)
    valid[2, 9:] = 0.0
    t = np.broadcast_to(np.arange(15)[:, None] / 100, (6, 15, 1))
    features = np.concatenate([obs, obs**2, t, t**2, t**3], axis=-1).astype(np.float64)
    use = valid.astype(bool)
    x, y = features[use], returns[use]
    centre, scale = x.mean(axis=0), x.std(axis=0)
    x = (x - centre) / scale
    p = x.shape[1]

    def fit(ridge):
        """Least squares with rows that ask for coefficients of 0."""
        rows, targets = np.vstack([x, np.sqrt(ridge) * np.eye(6, p)]), np.append(y - y.mean(), np.zeros(6))
        return np.linalg.lstsq(rows, targets, rcond=None)[0]

    noise = np.mean((y - y.mean() - x @ fit(p)) ** 2)
    weights = fit(p * noise / (y.var() - noise))
    want = y.mean() + (features - centre) / scale @ weights
    np.testing.assert_allclose(linear_baseline(obs, returns, valid)[use], want[use], atol=1e-3)


def test_fewer_steps_than_features_leave_advantages():
    """Five episodes of ten decisions of an ant: least squares would predict the noise."""
    rng = np.random.default_rng(3)
    shares = []
    for obs in rng.normal(size=(5, 5, 10, 29)).astype(np.float32):
        noise = rng.normal(size=(5, 10))
        left = np.array(noise - linear_baseline(obs, jnp.array(noise, jnp.float32), jnp.ones((5, 10))))
        shares.append(left.var() / noise.var())
    assert np.mean(shares) > 0.2, shares


def test_what_happens_after_the_end_does_not_move_the_baseline():
    key = jax.random.key(0)
    obs, returns = jax.random.normal(key, (4, 8, 2)), jnp.arange(32.0).reshape(4, 8)
    valid = jnp.ones((4, 8)).at[1, 5:].set(0)
    other = linear_baseline(obs.at[1, 5:].set(7.0), returns.at[1, 5:].set(-100.0), valid)
    np.testing.assert_allclose(other[valid > 0], linear_baseline(obs, returns, valid)[valid > 0], rtol=1e-4)


@pytest.mark.parametrize("jitter", [0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3])
def test_the_baseline_of_bodies_that_hardly_move_is_finite(jitter):
    """As of a pusher's blocks at rest: many features, a few of which tell all of them."""
    rng = np.random.default_rng(0)
    for places in rng.uniform(-3.0, 3.0, size=(5, 26)):
        moves = rng.normal(size=(20, 50, 2)) @ rng.normal(size=(2, 26))
        obs = jnp.array(places + jitter * moves, jnp.float32)
        returns = jnp.array(rng.normal(-50.0, 10.0, size=(20, 50)), jnp.float32)
        values = linear_baseline(obs, returns, jnp.ones((20, 50)))
        assert jnp.abs(values - returns.mean()).max() < 30.0  # NaN is not less


def test_the_baseline_of_a_constant_observation_is_finite():
    values = linear_baseline(jnp.full((3, 5, 2), 4.0), jnp.ones((3, 5)), jnp.ones((3, 5)))
    np.testing.assert_allclose(values, 1.0, rtol=1e-4)


def test_returns_differ_by_more_than_rounding_or_where_they_are_not_finite():
    valid = jnp.ones((3, 4)).at[2, 2:].set(0.0)
    equal = jnp.full((3, 4), -50.0).at[2, 2:].set(9.0)  # which does not count
    assert not returns.differ(equal, valid)
    assert returns.differ(equal.at[0, 1].add(1.0), valid)
    assert returns.differ(equal.at[0, 1].set(jnp.nan), valid)
    assert returns.differ(equal[:1], valid[:1]) and not returns.differ(0 * equal[:1], valid[:1])


def test_whiten_counts_valid_steps_only():
    x = jnp.array([1.0, 3.0, 100.0])
    np.testing.assert_allclose(whiten(x, jnp.array([1.0, 1.0, 0.0])), [-1.0, 1.0, 0.0], rtol=1e-5)
