import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.bonuses import information_gain
from tests import toys
from tests.bonuses.steps import at_random

CONFIG = information_gain.Config(num_features=24, length_scale=1.0, noise=0.3)


def made(family):
    bonus = information_gain.make(CONFIG, family)
    model = bonus.init.__self__
    bonus = bonus._replace(reward=jax.jit(bonus.reward), learn=jax.jit(bonus.learn))
    return bonus, jax.jit(bonus.init)(jax.random.key(0)), model


@pytest.mark.parametrize("family", [toys.walker(10), toys.corridor()], ids=["continuous", "discrete"])
def test_the_gain_is_that_of_bayesian_linear_regression(family):
    """Half the log ratio of the determinants of the precisions after and before, for each column."""
    bonus, state, model = made(family)
    precision, moment = np.eye(24), np.zeros((24, 2))
    for seed in range(3):
        steps = at_random(jax.random.key(seed), family, 5)
        steps = steps._replace(valid=steps.valid.at[:, -2:].set(0.0))
        phi = np.asarray(model.features(state, steps), np.float64)
        expected = [
            2 * 0.5 * (_logdet(precision + np.outer(f, f) / 0.3**2) - _logdet(precision))
            for f in phi.reshape(-1, 24)
        ]
        np.testing.assert_allclose(np.ravel(bonus.reward(state, steps)), expected, rtol=1e-3)
        state, metrics = bonus.learn(jax.random.key(9), state, steps)
        counted = np.asarray(steps.valid) > 0
        change = np.asarray(model._change(steps))[counted]
        weights = np.linalg.solve(precision, moment)
        missed = np.sum((change - phi[counted] @ weights) ** 2, axis=-1)
        np.testing.assert_allclose(metrics["model_error"], np.sqrt(missed.mean()), rtol=1e-3)
        precision += phi[counted].T @ phi[counted] / 0.3**2
        moment += phi[counted].T @ change / 0.3**2
        np.testing.assert_allclose(state.root.T @ state.root, precision, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(
            np.linalg.solve(state.root, state.moment), np.linalg.solve(precision, moment), atol=1e-3
        )


def _logdet(matrix):
    return np.linalg.slogdet(matrix)[1]


def test_it_falls_with_repetition_and_only_where_it_was_repeated():
    family = toys.walker(10)
    bonus, state, _ = made(family)
    steps = at_random(jax.random.key(0), family, 4)
    far = steps._replace(obs=steps.obs + 5.0, next_obs=steps.next_obs + 5.0)
    before = bonus.reward(state, steps)
    gains = []
    for _ in range(4):
        state, _ = bonus.learn(jax.random.key(9), state, steps)
        gains.append(float(bonus.reward(state, steps).mean()))
    assert gains == sorted(gains, reverse=True) and gains[-1] < 0.1 * before.mean()
    assert bonus.reward(state, far).mean() > 5 * gains[-1]


@pytest.mark.parametrize("visits", [0, 1, 7])
def test_one_step_again_and_again(visits):
    """log(1 + v / (noise^2 + n v)) after n visits, for v = |phi|^2 and two numbers predicted."""
    bonus, state, model = made(toys.walker(10))
    step = jax.tree.map(lambda x: x[:1, :1], at_random(jax.random.key(0), toys.walker(10), 1))
    v = jnp.sum(model.features(state, step) ** 2)
    for _ in range(visits):
        state, _ = bonus.learn(jax.random.key(9), state, step)
    np.testing.assert_allclose(
        jnp.squeeze(bonus.reward(state, step)), jnp.log1p(v / (0.3**2 + visits * v)), rtol=1e-3
    )


def test_many_steps_lose_nothing_of_what_was_rarely_seen():
    """In float32, a sum of precisions of 10^8 would have swallowed the prior's 1."""
    family = toys.walker(10)
    bonus, state, _ = made(family)
    steps = at_random(jax.random.key(0), family, 4)._replace(obs=jnp.zeros((4, 10, 2)))
    steps = steps._replace(action=jnp.zeros_like(steps.action))
    far = steps._replace(obs=steps.obs + 3.0)
    exact = bonus.reward(bonus.learn(jax.random.key(9), state, steps)[0], far)

    def often(state, _):
        return bonus.learn(jax.random.key(9), state, steps)[0], None

    state = jax.jit(lambda s: jax.lax.scan(often, s, None, 1000)[0])(state)
    assert jnp.max(jnp.abs(state.root.T @ state.root)) > 1e4
    np.testing.assert_allclose(bonus.reward(state, far), exact, rtol=0.02)
