"""Exploration bonuses: how a family comes to carry one, and what the bonuses share.

    ppo(bonus(ant_maze, rnd))        sac(bonus(lift(ant_maze, skills), counts))

`bonus` takes a family and gives a family, as `lift` and `repeat` do.  It comes last, so that the bonus is
made for the steps and the actions that the learner meets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import moments, networks
from hmrl_cli.schema import Strict
from hmrl_cli.types import Transition

if TYPE_CHECKING:
    from hmrl_cli.learning.moments import Moments
    from hmrl_cli.types import Array, Key, Metrics, Params


class Config(Strict):
    """Settings that every bonus has."""

    weight: float = Field(0.1, ge=0, le=1000, description="factor of the bonus beside the family's reward")
    observe: str = Field("identity", description="feature of the observation that the bonus sees")


class NetworkConfig(Config):
    """Settings of a bonus that trains networks."""

    hidden: networks.Hidden = Field((64, 64), strict=False, description="units per hidden layer")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="of the bonus's networks (Adam)")
    gradient_steps: int = Field(16, gt=0, le=100_000, description="gradient steps per update")
    batch_size: int = Field(256, gt=0, le=1_000_000, description="steps per gradient step")


def scaled(scale: Moments, surprise: Array) -> Array:
    """A surprise [...] by its running root mean square, so that weights mean alike whatever its units.

    `scale` is of vectors [1].
    """
    return surprise / jnp.sqrt(scale.mean[0] ** 2 + scale.variance[0] + 1e-12)


def rescale(scale: Moments, surprise: Array, valid: Array) -> Moments:
    """The scale with the surprise [...] of new steps taken in."""
    return moments.absorb(scale, surprise[..., None], valid)


def fit(
    key: Key,
    config: NetworkConfig,
    loss: Callable[[Params, Transition], tuple[Array, Metrics]],
    params: Params,
    optimizer: Any,
    steps: Transition,
) -> tuple[Params, Any, Metrics]:
    """Gradient steps (Adam) on batches of the steps, drawn evenly.

    Args:
        key: draws the batches.
        config: how many, how large, how fast.
        loss: of parameters and steps [B]; leaves out those that are not valid.
        params: at the start.
        optimizer: state of `optax.adam` for them.
        steps: leaves [..., leaf].

    Returns:
        parameters, optimizer and mean metrics.
    """
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[steps.valid.ndim :]), steps)
    count = flat.valid.shape[0]

    def step(now: tuple[Params, Any], t: Array) -> tuple[tuple[Params, Any], Metrics]:
        params, optimizer = now
        rows = jax.random.randint(jax.random.fold_in(key, t), (config.batch_size,), 0, count)
        some = jax.tree.map(lambda x: x[rows], flat)
        (_, metrics), grads = jax.value_and_grad(loss, has_aux=True)(params, some)
        updates, optimizer = optax.adam(config.learning_rate).update(grads, optimizer)
        return (optax.apply_updates(params, updates), optimizer), metrics

    (params, optimizer), metrics = jax.lax.scan(step, (params, optimizer), jnp.arange(config.gradient_steps))
    return params, optimizer, jax.tree.map(jnp.mean, metrics)
