"""The outer step of ProMP: Adam on a clipped loss, in place of a trust region (Rothfuss et al. 2019).

Adam takes several gradient steps on one batch of episodes (1810.06784, algorithm 1).  The caller's loss
contains the clipping and the KL penalty on the policies before each inner update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pydantic import Field, model_validator

from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import learning_rate
from hmrl_cli.meta_gradient.problem import Problem
from hmrl_cli.schema import Strict

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Params


class Config(Strict):
    """Settings of the gradient steps."""

    learning_rate: float = Field(1e-3, gt=0, lt=1, description="learning rate of Adam at the start")
    target_kl: float | None = Field(
        None,
        gt=0,
        description="nats of KL before the last step that the learning rate adapts to; none: a constant rate",
    )
    epochs: int = Field(5, gt=0, le=1000, description="gradient steps on each batch of episodes")
    clip: float = Field(
        0.3, gt=0, lt=1, description="epsilon: the ratio of new to old pi(a|s) is clipped to 1 +- epsilon"
    )
    kl_weight: float = Field(5e-4, ge=0, description="weight of the KL divergence before each inner update")

    @model_validator(mode="after")
    def _moves_before_its_last_step(self) -> Self:
        learning_rate.check(self.target_kl, self.learning_rate, self.epochs, "epochs")
        return self

    def unused(self) -> dict[str, str]:
        """A single gradient step has ratios of 1, so clipping and the KL penalty have no effect."""
        return dict.fromkeys(("clip", "kl_weight"), "there is 1 step") if self.epochs == 1 else {}


class State(NamedTuple):
    """State of the optimizer between outer steps."""

    adam: Any
    learning_rate: Array  # []


class Info(NamedTuple):
    """Metrics of the gradient steps on one batch."""

    loss: Array  # []  before the first step
    improvement: Array  # []  loss before the first step minus loss before the last
    divergence: Array  # []  mean KL in nats before the last step
    outer_learning_rate: Array  # []  of the next batch


def init(params: Params, config: Config) -> State:
    """A fresh optimizer."""
    return State(optax.scale_by_adam().init(params), jnp.float32(config.learning_rate))


def step(
    params: Params,
    state: State,
    problem: Problem,
    config: Config,
) -> tuple[Params, State, Info]:
    """Minimise `loss(params, outputs(params))` by `config.epochs` gradient steps.

    A batch whose gradient is 0 throughout, as of episodes of equal returns, changes nothing.  Its KL of 0
    would otherwise raise the learning rate, and its empty steps would use up Adam's first ones.

    Args:
        params: pytree of parameters.
        state: moments and learning rate after the last batch.
        problem: loss, divergence and mean over devices.
        config: settings of the steps.

    Returns:
        the new parameters, the new state and metrics.
    """
    adam = optax.scale_by_adam()
    rate = learning_rate.now(state.learning_rate, config.learning_rate, config.target_kl)
    state = state._replace(learning_rate=rate)
    old = problem.outputs(params)

    def of_params(params: Params) -> tuple[Array, Array]:
        new = problem.outputs(params)
        return problem.loss(params, new), problem.divergence(old, new)

    def descend(carry: tuple[Params, Any], _: None) -> tuple[tuple[Params, Any], Any]:
        params, moments = carry
        now, slope = problem.mean(jax.value_and_grad(of_params, has_aux=True)(params))
        updates, moments = adam.update(slope, moments)
        # without a gradient there is no momentum either: latents of tasks outside the batch stay the same
        updates = jax.tree.map(lambda update, x: jnp.where(x == 0, 0.0, update), updates, slope)
        slopes = jnp.array([jnp.any(x != 0) for x in jax.tree.leaves(slope)])
        return (optax.tree.add_scale(params, -state.learning_rate, updates), moments), (now, slopes.any())

    start = (params, state.adam)
    (params, moments), ((losses, moved), slopes) = jax.lax.scan(descend, start, None, config.epochs)
    rate = learning_rate.adapted(state.learning_rate, moved[-1], config.target_kl)
    params, state = jax.tree.map(
        lambda new, old: jnp.where(slopes.any(), new, old),
        (params, State(moments, rate)),
        (start[0], state),
    )
    return params, state, Info(losses[0], losses[0] - losses[-1], moved[-1], state.learning_rate)
