"""A ring buffer on the device.  An entry is any pytree of arrays, such as a transition."""

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
    size: Array  # [] int32  number of entries


def must_hold(capacity: int, steps: int) -> None:
    """Raise ValueError for a capacity below the number of steps of one update."""
    if capacity < steps:
        raise ValueError(f"algorithm.buffer_capacity: found {capacity}; must hold one update, {steps} steps")


def blank(action: Action) -> Array:
    """A zero action, for the example entry that `init` takes."""
    return jnp.int32(0) if isinstance(action, Discrete) else jnp.zeros(action.size)


def init(example: Any, capacity: int) -> Buffer:
    """An empty buffer for entries with the shapes and dtypes of `example`."""
    data = jax.tree.map(lambda x: jnp.zeros((capacity, *jnp.shape(x)), jnp.result_type(x)), example)
    return Buffer(data, jnp.int32(0), jnp.int32(0))


def add(buffer: Buffer, batch: Any, valid: Array) -> Buffer:
    """Append the entries of `batch`, leaves [B, ...], with valid [B] = 1.  B is at most the capacity."""
    capacity = jax.tree.leaves(buffer.data)[0].shape[0]
    keep = valid.astype(jnp.int32)
    slot = (buffer.position + jnp.cumsum(keep) - 1) % capacity
    slot = jnp.where(keep > 0, slot, capacity)  # an index out of range is dropped
    data = jax.tree.map(lambda old, new: old.at[slot].set(new, mode="drop"), buffer.data, batch)
    count = keep.sum()
    return Buffer(data, (buffer.position + count) % capacity, jnp.minimum(buffer.size + count, capacity))


def put_batch(buffer: Any, batch: Any, count: Array) -> Any:
    """The buffer, leaves [B N, ...], with a batch, leaves [N, ...], as batch number `count` [], from 0."""

    def put(old: Array, new: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(old, new, count * new.shape[0], axis=0)

    return jax.tree.map(put, buffer, batch)


def sample(key: Key, buffer: Buffer, batch_size: int) -> Any:
    """Entries drawn uniformly with replacement, leaves [batch_size, ...]."""
    index = jax.random.randint(key, (batch_size,), 0, jnp.maximum(buffer.size, 1))
    return jax.tree.map(lambda x: x[index], buffer.data)


def sample_row(key: Key, buffers: Buffer, row: Array, batch_size: int) -> Any:
    """`sample` from row `row` of stacked buffers, leaves [rows, ...].

    Only the drawn entries are copied, not the whole row.
    """
    index = jax.random.randint(key, (batch_size,), 0, jnp.maximum(buffers.size[row], 1))
    return jax.tree.map(lambda x: x[row, index], buffers.data)
