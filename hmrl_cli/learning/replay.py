"""A ring buffer of transitions: any pytree of arrays, kept on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import Action, Discrete

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key


class Buffer(NamedTuple):
    """The last `capacity` entries."""

    data: Any  # leaves [capacity, ...]
    position: Array  # [] int32  where the next entry goes
    size: Array  # [] int32  entries held


def must_hold(capacity: int, steps: int) -> None:
    """Raise ValueError for a buffer that one update's steps do not fit into."""
    if capacity < steps:
        raise ValueError(f"algorithm.buffer_capacity: found {capacity}; must hold one update, {steps} steps")


def blank(action: Action) -> Array:
    """An action of this kind, for an example of what is stored."""
    return jnp.int32(0) if isinstance(action, Discrete) else jnp.zeros(action.size)


def init(example: Any, capacity: int) -> Buffer:
    """An empty buffer for entries shaped like `example`."""
    data = jax.tree.map(lambda x: jnp.zeros((capacity, *jnp.shape(x)), jnp.result_type(x)), example)
    return Buffer(data, jnp.int32(0), jnp.int32(0))


def add(buffer: Buffer, batch: Any, valid: Array) -> Buffer:
    """Append the entries of `batch`, leaves [B, ...], for which valid [B] holds; B <= capacity."""
    capacity = jax.tree.leaves(buffer.data)[0].shape[0]
    keep = valid.astype(jnp.int32)
    slot = (buffer.position + jnp.cumsum(keep) - 1) % capacity
    slot = jnp.where(keep > 0, slot, capacity)  # out of range: dropped
    data = jax.tree.map(lambda old, new: old.at[slot].set(new, mode="drop"), buffer.data, batch)
    count = keep.sum()
    return Buffer(data, (buffer.position + count) % capacity, jnp.minimum(buffer.size + count, capacity))


def sample(key: Key, buffer: Buffer, batch_size: int) -> Any:
    """`batch_size` entries drawn evenly, with replacement; leaves [batch_size, ...]."""
    index = jax.random.randint(key, (batch_size,), 0, jnp.maximum(buffer.size, 1))
    return jax.tree.map(lambda x: x[index], buffer.data)


def sample_row(key: Key, buffers: Buffer, row: Array, batch_size: int) -> Any:
    """`sample` of one of many buffers, leaves [rows, ...], without a copy of the rest of its row."""
    index = jax.random.randint(key, (batch_size,), 0, jnp.maximum(buffers.size[row], 1))
    return jax.tree.map(lambda x: x[row, index], buffers.data)
