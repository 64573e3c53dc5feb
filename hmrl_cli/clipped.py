"""Outer steps by gradient, with a clipped loss: ProMP's in place of a trust region (Rothfuss et al. 2019).

A few passes of Adam over one batch of episodes (1810.06784, algorithm 1).  What is clipped, and what keeps
the policies that collected for an inner update in place, is in the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from hmrl_cli.config import Strict
from hmrl_cli.lazy import jax, optax

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Params


class Config(Strict):
    """Settings of the steps."""

    learning_rate: float = Field(1e-3, gt=0, lt=1, description="of Adam")
    epochs: int = Field(5, gt=0, le=1000, description="gradient steps on each batch of episodes")
    clip: float = Field(0.3, gt=0, lt=1, description="how far pi(a|s) may move, as a ratio")
    kl_weight: float = Field(5e-4, ge=0, description="on the divergence before each inner update")


class Info(NamedTuple):
    """What the steps did."""

    loss: Array  # []  before them
    improvement: Array  # []  loss before minus loss before the last of them


def init(params: Params, config: Config) -> Any:
    """The optimizer's state."""
    return optax.adam(config.learning_rate).init(params)


def step(
    params: Params,
    optimizer: Any,
    outputs: Callable[[Params], Any],
    loss: Callable[[Params, Any], Array],
    config: Config,
) -> tuple[Params, Any, Info]:
    """Lower `loss(params, outputs(params))` by `config.epochs` gradient steps.

    Returns the new parameters, the optimizer's state and what happened.
    """
    adam = optax.adam(config.learning_rate)

    def descend(carry: tuple[Params, Any], _: None) -> tuple[tuple[Params, Any], Array]:
        params, optimizer = carry
        value, slope = jax.value_and_grad(lambda p: loss(p, outputs(p)))(params)
        updates, optimizer = adam.update(slope, optimizer)
        return (optax.apply_updates(params, updates), optimizer), value

    (params, optimizer), losses = jax.lax.scan(descend, (params, optimizer), None, config.epochs)
    return params, optimizer, Info(losses[0], losses[0] - losses[-1])
