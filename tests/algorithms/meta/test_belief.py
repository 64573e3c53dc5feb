"""VariBAD's belief: its bound term by term, and the exact posterior of a task where that is known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.meta import _belief
from hmrl_cli.algorithms.meta._belief import Experience
from hmrl_cli.learning import moments, replay
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.types import Transition
from tests import toys

VALID = np.array([[1, 1, 0, 1, 1], [1, 1, 1, 1, 1]], np.float32)  # the first trial has an early end
OBSERVED = moments.Moments(jnp.float32(9), jnp.array([0.1, -0.2, 0.3]), jnp.array([1.5, 0.7, 2.0]))


def kl(mean, std, mean_before, std_before):
    ratio = std / std_before
    return np.sum(0.5 * (ratio**2 + ((mean - mean_before) / std_before) ** 2 - 1) - np.log(ratio))


def test_each_belief_is_measured_from_the_last_one_that_counts():
    rng = np.random.default_rng(0)
    mean, log_std = rng.normal(size=(2, 2, 5, 3)).astype(np.float32)
    got = jax.jit(_belief.divergences)(Gaussian(jnp.asarray(mean), jnp.asarray(log_std)), jnp.asarray(VALID))
    for trial in range(2):
        before = np.zeros(3), np.ones(3)  # N(0, I)
        for t in np.flatnonzero(VALID[trial]):
            now = mean[trial, t], np.exp(log_std[trial, t])
            np.testing.assert_allclose(got[trial, t], kl(*now, *before), rtol=1e-4)
            before = now


@functools.cache
def bound():
    """A belief that decodes all, its fresh parameters with wide decoders, and two trials of five steps."""
    config = _belief.Config(
        latent_size=2, memory_size=4, decoder_hidden=(3,), observation_weight=0.5, kl_weight=2.0
    )
    belief = _belief.make(config, toys.walker())
    keys = jax.random.split(jax.random.key(0), 6)
    obs, action, next_obs = (jax.random.normal(key, (2, 5, 2)) for key in keys[:3])
    reward, valid = jax.random.normal(keys[3], (2, 5)), jnp.asarray(VALID)
    steps = Transition(obs, 2 * action, reward, reward, valid, valid, next_obs)
    trials = belief.experience(jax.random.normal(keys[4], (2, 5, 7)), steps)
    return belief, jax.jit(belief.init)(keys[5]).params, trials


def decoded(params, name, x):
    """A decoder of one hidden layer, in NumPy."""
    first, last = (params[name][f"layers_{i}"] for i in (0, 2))
    return np.maximum(x @ first["kernel"] + first["bias"], 0) @ last["kernel"] + last["bias"]


def test_every_belief_predicts_past_and_future():
    """The loss is that of a loop over all pairs of a belief and a step of its trial."""
    belief, params, trials = bound()

    @jax.jit
    def terms(key, same_key):
        q = belief.beliefs(params, OBSERVED, trials.seen, trials.valid)
        m = q.sample(jax.random.split(same_key, 3)[0])
        return *belief.loss(key, params, OBSERVED, trials), m, _belief.divergences(q, trials.valid)

    loss, metrics, m, divergences = terms(jax.random.key(1), jax.random.key(1))
    m, x, params = jax.tree.map(np.asarray, (m, trials, params))
    mean, std = np.asarray(OBSERVED.mean), np.sqrt(np.asarray(OBSERVED.variance) + 1e-6)
    obs, next_obs = ((of - mean[:2]) / std[:2] for of in (x.obs, x.next_obs))
    reward = (x.reward - mean[2]) / std[2]
    errors, steps = [], [(n, t) for n in range(2) for t in range(5) if VALID[n, t]]
    for n, t in steps:
        for of, s in steps:
            if of == n:
                given = np.concatenate([m[n, t], obs[n, s], np.clip(x.action[n, s], -1, 1)])
                wrong = decoded(params, "reward", np.concatenate([given, next_obs[n, s]])) - reward[n, s]
                moved = decoded(params, "next_obs", given) - next_obs[n, s]
                errors.append(wrong[0] ** 2 + 0.5 * np.mean(moved**2))
    assert len(errors) == 4**2 + 5**2
    np.testing.assert_allclose(metrics["decoder_error"], np.mean(errors), rtol=1e-4)
    divergence = np.sum(divergences * VALID) / len(steps)
    np.testing.assert_allclose(loss, np.mean(errors) + 2 * divergence, rtol=1e-4)


@pytest.mark.slow
def test_steps_after_an_early_end_teach_nothing():
    belief, params, trials = bound()
    wild = jax.tree.map(lambda x: x.at[0, 2].set(7.0), trials)._replace(valid=trials.valid)
    slope = jax.jit(jax.grad(belief.loss, argnums=1, has_aux=True))
    one, other = (slope(jax.random.key(1), params, OBSERVED, some)[0] for some in (trials, wild))
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.slow
def test_the_belief_approaches_the_exact_posterior():
    """Rewards are m plus noise of variance 1, and m ~ N(0, 1), so n of them leave a mean of sum / (n + 1).

    What the mean belief predicts is the posterior mean, which is scaled as all rewards are.
    """
    num_trials, length = 4000, 8
    task_key, noise_key = jax.random.split(jax.random.key(0))
    task = jax.random.normal(task_key, (num_trials, 1))
    reward = task + jax.random.normal(noise_key, (num_trials, length))
    flat = jnp.zeros((num_trials, length, 2))
    seen = jnp.zeros((num_trials, length, 7)).at[:, 1:, 2].set(reward[:, :-1]).at[:, 0, 5].set(1.0)
    trials = Experience(seen, flat, flat, reward, flat, jnp.ones_like(reward))
    observed = moments.Moments(jnp.float32(1e4), jnp.zeros(3), jnp.array([1.0, 1.0, 2.0]))
    config = _belief.Config(
        latent_size=1,
        memory_size=16,
        decoder_hidden=(16,),
        learning_rate=3e-3,
        gradient_steps=1500,
        trials_per_step=64,
        kl_weight=0.04,
    )
    belief = _belief.make(config, toys.walker())
    buffer = replay.Buffer(trials, jnp.int32(0), jnp.int32(num_trials - 500))

    @jax.jit
    def learned(key):
        state, metrics = belief.learn(key, belief.init(jax.random.key(2)), observed, buffer)
        held_out = jax.tree.map(lambda x: x[-500:], trials)
        q = belief.beliefs(state.params, observed, held_out.seen, held_out.valid)
        x = jnp.concatenate([q.mean, jnp.zeros((500, length, 6))], axis=-1)
        return q, belief.decoders["reward"].apply(state.params["reward"], x)[..., 0], metrics

    q, predicted, _ = learned(jax.random.key(3))
    seen_so_far = np.concatenate([np.zeros((500, 1)), np.cumsum(reward[-500:, :-1], axis=1)], axis=1)
    posterior = seen_so_far / (1 + np.arange(length))
    error = np.sqrt(np.mean((predicted * np.sqrt(2) - posterior) ** 2, axis=0))
    assert (error < 0.2).all(), error
    spread = np.exp(q.log_std[..., 0]).mean(axis=0)
    assert (np.diff(spread[:5]) < 0).all(), spread  # each reward makes it surer
