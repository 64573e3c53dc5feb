"""What several processes of one run exchange.

Every process runs the same programs, on its own devices.  Process 0 alone reads and writes the run.  In a
single process every function here returns its argument, or what it computes of it, without a collective.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hmrl_cli.lazy import jax, jnp, np

if TYPE_CHECKING:
    from hmrl_cli.types import Array

CHUNK = 2**26  # words of 4 bytes that travel at a time


def is_first() -> bool:
    """Whether this process is the one that reads and writes."""
    return bool(jax.process_index() == 0)


def agreed(number: int) -> int:
    """The largest of the numbers of all processes."""
    if jax.process_count() == 1:
        return number
    from jax.experimental import multihost_utils

    return int(multihost_utils.process_allgather(np.int32(number)).max())


def from_first(work: Callable[[], Any], like: Any) -> Any:
    """Compute a result on process 0, and copy it to every process bit for bit.

    Args:
        work: returns a pytree of arrays; only process 0 calls it.
        like: a pytree of the same structure, whose leaves have the shapes and dtypes of the result.

    Returns:
        the result, leaves on one device of each process.
    """
    if jax.process_count() == 1:
        return work()
    from jax.experimental import multihost_utils

    result = work() if is_first() else None
    leaves, structure = jax.tree.flatten(like)
    sizes = [leaf.size * leaf.dtype.itemsize for leaf in leaves]
    words = np.zeros(-(-sum(sizes) // 4), np.uint32)
    if is_first():
        data = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(result))
        words.view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
    for start in range(0, len(words), CHUNK):  # as integers, whose sum with zeros is exact
        part = slice(start, start + CHUNK)
        words[part] = multihost_utils.broadcast_one_to_all(words[part])
    data = words.tobytes()
    ends = np.cumsum(sizes).tolist()
    arrays = [
        jnp.asarray(np.frombuffer(data[end - size : end], leaf.dtype).reshape(leaf.shape))
        for leaf, size, end in zip(leaves, sizes, ends, strict=True)
    ]
    return jax.tree.unflatten(structure, arrays)


def placed(tree: Any, sharding: Any) -> Any:
    """A pytree that every process has, as arrays on the devices of all of them.

    Args:
        tree: leaves are arrays or typed keys, equal on all processes.
        sharding: of every leaf; None leaves the tree where it is.
    """
    if sharding is None or jax.process_count() == 1:
        return tree

    def place(leaf: Any) -> Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = place(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(place, tree)


def gathered(tree: Any) -> Any:
    """Gather a pytree from the devices of all processes into numpy arrays on every process."""

    def gather(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
            return np.asarray(leaf)
        from jax.experimental import multihost_utils

        return multihost_utils.process_allgather(leaf, tiled=True)

    return jax.tree.map(gather, tree)
