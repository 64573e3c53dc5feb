"""Returns, advantages and the linear baseline."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from hmrl_cli.compute.devices import sequential_on_cpu
from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array


MIN_RIDGE = 1e-5  # of the baseline, for what float32 can solve


def gae(reward: Array, discount: Array, value: Array, bootstrap: Array, lam: Array | float) -> Array:
    """Generalised advantage estimate of one episode (Schulman et al. 2016, eq. 16).

    A_t = sum_k (lam^k prod_{j<k} discount_{t+j}) delta_{t+k},
    delta_t = reward_t + discount_t V_{t+1} - V_t.

    Args:
        reward: [T].
        discount: [T] gamma, and 0 where the episode ended.
        value: [T] V(s_t).
        bootstrap: [] V(s_T).
        lam: 1 gives the return minus the value, 0 the one-step error; one number, or one per step [T].

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
    """Discounted return from each step on [T], for reward and discount [T]."""
    zeros = jnp.zeros_like(reward)
    return gae(reward, discount, zeros, zeros[0], 1.0)


def linear_baseline(obs: Array, returns: Array, valid: Array) -> Array:
    """Ridge regression of the returns of one task's episodes (Duan et al. 2016, sec. 5).

    Features are [o, o^2, t/100, (t/100)^2, (t/100)^3, 1].  They are standardised before the ridge is
    added, so that float32 can solve the normal equations whatever the units of the observation.  The ridge is
    p sigma^2 / (n beta^2) for p features and n steps (Hoerl, Kennard & Baldwin 1975), with noise and signal
    as a fit with p / n tells them apart: where there are few steps for each feature, least squares would
    follow the noise and leave no advantages.  Time, three features of many steps, has none.

    Args:
        obs: [N, T, obs_size].
        returns: [N, T].
        valid: [N, T] 1 where the step counts.

    Returns:
        predictions [N, T].
    """
    o = jnp.clip(obs, -10.0, 10.0).reshape(-1, obs.shape[-1])  # rows are the steps of all episodes
    t = jnp.tile(jnp.arange(obs.shape[1]) / 100.0, obs.shape[0])[:, None]
    features = jnp.concatenate([o, o**2, t, t**2, t**3], axis=1)
    weight = valid.reshape(-1) / jnp.maximum(valid.sum(), 1.0)
    centre = weight @ features
    centred = features - centre
    centred -= weight @ centred  # what the rounding of a large mean has left
    scale = jnp.sqrt(weight @ centred**2)
    # a feature that varies by no more than its rounding says nothing that the constant does not
    varies = scale > 1e-5 * (jnp.abs(centre) + 1e-1)
    x = jnp.where(varies, centred / jnp.where(varies, scale, 1.0), 0.0)
    mean = weight @ returns.reshape(-1)
    y = returns.reshape(-1) - mean
    weighted = x * weight[:, None]
    gram, moment = weighted.T @ x, weighted.T @ y
    solve = sequential_on_cpu(functools.partial(jax.scipy.linalg.solve, assume_a="pos"))

    of_obs = jnp.arange(x.shape[1]) < 2 * o.shape[1]

    def fit(ridge: Array) -> Array:
        return solve(gram + jnp.diag(MIN_RIDGE + ridge * of_obs), moment)

    per_step = varies.sum() / jnp.maximum(valid.sum(), 1.0)
    cautious = fit(jnp.maximum(per_step, 1e-3))
    noise, total = weight @ (y - x @ cautious) ** 2, weight @ y**2
    # bounded: where the cautious fit explains nothing, hardly more than time is fitted
    coefficients = fit(per_step * noise / jnp.maximum(total - noise, 1e-3 * total + 1e-20))
    # where features all but depend on each other, rounding can outweigh a small ridge
    coefficients = jnp.where(jnp.isfinite(coefficients).all(), coefficients, cautious)
    return (mean + x @ coefficients).reshape(returns.shape)


def masked_mean(x: Array, valid: Array) -> Array:
    """Mean [] over the entries that count, 0 where none does."""
    return jnp.sum(x * valid) / jnp.maximum(valid.sum(), 1.0)


def whiten(x: Array, valid: Array, noise: Array | float = 0.0) -> Array:
    """Zero mean and unit variance over the entries that count; the others become 0.

    Where the standard deviation is below `noise`, it is divided by that: differences that mean nothing, such
    as the baseline's misfit of equal returns, are not blown up to a signal.
    """
    count = jnp.maximum(valid.sum(), 1.0)
    centred = (x - jnp.sum(x * valid) / count) * valid
    std = jnp.sqrt(jnp.sum(centred**2) / count)
    return centred / jnp.maximum(std, noise + 1e-8)
