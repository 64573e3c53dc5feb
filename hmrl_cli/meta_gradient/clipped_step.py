"""Outer steps by gradient, with a clipped loss: ProMP's in place of a trust region (Rothfuss et al. 2019).

A few passes of Adam over one batch of episodes (1810.06784, algorithm 1).  What is clipped, and what keeps
the policies that collected for an inner update in place, is in the loss.
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
    """Settings of the steps."""

    learning_rate: float = Field(1e-3, gt=0, lt=1, description="of Adam, at the start")
    target_kl: float | None = Field(
        None,
        gt=0,
        description="mean KL before an update's last step, which the learning rate adapts to; none: it stays",
    )
    epochs: int = Field(5, gt=0, le=1000, description="gradient steps on each batch of episodes")
    clip: float = Field(0.3, gt=0, lt=1, description="how far pi(a|s) may move, as a ratio")
    kl_weight: float = Field(5e-4, ge=0, description="on the divergence before each inner update")

    @model_validator(mode="after")
    def _moves_before_its_last_step(self) -> Self:
        learning_rate.check(self.target_kl, self.epochs, "epochs")
        return self

    def unused(self) -> dict[str, str]:
        """The first step starts where the policy is: its ratios are 1, which nothing clips or holds back."""
        return dict.fromkeys(("clip", "kl_weight"), "there is 1 step") if self.epochs == 1 else {}


class State(NamedTuple):
    """What the steps carry on."""

    adam: Any
    learning_rate: Array  # []


class Info(NamedTuple):
    """What the steps did."""

    loss: Array  # []  before them
    improvement: Array  # []  loss before minus loss before the last of them
    divergence: Array  # []  before the last of them, mean KL in nats
    outer_learning_rate: Array  # []  of the next ones


def init(params: Params, config: Config) -> State:
    """A fresh optimizer."""
    return State(optax.scale_by_adam().init(params), jnp.float32(config.learning_rate))


def step(
    params: Params,
    state: State,
    problem: Problem,
    config: Config,
) -> tuple[Params, State, Info]:
    """Lower `loss(params, outputs(params))` by `config.epochs` gradient steps.

    Args:
        params: pytree of parameters.
        state: of the steps before.
        problem: what is to be lowered.
        config: how often, and how far.

    Returns:
        the new parameters, the new state and what happened.
    """
    adam = optax.scale_by_adam()
    old = problem.outputs(params)

    def of_params(params: Params) -> tuple[Array, Array]:
        new = problem.outputs(params)
        return problem.loss(params, new), problem.divergence(old, new)

    def descend(carry: tuple[Params, Any], _: None) -> tuple[tuple[Params, Any], tuple[Array, Array]]:
        params, moments = carry
        now, slope = problem.mean(jax.value_and_grad(of_params, has_aux=True)(params))
        updates, moments = adam.update(slope, moments)
        # what the loss does not depend on, such as latents of tasks that were not met, has no momentum either
        updates = jax.tree.map(lambda update, x: jnp.where(x == 0, 0.0, update), updates, slope)
        return (optax.tree.add_scale(params, -state.learning_rate, updates), moments), now

    (params, moments), (losses, moved) = jax.lax.scan(descend, (params, state.adam), None, config.epochs)
    rate = learning_rate.adapted(state.learning_rate, moved[-1], config.target_kl)
    return params, State(moments, rate), Info(losses[0], losses[0] - losses[-1], moved[-1], rate)
