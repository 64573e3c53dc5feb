import jax
import jax.numpy as jnp
import numpy as np

from hmrl_cli.bonuses import rnd
from tests import toys
from tests.bonuses.steps import leading_to

CONFIG = rnd.Config(hidden=(32,), gradient_steps=50, batch_size=64, learning_rate=3e-3)


def learn(bonus, state, steps, updates):
    def one(state, t):
        return bonus.learn(jax.random.fold_in(jax.random.key(1), t), state, steps)

    return jax.jit(lambda state: jax.lax.scan(one, state, jnp.arange(updates)))(state)


def test_the_error_falls_where_it_was_and_stays_elsewhere():
    bonus = rnd.make(CONFIG, toys.walker())
    rng = np.random.default_rng(0)
    seen = leading_to(rng.normal(size=(8, 16, 2)))
    unseen = leading_to(rng.normal(size=(8, 16, 2)) + np.array([5.0, 0.0]))
    start = jax.jit(bonus.init)(jax.random.key(0))
    state, metrics = learn(bonus, start, seen, 10)
    # the error before and after, at the same scale and normalisation
    first = bonus.reward(state._replace(predictor=start.predictor), seen).mean()
    known, new = (bonus.reward(state, steps).mean() for steps in (seen, unseen))
    assert known < 0.01 * first and new > 0.1 * first
    assert metrics["predictor_loss"][-1] < 0.05 * metrics["predictor_loss"][0]
    jax.tree.map(np.testing.assert_array_equal, start.target, state.target)


def test_the_bonus_is_scaled_and_blind_to_units():
    """Its mean square over what was ever seen is 1, and metres or millimetres make no difference."""
    places = np.random.default_rng(0).normal(size=(8, 16, 2)) * np.array([1.0, 50.0])
    values = []
    for unit in (1.0, 1000.0):
        family = toys.walker()
        bonus = rnd.make(CONFIG, family._replace(features={"identity": lambda obs, unit=unit: unit * obs}))
        steps = leading_to(places)
        start = jax.jit(bonus.init)(jax.random.key(0))
        state, _ = jax.jit(bonus.learn)(jax.random.key(1), start, steps)
        values.append(bonus.reward(state._replace(predictor=start.predictor), steps))
        np.testing.assert_allclose(jnp.mean(values[-1] ** 2), 1.0, rtol=0.01)
    np.testing.assert_allclose(*values, rtol=0.02)


def test_steps_after_an_end_teach_nothing():
    bonus = rnd.make(CONFIG, toys.walker())
    steps = leading_to(np.random.default_rng(0).normal(size=(4, 8, 2)))
    steps = steps._replace(valid=steps.valid.at[:, 4:].set(0.0))
    wild = steps._replace(next_obs=steps.next_obs.at[:, 4:].set(1e3))
    taught = jax.jit(lambda some: bonus.learn(jax.random.key(1), bonus.init(jax.random.key(0)), some)[0])
    one, other = taught(steps), taught(wild)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_larger_target_is_harder_to_predict():
    steps = leading_to(np.random.default_rng(0).normal(size=(8, 16, 2)))
    left = []
    for scale in (1.0, 10.0):
        bonus = rnd.make(CONFIG.model_copy(update={"target_scale": scale}), toys.walker())
        start = jax.jit(bonus.init)(jax.random.key(0))
        _, metrics = learn(bonus, start, steps, 3)
        left.append(metrics["predictor_loss"][-1] / metrics["predictor_loss"][0])
    assert left[1] > 3 * left[0]
