"""Work that is shared among devices: the cores of a processor, or several GPUs.

Seeds are spread by `epochs.make_epoch`.  Inside of a seed, rows (episodes, tasks) either run side by side and
come back to every device, or stay where they are and only means of what was made of them are exchanged.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hmrl_cli.lazy import jax, jnp, np

if TYPE_CHECKING:
    from hmrl_cli.types import Array


def mesh_for(rows: int) -> Any:
    """A mesh of as many devices as divide `rows` evenly; None if that is one."""
    count = math.gcd(len(jax.devices()), rows)
    return jax.sharding.Mesh(np.array(jax.devices()[:count]), ("rows",)) if count > 1 else None


def side_by_side(run: Callable[..., Any], shared: Any, *each: Any, at_once: int = 0) -> Any:
    """`run(shared, *one)` for every row of `each`, leaves [N, ...], spread evenly over the devices.

    A physics step of a few dozen bodies is too small to be shared among the cores of a processor, episodes
    are not: each core runs some of them.  What comes back, leaves [N, ...], is on every device, so that what
    follows runs as it would on one.  A device runs `at_once` rows at a time; 0: all that it has.  Where the
    devices already have seeds of their own, each runs all rows of those.
    """

    def over_rows(shared: Any, *each: Any) -> Any:
        if at_once:
            return jax.lax.map(lambda one: run(shared, *one), each, batch_size=at_once)
        return jax.vmap(run, in_axes=(None, *[0] * len(each)))(shared, *each)

    mesh = mesh_for(jax.tree.leaves(each)[0].shape[0])
    if mesh is None or jax.sharding.get_abstract_mesh().manual_axes:
        return over_rows(shared, *each)
    replicated, sharded = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(*mesh.axis_names)
    spread = jax.shard_map(
        lambda *args: _pack(over_rows(*args)),
        mesh=mesh,
        in_specs=(replicated, *[sharded] * len(each)),
        out_specs=sharded,
        check_vma=False,
    )
    gathered = jax.sharding.NamedSharding(mesh, replicated)
    packed = jax.lax.with_sharding_constraint(spread(shared, *each), gathered)
    return _unpack(packed, jax.eval_shape(over_rows, shared, *each))


def in_shares(run: Callable[..., Any], shared: Any, *each: Any) -> Any:
    """`run(mean, shared, *share)`, every device with its share of the rows of `each`, leaves [N, ...].

    `mean(tree)` averages over the devices.  What `run` returns must be the same on all of them: made from
    `shared` and from means, which have to follow from one another (see `_pack`).
    """
    mesh = mesh_for(jax.tree.leaves(each)[0].shape[0])
    if mesh is None or jax.sharding.get_abstract_mesh().manual_axes:
        return run(lambda tree: tree, shared, *each)
    from jax.flatten_util import ravel_pytree  # lazily, as all of jax

    (name,) = mesh.axis_names

    def mean(tree: Any) -> Any:
        flat, back = ravel_pytree(tree)
        return back(jax.lax.pmean(flat, name))

    replicated, sharded = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(name)
    specs = (replicated, *[sharded] * len(each))
    spread = jax.shard_map(
        functools.partial(run, mean), mesh=mesh, in_specs=specs, out_specs=replicated, check_vma=False
    )
    return spread(shared, *each)


def sequential_on_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of LAPACK's that a processor applies to one batch element at a time.

    jaxlib hands the elements of a batch to the threads that its devices run on and waits for them: for ever,
    where every thread runs a device.
    """
    if jax.default_backend() != "cpu":
        return function
    # all that is bound to a partial function stays with it
    return jax.custom_batching.sequential_vmap(lambda *args: function(*args))


def _pack(tree: Any) -> Array:
    """Leaves [N, ...] of four bytes a number, or bool, as one array [N, K] uint32.

    A processor's devices share a few threads, and each that waits for the others to send holds one.  One
    array is sent at a time, and nobody waits for a thread; of several, all threads may come to wait.
    """

    def bits(x: Array) -> Array:
        x = x.reshape(len(x), -1)
        return x.astype(jnp.uint32) if x.dtype == bool else jax.lax.bitcast_convert_type(x, jnp.uint32)

    return jnp.concatenate([bits(x) for x in jax.tree.leaves(tree)], axis=1)


def _unpack(packed: Array, like: Any) -> Any:
    """What `_pack` was given, of shapes and dtypes `like`."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([math.prod(x.shape[1:]) for x in leaves])[:-1].tolist()

    def number(bits: Array, like: Any) -> Array:
        bits = bits.reshape(like.shape)
        return bits.astype(bool) if like.dtype == bool else jax.lax.bitcast_convert_type(bits, like.dtype)

    parts = jnp.split(packed, ends, axis=1)
    numbers = [number(bits, like) for bits, like in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, numbers)
