from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.learning import networks
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.learning.returns import discounted, linear_baseline
from hmrl_cli.meta_gradient import inner_loop
from hmrl_cli.types import AdaptState, Continuous
from tests import toys

FAMILY = toys.walker(horizon=5)
POLICY = networks.policy(2, FAMILY.action, (8,), latent_size=2, activation="tanh")
LATENT = Gaussian(jnp.array([0.3, -0.6]), jnp.array([0.2, -0.4]))
STATE = AdaptState(jax.jit(POLICY.init)(jax.random.key(0)), LATENT)


def everywhere(size):
    """The same step size for every array of the policy."""
    return jax.tree.map(lambda _: jnp.float32(size), STATE.params)


@pytest.fixture(scope="module")
def episodes():
    collect = partial(
        inner_loop.collect, policy=POLICY, family=FAMILY, num_episodes=9, discount=0.9, gae_lambda=1.0
    )
    return jax.jit(lambda key, state: collect(key, state, task=jnp.array([1.0, 0.0])))(
        jax.random.key(1), STATE
    )


def test_the_latent_step_is_maesns_closed_form(episodes):
    """Gupta et al. 2018: the gradients of log N(z_j; mu, sigma) by hand, weighted by the advantages A_j."""
    size = Gaussian(jnp.array([0.5, 0.7]), jnp.array([0.2, 0.3]))
    update = jax.jit(lambda episodes: inner_loop.update(STATE, episodes, AdaptState(None, size), POLICY))
    new = update(episodes)
    z, a = np.asarray(episodes.latent, np.float64), np.asarray(episodes.start_advantage, np.float64)[:, None]
    mean, std = np.asarray(LATENT.mean, np.float64), np.exp(np.asarray(LATENT.log_std, np.float64))
    expected_mean = mean + size.mean * (a * (z - mean) / std**2).mean(axis=0)
    expected_log_std = LATENT.log_std + size.log_std * (a * (((z - mean) / std) ** 2 - 1)).mean(axis=0)
    np.testing.assert_allclose(new.latent.mean, expected_mean, atol=1e-5)
    np.testing.assert_allclose(new.latent.log_std, expected_log_std, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, new.params, STATE.params)


def test_the_parameter_step_is_reinforce(episodes):
    size = AdaptState(everywhere(0.1), None)
    new = jax.jit(lambda episodes: inner_loop.update(STATE, episodes, size, POLICY))(episodes)
    steps, latent, advantage = jax.tree.map(
        np.asarray, (episodes.transitions, episodes.latent, episodes.advantage)
    )

    def log_prob(params, obs, z, action):
        return POLICY.apply(params, obs, z).log_prob(action)

    score_of = jax.jit(jax.grad(log_prob))
    direction = jax.tree.map(np.zeros_like, STATE.params)
    for j in range(9):
        for t in range(5):
            score = score_of(STATE.params, steps.obs[j, t], latent[j], steps.action[j, t])
            worth = advantage[j, t] / 45
            direction = jax.tree.map(lambda d, s: d + worth * np.asarray(s), direction, score)  # noqa: B023
    expected = jax.tree.map(lambda x, d: x + 0.1 * d, STATE.params, direction)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), new.params, expected)
    jax.tree.map(np.testing.assert_array_equal, new.latent, STATE.latent)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.5, 1.0])
def test_the_advantage_of_a_start_is_the_return_less_baseline_for_any_lambda(gae_lambda, episodes):
    steps = episodes.transitions
    estimate = jax.jit(partial(inner_loop.advantages, discount=0.9, gae_lambda=gae_lambda))
    _, starts = estimate(steps)

    @jax.jit
    def worth(steps):
        returns = jax.vmap(discounted)(steps.reward, 0.9 * steps.discount)
        return returns[:, 0] - linear_baseline(steps.obs, returns, steps.valid)[:, 0]

    assert np.corrcoef(starts, worth(steps))[0, 1] == pytest.approx(1.0, abs=1e-4)


def test_a_latent_is_drawn_once_per_episode(episodes):
    assert episodes.latent.shape == (9, 2)
    np.testing.assert_allclose(
        episodes.latent, LATENT.mean + jnp.exp(LATENT.log_std) * episodes.noise, atol=1e-5
    )
    np.testing.assert_allclose(episodes.start_advantage.mean(), 0, atol=1e-5)
    np.testing.assert_allclose(episodes.advantage.std(), 1, rtol=1e-3)


@pytest.mark.parametrize(
    ("decay", "hold", "floor", "expected"),
    [
        (1.0, 1, 0.0, [1, 1, 1, 1, 1]),
        (0.5, 1, 0.0, [1, 0.5, 0.25, 0.125, 0.0625]),
        (0.5, 1, 0.5, [1, 0.5, 0.5, 0.5, 0.5]),  # MAML's authors, at test time
        (0.5, 2, 0.0, [1, 1, 0.5, 0.25, 0.125]),  # MAESN's
        (0.5, 3, 0.0, [1, 1, 1, 0.5, 0.25]),  # LatentSpace's
    ],
)
def test_step_sizes_fall_as_their_schedule_says(decay, hold, floor, expected):
    np.testing.assert_array_equal(inner_loop.step_factor(jnp.arange(5), decay, hold, floor), expected)


def test_first_order_cuts_the_derivative_through_the_step(episodes):
    def moved(latent, first_order):
        state = AdaptState(STATE.params, latent)
        size = AdaptState(None, jax.tree.map(jnp.ones_like, LATENT))
        return inner_loop.update(state, episodes, size, POLICY, first_order=first_order).latent.mean.sum()

    slope = jax.jit(jax.grad(moved), static_argnums=1)
    ones, through = slope(LATENT, True), slope(LATENT, False)
    np.testing.assert_array_equal(ones.mean, 1.0)
    # d mu'/d mu = 1 - s mean_j A_j / sigma^2, and the advantages' mean is zero
    np.testing.assert_allclose(through.mean, 1.0, atol=1e-5)
    assert (through.log_std != 0).all() and (ones.log_std == 0).all()


def test_what_happens_after_an_early_end_moves_nothing(episodes):
    """Garbage behind the mask: the same step of parameters and latent, and the same outer loss."""
    steps = episodes.transitions
    valid = steps.valid.at[2, 3:].set(0.0)
    masked = episodes._replace(transitions=steps._replace(valid=valid), advantage=episodes.advantage * valid)
    garbage = jnp.where(valid > 0, 0.0, 1e3)
    spoiled = masked._replace(
        transitions=masked.transitions._replace(
            obs=steps.obs + garbage[..., None],
            action=steps.action - garbage[..., None],
            reward=steps.reward + garbage,
        )
    )
    size = AdaptState(everywhere(0.1), jax.tree.map(jnp.ones_like, LATENT))
    update = jax.jit(partial(inner_loop.update, policy=POLICY))
    one, other = (update(STATE, e, size) for e in (masked, spoiled))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), one, other)


def test_equal_rewards_are_no_signal():
    """Where a reward is flat, not zero, the error of the baseline is all that is left."""

    def flat(state, action, task):
        return FAMILY.step(state, action, task)._replace(reward=jnp.float32(-2.0))

    collect = partial(inner_loop.collect, policy=POLICY, num_episodes=20, discount=0.99, gae_lambda=1.0)
    family = FAMILY._replace(step=flat)
    got = jax.jit(lambda key: collect(key, STATE, family=family, task=jnp.zeros(2)))(jax.random.key(3))
    size = AdaptState(None, jax.tree.map(jnp.ones_like, LATENT))
    moved = jax.jit(lambda got: inner_loop.update(STATE, got, size, POLICY))(got)
    assert (got.advantage == 0).all() and (got.start_advantage == 0).all()
    jax.tree.map(np.testing.assert_array_equal, moved.latent, STATE.latent)


def test_a_repeated_skill_is_drawn_from_the_box_of_skills():
    """Which may be narrower along an axis."""
    family = toys.walker()._replace(action=Continuous(2, (1.0, 0.25)))
    draw = partial(inner_loop.draw_repeated_action, family=family, fallback=inner_loop.Fallback(1.0, 0.0))
    actions = np.asarray(jax.vmap(draw)(jax.random.split(jax.random.key(0), 400)).action)
    np.testing.assert_allclose(actions.std(axis=0), np.array([1.0, 0.25]) / np.sqrt(3), rtol=0.1)
    assert (np.abs(actions) <= [1.0, 0.25]).all()
