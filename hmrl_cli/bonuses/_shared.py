"""What the exploration bonuses share, and how a family gets one.

    ppo(bonus(ant_maze, rnd))        sac(bonus(lift(ant_maze, skills), counts))

`environment.composition.bonus` maps a family to a family, as `lift` and `repeat` do.  It is applied last, so
that the bonus sees the steps and the actions of the learner.
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

    weight: float = Field(0.1, ge=0, le=1000, description="factor of the bonus, which is added to the reward")
    observe: str = Field("identity", description="feature of the observation that the bonus sees")


class NetworkConfig(Config):
    """Settings of a bonus that trains networks."""

    hidden: networks.Hidden = Field((64, 64), strict=False, description="units per hidden layer")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="learning rate of the bonus's networks (Adam)")
    gradient_steps: int = Field(16, gt=0, le=100_000, description="gradient steps per update")
    batch_size: int = Field(256, gt=0, le=1_000_000, description="steps per gradient step")


def scaled(scale: Moments, error: Array) -> Array:
    """A prediction error [...] divided by its running root mean square.

    So `bonus.weight` has the same meaning for any unit of the error.  `scale` holds the moments [1] of the
    error.
    """
    return error / jnp.sqrt(scale.mean[0] ** 2 + scale.variance[0] + 1e-12)


def rescale(scale: Moments, error: Array, valid: Array) -> Moments:
    """The moments of the error after the errors [...] of new steps."""
    return moments.absorb(scale, error[..., None], valid)


def fit(
    key: Key,
    config: NetworkConfig,
    loss: Callable[[Params, Transition], tuple[Array, Metrics]],
    params: Params,
    optimizer: Any,
    steps: Transition,
) -> tuple[Params, Any, Metrics]:
    """Gradient steps (Adam) on batches of steps, drawn uniformly.

    Args:
        key: draws the batches.
        config: number and size of the batches, and the learning rate.
        loss: of parameters and a batch [B]; must ignore steps with valid = 0.
        params: initial parameters.
        optimizer: state of `optax.adam` for `params`.
        steps: leaves [..., leaf].

    Returns:
        parameters, optimizer state, and metrics averaged over the gradient steps.
    """
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[steps.valid.ndim :]), steps)
    count = flat.valid.shape[0]

    def step(carry: tuple[Params, Any], t: Array) -> tuple[tuple[Params, Any], Metrics]:
        params, optimizer = carry
        rows = jax.random.randint(jax.random.fold_in(key, t), (config.batch_size,), 0, count)
        batch = jax.tree.map(lambda x: x[rows], flat)
        (_, metrics), grads = jax.value_and_grad(loss, has_aux=True)(params, batch)
        updates, optimizer = optax.adam(config.learning_rate).update(grads, optimizer)
        return (optax.apply_updates(params, updates), optimizer), metrics

    (params, optimizer), metrics = jax.lax.scan(step, (params, optimizer), jnp.arange(config.gradient_steps))
    return params, optimizer, jax.tree.map(jnp.mean, metrics)
