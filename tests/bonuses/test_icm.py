import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.bonuses import icm
from hmrl_cli.types import Discrete
from tests import toys
from tests.bonuses.steps import at_random

CONFIG = icm.Config(hidden=(32,), feature_size=8, gradient_steps=50, batch_size=128, learning_rate=3e-3)


def noisy(family):
    """The family with two random numbers, which no action has to do with, beside its observation."""

    def observe(state, draws):
        return state._replace(body=(state, draws), obs=jnp.concatenate([state.obs, draws[:2]]))

    def reset(key, task):
        reset_key, draw_key = jax.random.split(key)
        return observe(family.reset(reset_key, task), jax.random.normal(draw_key, (2 * family.horizon + 2,)))

    def step(state, action, task):
        inner, draws = state.body
        return observe(family.step(inner, action, task), jnp.roll(draws, -2))

    return family._replace(
        reset=reset, step=step, obs_size=family.obs_size + 2, features={"identity": lambda obs: obs}
    )


def learn(family, updates):
    bonus = icm.make(CONFIG, family)

    def one(state, t):
        act_key, learn_key = jax.random.split(jax.random.fold_in(jax.random.key(1), t))
        return bonus.learn(learn_key, state, at_random(act_key, family, 16))

    start = jax.jit(bonus.init)(jax.random.key(0))
    state, metrics = jax.jit(lambda: jax.lax.scan(one, start, jnp.arange(updates)))()
    return bonus._replace(reward=jax.jit(bonus.reward)), start, state, metrics


@pytest.mark.slow
@pytest.mark.parametrize("family", [toys.walker(10), toys.corridor()], ids=["continuous", "discrete"])
def test_both_models_are_learned(family):
    bonus, _, state, metrics = learn(family, 20)
    assert metrics["forward_loss"][-1] < 0.2 * metrics["forward_loss"].max()
    # nats; the best of the Gaussian inverse model is a density of e^2 or more
    assert metrics["inverse_loss"][-1] < (0.05 if isinstance(family.action, Discrete) else -2.0)
    steps = at_random(jax.random.key(5), family, 4)
    assert bonus.reward(state, steps).mean() < 0.3  # of the running root mean square, 1 at the start


def test_what_no_action_moves_is_ignored():
    family = noisy(toys.walker(10))
    bonus, start, state, _ = learn(family, 30)
    obs = at_random(jax.random.key(5), family, 8).obs.reshape(-1, 4)
    learner = bonus.init.__self__

    @jax.jit
    def weight_of_noise(params):
        jacobian = jax.vmap(jax.jacobian(lambda o: learner.encode(state, params, o)))(obs)
        # of the normalised observation: per standard deviation of each part
        size = jnp.sqrt(jnp.mean(jacobian**2, axis=(0, 1)) * state.observed.variance)
        return size[2:].mean() / size[:2].mean()

    assert weight_of_noise(start.params) > 0.7
    assert weight_of_noise(state.params) < 0.25


def test_a_changed_step_is_more_surprising_than_a_learned_one():
    family = toys.walker(10)
    bonus, _, state, _ = learn(family, 30)
    steps = at_random(jax.random.key(5), family, 8)
    wrong = steps._replace(action=-steps.action)
    assert bonus.reward(state, wrong).mean() > 10 * bonus.reward(state, steps).mean()
    np.testing.assert_array_equal(
        bonus.reward(state, steps), bonus.reward(state, steps._replace(reward=steps.reward + 1.0))
    )
