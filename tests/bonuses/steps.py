"""Steps to ask a bonus about, made up or from episodes of a uniform policy."""

import jax
import jax.numpy as jnp

from hmrl_cli.environment.rollout import unroll
from hmrl_cli.types import Discrete, Transition


def leading_to(next_obs, obs=None, action=None) -> Transition:
    """Steps [N, T] that end in `next_obs` [N, T, obs_size]."""
    next_obs = jnp.asarray(next_obs, jnp.float32)
    shape = next_obs.shape[:-1]
    return Transition(
        obs=jnp.zeros_like(next_obs) if obs is None else obs,
        action=jnp.zeros((*shape, 2)) if action is None else action,
        log_prob=jnp.zeros(shape),
        reward=jnp.zeros(shape),
        discount=jnp.ones(shape),
        valid=jnp.ones(shape),
        next_obs=next_obs,
    )


def at_random(key, family, count) -> Transition:
    """Episodes [count, T] of uniform actions."""

    def act(key, obs):
        if isinstance(family.action, Discrete):
            return jax.random.randint(key, (), 0, family.action.size), jnp.zeros(())
        return jax.random.uniform(key, (family.action.size,), minval=-1.0), jnp.zeros(())

    task = family.sample(jax.random.key(0), "train")
    return jax.jit(jax.vmap(lambda k: unroll(k, act, family, task)[0]))(jax.random.split(key, count))
