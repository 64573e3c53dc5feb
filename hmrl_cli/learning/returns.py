"""Returns, advantages and the linear baseline."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from hmrl_cli.compute.devices import sequential_on_cpu
from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array


ROUNDING = 1e-4  # share of the mean return below which float32 cannot tell two returns apart
MIN_RIDGE = 1e-5  # least ridge of the baseline: float32 solves the normal equations with it


def gae(reward: Array, discount: Array, value: Array, bootstrap: Array, lam: Array | float) -> Array:
    """Generalised advantage estimate of one episode (Schulman et al. 2016, eq. 16).

    A_t = sum_k (lam^k prod_{j<k} discount_{t+j}) delta_{t+k},
    delta_t = reward_t + discount_t V_{t+1} - V_t.

    Args:
        reward: [T].
        discount: [T] gamma, or 0 at a step that ended the episode.
        value: [T] V(s_t).
        bootstrap: [] V(s_T).
        lam: one number or one per step [T].  1 gives the return minus the value, 0 the one-step error.

    Returns:
        advantages [T].
    """
    delta = reward + discount * jnp.append(value[1:], bootstrap) - value

    def backward(after: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        advantage = now[0] + now[1] * after
        return advantage, advantage

    _, advantages = jax.lax.scan(backward, jnp.zeros_like(bootstrap), (delta, discount * lam), reverse=True)
    return advantages


def discounted(reward: Array, discount: Array) -> Array:
    """Discounted return [T] from each step on, for reward [T] and discount [T]."""
    zeros = jnp.zeros_like(reward)
    return gae(reward, discount, zeros, zeros[0], 1.0)


def linear_baseline(obs: Array, returns: Array, valid: Array) -> Array:
    """Ridge regression of the returns of one task's episodes (Duan et al. 2016, sec. 5).

    The features are [o, o^2, t/100, (t/100)^2, (t/100)^3, 1].  They are standardised, so that float32 solves
    the normal equations for any units of the observation.

    The ridge is p sigma^2 / (n beta^2) for p features and n steps (Hoerl, Kennard and Baldwin 1975).  A first
    fit with ridge p / n estimates the noise sigma^2 and the signal beta^2.  Without a ridge, a fit with few
    steps per feature would follow the noise and leave no advantages.  The three features of time have no such
    ridge.

    Args:
        obs: [N, T, obs_size].
        returns: [N, T].
        valid: [N, T] 1 where the step counts.

    Returns:
        predictions [N, T].
    """
    weight = valid.reshape(-1) / jnp.maximum(valid.sum(), 1.0)
    x, varies = _standardised_features(obs, weight)
    mean = weight @ returns.reshape(-1)
    y = returns.reshape(-1) - mean
    weighted = x * weight[:, None]
    gram, moment = weighted.T @ x, weighted.T @ y
    solve = sequential_on_cpu(functools.partial(jax.scipy.linalg.solve, assume_a="pos"))

    of_obs = jnp.arange(x.shape[1]) < 2 * obs.shape[-1]

    def fit(ridge: Array) -> Array:
        return solve(gram + jnp.diag(MIN_RIDGE + ridge * of_obs), moment)

    per_step = varies.sum() / jnp.maximum(valid.sum(), 1.0)
    first_fit = fit(jnp.maximum(per_step, 1e-3))
    noise, total = weight @ (y - x @ first_fit) ** 2, weight @ y**2
    # bounded above: if the first fit explains nothing, little more than time is fitted
    coefficients = fit(per_step * noise / jnp.maximum(total - noise, 1e-3 * total + 1e-20))
    # with nearly collinear features, rounding can outweigh a small ridge
    coefficients = jnp.where(jnp.isfinite(coefficients).all(), coefficients, first_fit)
    return (mean + x @ coefficients).reshape(returns.shape)


def _standardised_features(obs: Array, weight: Array) -> tuple[Array, Array]:
    """Standardised features of the steps [N T, F], without the constant, and which of them vary [F].

    Features that do not vary become 0.

    Args:
        obs: [N, T, obs_size].
        weight: [N T] of each step, with sum 1.
    """
    o = jnp.clip(obs, -10.0, 10.0).reshape(-1, obs.shape[-1])  # [N T, obs_size]
    t = jnp.tile(jnp.arange(obs.shape[1]) / 100.0, obs.shape[0])[:, None]
    features = jnp.concatenate([o, o**2, t, t**2, t**3], axis=1)
    centre = weight @ features
    centred = features - centre
    centred -= weight @ centred  # removes the rounding error of a large mean
    scale = jnp.sqrt(weight @ centred**2)
    # a feature that varies by no more than its rounding error counts as constant
    varies = scale > 1e-5 * (jnp.abs(centre) + 1e-1)
    return jnp.where(varies, centred / jnp.where(varies, scale, 1.0), 0.0), varies


def masked_mean(x: Array, valid: Array) -> Array:
    """Mean [] over the entries with valid = 1, or 0 without such entries."""
    return jnp.sum(x * valid) / jnp.maximum(valid.sum(), 1.0)


def selective_weights(x: Array, valid: Array, selectivity: float) -> Array:
    """Weights over the entries with valid = 1, which sum to 1: w ~ exp(s (x - max x) / (max x - mean x)).

    s is the selectivity.  Equal entries get equal weights.  A few outstanding entries get nearly all the
    weight.  Without valid entries the weights are 0.
    """
    best = jnp.max(jnp.where(valid > 0, x, -jnp.inf))
    # equal entries may differ by the rounding of float32 sums
    gap = jnp.maximum(best - masked_mean(x, valid), 1e-4 * jnp.abs(best) + 1e-8)
    log_weight = jnp.maximum(selectivity * (x - best) / gap, -50.0)
    weight = jax.nn.softmax(log_weight, axis=None, where=valid > 0)
    return jnp.where(valid.any(), weight, 0.0)


def differ(returned: Array, valid: Array) -> Array:
    """Whether the returns of N episodes differ at any step, [] bool: else no action was better than another.

    A single episode cannot be compared with others.  Its returns count as different where they are not 0.

    Args:
        returned: [N, T] the discounted return from each step on.
        valid: [N, T] 1 where the step counts.
    """
    if len(returned) == 1:
        return jnp.any(returned * valid != 0)
    count = jnp.maximum(valid.sum(axis=0), 1.0)
    deviation = (returned - jnp.sum(returned * valid, axis=0) / count) * valid
    spread = jnp.sqrt(masked_mean(deviation**2, valid))
    # values that are not finite count as different, so that they show
    return ~(spread <= ROUNDING * masked_mean(jnp.abs(returned), valid))


def whiten(x: Array, valid: Array, noise: Array | float = 0.0) -> Array:
    """x with zero mean and unit variance over the entries with valid = 1; other entries become 0.

    The divisor is at least `noise`.  So differences without meaning, such as the baseline's error on equal
    returns, are not amplified.
    """
    count = jnp.maximum(valid.sum(), 1.0)
    centred = (x - jnp.sum(x * valid) / count) * valid
    std = jnp.sqrt(jnp.sum(centred**2) / count)
    return centred / jnp.maximum(std, noise + 1e-8)
