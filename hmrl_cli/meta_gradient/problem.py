"""What an outer step is to lower, whichever way it goes about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Params


class Problem(NamedTuple):
    """A loss of a network's outputs, and how far these outputs may move.

    `outputs` gives what the network says with given parameters, any pytree.
    `divergence` of old and new outputs is 0 and stationary where they agree.
    `mean` averages over devices that each have a share of the data.
    """

    outputs: Callable[[Params], Any]
    loss: Callable[[Params, Any], Array]  # parameters, their outputs -> []
    divergence: Callable[[Any, Any], Array]  # old, new outputs -> []
    mean: Callable[[Any], Any] = lambda tree: tree
