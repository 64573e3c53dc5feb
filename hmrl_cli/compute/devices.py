"""Sharding of one seed's rows (episodes or tasks) over devices: CPU cores or GPUs.

`side_by_side` runs each row on one device and copies the results to all devices.  `in_shares` leaves the
results where they are, and the devices exchange only means.  `epochs.make_epoch` spreads whole seeds.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hmrl_cli.lazy import jax, jnp, np

if TYPE_CHECKING:
    from hmrl_cli.types import Array


class _Scope:
    """Whether programs use only this process's devices.  It is global, because threads trace too."""

    alone = False


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Spread rows over the devices of this process only, while other processes wait."""
    before, _Scope.alone = _Scope.alone, True
    try:
        yield
    finally:
        _Scope.alone = before


def mesh_for(rows: int) -> Any:
    """A mesh of gcd(devices, rows) devices, so that each has equally many rows; None for one device.

    The mesh of several processes has all of their devices or none, because all take part in a program.
    """
    devices = jax.local_devices() if _Scope.alone else jax.devices()
    count = math.gcd(len(devices), rows)
    if jax.process_count() > 1 and not _Scope.alone and count < len(devices):
        return None
    return jax.sharding.Mesh(np.array(devices[:count]), ("rows",)) if count > 1 else None


def everywhere() -> Any:
    """The sharding that replicates arrays on the devices of all processes; None for a single process."""
    if jax.process_count() == 1 or _Scope.alone:
        return None
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("rows",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def side_by_side(run: Callable[..., Any], shared: Any, *each: Any, at_once: int = 0) -> Any:
    """`run(shared, *row)` for each of N rows, spread evenly over the devices.

    A physics step of a few dozen bodies is too small to split over CPU cores, so each core runs whole rows.
    Every device gets all results, and the program continues as on one device.  If the devices already hold
    different seeds, each runs all rows of its own seeds.

    Args:
        run: a function of one row.
        shared: the same for all rows.
        each: pytrees with leaves [N, ...].
        at_once: rows that a device runs at a time; 0 runs all of its rows.

    Returns:
        results, leaves [N, ...].
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
    """`run(mean, shared, *share)` on every device, with the device's share of N rows.

    `run` must return the same on all devices, so it may return only functions of `shared` and of means.  Each
    mean must depend on the mean before it (see `_pack`).

    Args:
        run: its argument `mean(tree)` averages a tree over the devices.
        shared: the same on all devices.
        each: pytrees with leaves [N, ...].
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
    """A LAPACK function whose `vmap` is a loop on CPUs.

    jaxlib hands the elements of a batch to the threads on which its devices run, and waits for them.  If
    every thread runs a device, jaxlib waits forever.
    """
    if jax.default_backend() != "cpu":
        return function
    # the lambda hides arguments bound by functools.partial from sequential_vmap
    return jax.custom_batching.sequential_vmap(lambda *args: function(*args))


def _pack(tree: Any) -> Array:
    """Leaves [N, ...] of bools or 4-byte numbers as one array [N, K] uint32.

    CPU devices share a few threads.  A device that waits for data of the other devices occupies one thread.
    With one array in flight at a time there are enough threads.  With several arrays, all threads may wait.
    """

    def bits(x: Array) -> Array:
        x = x.reshape(len(x), -1)
        return x.astype(jnp.uint32) if x.dtype == bool else jax.lax.bitcast_convert_type(x, jnp.uint32)

    return jnp.concatenate([bits(x) for x in jax.tree.leaves(tree)], axis=1)


def _unpack(packed: Array, like: Any) -> Any:
    """The inverse of `_pack`, for leaves with the shapes and dtypes of `like`."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([math.prod(x.shape[1:]) for x in leaves])[:-1].tolist()

    def number(bits: Array, like: Any) -> Array:
        bits = bits.reshape(like.shape)
        return bits.astype(bool) if like.dtype == bool else jax.lax.bitcast_convert_type(bits, like.dtype)

    parts = jnp.split(packed, ends, axis=1)
    numbers = [number(bits, like) for bits, like in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, numbers)
