"""A network whose weights a memory generates (Beck et al. 2023, 2309.14970; Ha et al. 2016, 1609.09106)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import networks

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Params


def mlp(
    input_size: int,
    hidden: Sequence[int],
    output_size: int,
    activation: networks.Activation = "relu",
    output_scale: float = 1.0,
    *,
    memory_size: int,
) -> networks.Network:
    """Fully connected network [..., input_size] -> [..., output_size] with generated weights.

    The first `memory_size` inputs m generate all weights and biases of a `networks.mlp` of the other inputs:
    w(m) = bias + m weight.  The weight is 0 at the start, and the bias is a fresh network (the paper's
    Bias-HyperInit).  So every memory starts with the same network.
    """
    base = networks.mlp(input_size - memory_size, hidden, output_size, activation, output_scale)
    nonlinearity = networks.nonlinearity(activation)

    def init(key: Key) -> Params:
        bias = base.init(key)
        return {"bias": bias, "weight": jax.tree.map(lambda x: jnp.zeros((memory_size, *x.shape)), bias)}

    def apply(params: Params, x: Array) -> Array:
        memory, x = jnp.split(x, [memory_size], axis=-1)
        *inner, last = networks.layers_of(generated(params, memory))
        for layer in inner:
            x = nonlinearity(_dense(layer, x))
        return _dense(last, x)

    return networks.Network(init, apply)


def generated(params: Params, memory: Array) -> Params:
    """The weights of the base network for memories [..., memory_size], leaves [..., *leaf]."""
    return jax.tree.map(
        lambda bias, weight: bias + jnp.tensordot(memory, weight, axes=1), params["bias"], params["weight"]
    )


def _dense(layer: Params, x: Array) -> Array:
    """Outputs [..., O] of a layer whose kernel [..., I, O] differs from row to row of x [..., I]."""
    # derivatives of a batch of small matrix products are several times slower on a CPU
    return jnp.sum(x[..., None] * layer["kernel"], axis=-2) + layer["bias"]
