"""The optimisation problem of an outer step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Params


class Problem(NamedTuple):
    """A loss of a network's outputs, and a divergence that limits the change of these outputs.

    `outputs` maps parameters to the outputs of the network, any pytree.
    `divergence` is 0 and has gradient 0 where old and new outputs are equal.
    `mean` averages over devices that each have a share of the data.
    """

    outputs: Callable[[Params], Any]
    loss: Callable[[Params, Any], Array]  # parameters, their outputs -> []
    divergence: Callable[[Any, Any], Array]  # old, new outputs -> []
    mean: Callable[[Any], Any] = lambda tree: tree
