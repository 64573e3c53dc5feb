"""Novelty as the error of a prediction, and random network distillation (Burda et al. 2018, 1810.12894).

The biases of the random network are random too.  Without biases the network would be linear along every ray,
and a prediction learned near the origin would hold far away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import moments, networks
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.schema import Strict

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params


class FitConfig(Strict):
    """Settings of networks that are fitted to the steps of each update."""

    hidden: networks.Hidden = Field((64, 64), strict=False, description="units per hidden layer")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="learning rate of the bonus's networks (Adam)")
    gradient_steps: int = Field(16, gt=0, le=100_000, description="gradient steps per update")
    batch_size: int = Field(256, gt=0, le=1_000_000, description="steps per gradient step")


class DistillationConfig(FitConfig):
    """Settings of random network distillation."""

    output_size: int = Field(32, gt=0, le=65_536, description="size of the random network's output")
    target_scale: float = Field(
        1.0, gt=0, le=1000, description="factor of the random network's parameters; more is harder to predict"
    )


class State(NamedTuple):
    """State of a distillation."""

    target: Params  # the random network; never trained
    predictor: Params
    optimizer: Any
    observed: Moments  # of what it sees
    scale: Moments  # of the error


class Rows(NamedTuple):
    """What a distillation sees of steps, leaves [..., leaf]."""

    x: Array  # [size]
    valid: Array  # []  1 where the step counts


class Distillation(NamedTuple):
    """The prediction of a random network, whose error is large for what is new."""

    config: DistillationConfig
    network: networks.Network
    size: int  # of what it sees

    def init(self, key: Key) -> State:
        """A random target and an untrained predictor."""
        target_key, bias_key, predictor_key = jax.random.split(key, 3)
        predictor = self.network.init(predictor_key)
        return State(
            self._target(target_key, bias_key),
            predictor,
            optax.adam(self.config.learning_rate).init(predictor),
            moments.initial(self.size),
            moments.initial(1),
        )

    def _target(self, key: Key, bias_key: Key) -> Params:
        drawn = _with_random_biases(bias_key, self.network.init(key))
        return jax.tree.map(lambda x: self.config.target_scale * x, drawn)

    def novelty(self, state: State, x: Array) -> Array:
        """The scaled error [...] at x [..., size]."""
        return scaled(state.scale, self.error(state, state.predictor, x))

    def error(self, state: State, predictor: Params, x: Array) -> Array:
        """Mean squared error of the prediction [...] for x [..., size]."""
        x = moments.normalize(state.observed, x)
        difference = self.network.apply(predictor, x) - self.network.apply(state.target, x)
        return jnp.mean(difference**2, axis=-1)

    def learn(self, key: Key, state: State, rows: Rows) -> tuple[State, Metrics]:
        """Train the predictor."""
        state = state._replace(observed=moments.absorb(state.observed, rows.x, rows.valid))
        error = self.error(state, state.predictor, rows.x)
        state = state._replace(scale=rescale(state.scale, error, rows.valid))

        def loss(predictor: Params, batch: Rows) -> tuple[Array, Metrics]:
            mean = masked_mean(self.error(state, predictor, batch.x), batch.valid)
            return mean, {"predictor_loss": mean}

        predictor, optimizer, metrics = fit(key, self.config, loss, state.predictor, state.optimizer, rows)
        return state._replace(predictor=predictor, optimizer=optimizer), metrics


def distillation(config: DistillationConfig, size: int) -> Distillation:
    """Random network distillation of vectors [size]."""
    return Distillation(config, networks.mlp(size, config.hidden, config.output_size), size)


def _with_random_biases(key: Key, params: Params) -> Params:
    """The parameters with every bias drawn from N(0, 1)."""
    leaves, tree = jax.tree.flatten(params)
    drawn = [
        jax.random.normal(jax.random.fold_in(key, i), leaf.shape) if leaf.ndim == 1 else leaf
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(tree, drawn)


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
    config: FitConfig,
    loss: Callable[[Params, Any], tuple[Array, Metrics]],
    params: Params,
    optimizer: Any,
    steps: Any,
) -> tuple[Params, Any, Metrics]:
    """Gradient steps (Adam) on batches of steps, drawn uniformly.

    Args:
        key: draws the batches.
        config: number and size of the batches, and the learning rate.
        loss: of parameters and a batch [B]; must ignore steps with valid = 0.
        params: initial parameters.
        optimizer: state of `optax.adam` for `params`.
        steps: leaves [..., leaf], with the attribute `valid` [...].

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
