"""The training loop: an epoch is one compiled program, and the host acts only between epochs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.compute import devices, processes
from hmrl_cli.compute.finite import all_finite
from hmrl_cli.lazy import jax, jnp, root_key

if TYPE_CHECKING:
    from hmrl_cli.types import Key, Metrics, Params, State


class Streams(NamedTuple):
    """Independent keys of one seed.  Draws from one stream do not affect another stream."""

    init: Key
    train: Key
    evaluate: Key


class EpochResult(NamedTuple):
    """What an epoch returns to the host, for S seeds."""

    epoch: int  # number of finished epochs
    state: State  # leaves [S, ...], valid until the next epoch starts
    metrics: dict[str, Any]  # name -> numpy [S], means over the epoch's updates
    finite: bool  # whether all numbers of state and metrics are
    seconds: float  # wall time, s


def streams(seeds: Any) -> Streams:
    """The streams of all seeds [S], leaves [S]."""
    roots = jax.vmap(root_key)(jnp.asarray(seeds, jnp.uint32))
    return Streams(*(jax.vmap(lambda root, i=i: jax.random.fold_in(root, i))(roots) for i in range(3)))


def make_epoch(step: Callable[..., tuple[State, Metrics]], num_updates: int, num_seeds: int = 1) -> Any:
    """An epoch of all seeds as one compiled program that donates its state.

    Seeds share nothing.  If the number of devices divides the number of seeds, each device trains as many
    seeds and never waits for the others.  Otherwise every device has all seeds, and `step` may shard its
    work.  `sharding_of` gives the sharding of the arguments.

    Args:
        step: (key, state, skills) -> (state, metrics) of one seed.
        num_updates: calls of `step` in one epoch.
        num_seeds: S.

    Returns:
        epoch(keys [S], state, skills) -> (state, metrics [S], finite [S]), leaves [S, ...].
    """
    sharding = sharding_of(num_seeds)
    is_spread = sharding is not None and not sharding.is_fully_replicated

    def of_seed(key: Key, state: State, skills: Params) -> tuple[State, tuple[Metrics, Any]]:
        def update(state: State, t: Any) -> tuple[State, Metrics]:
            return step(jax.random.fold_in(key, t), state, skills)

        state, metrics = jax.lax.scan(update, state, jnp.arange(num_updates))
        metrics = jax.tree.map(lambda x: x.mean(axis=0), metrics)
        return state, (metrics, all_finite((state, metrics)))

    def epoch(keys: Key, state: State, skills: Params) -> tuple[State, Metrics, Any]:
        if len(keys) == 1 and not is_spread:  # the only seed has no axis, which is faster
            alone = of_seed(*jax.tree.map(lambda x: x[0], (keys, state, skills)))
            state, (metrics, finite) = jax.tree.map(lambda x: x[None], alone)
            return state, metrics, finite
        # on a CPU, whose caches are small, a device is faster with one of its seeds at a time
        in_turn = jax.default_backend() == "cpu" and (is_spread or len(jax.devices()) == 1)
        state, (metrics, finite) = over_seeds(of_seed, keys, state, skills, in_turn)
        return state, metrics, finite

    if sharding is None:
        return jax.jit(epoch, donate_argnums=1)
    spread: Callable[..., Any] = epoch
    if is_spread:
        mesh, spec = sharding.mesh, sharding.spec
        spread = jax.shard_map(epoch, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    return jax.jit(spread, in_shardings=sharding, out_shardings=sharding, donate_argnums=1)


def over_seeds(
    of_seed: Callable[..., tuple[State, Any]], keys: Key, state: State, skills: Params, in_turn: bool
) -> tuple[State, Any]:
    """(state, results) of all seeds, leaves [S, ...], from a function of one seed's arguments.

    Seeds run side by side, or `in_turn`.  In turn, each seed keeps an axis of length 1.  Without this axis,
    rounding depended on the number of devices of a process.
    """
    of_seeds = jax.vmap(of_seed)
    if not in_turn or len(keys) == 1:
        return of_seeds(keys, state, skills)

    def one(state: State, row: Any) -> tuple[State, Any]:  # in place, because a replay buffer is large
        after, result = of_seeds(*jax.tree.map(lambda x: x[row][None], (keys, state, skills)))
        return jax.tree.map(lambda x, new: x.at[row].set(new[0]), state, after), result

    state, results = jax.lax.scan(one, state, jnp.arange(len(keys)))
    return state, jax.tree.map(lambda x: x[:, 0], results)


def sharding_of(num_seeds: int) -> Any:
    """The sharding of the arrays of all seeds [S, ...]; None for one device.

    Seeds are spread if the number of devices divides S.  Otherwise, with several processes, each device has
    all seeds.
    """
    mesh = devices.mesh_for(num_seeds)
    if mesh is not None and mesh.size == len(jax.devices()):
        return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*mesh.axis_names))
    return devices.everywhere()


def fit(
    epoch: Callable[..., Any],
    keys: Key,
    state: State,
    skills: Params,
    *,
    start: int,
    num_epochs: int,
    after_epoch: Callable[[EpochResult], None],
) -> State:
    """Run the epochs start .. num_epochs - 1 and return the last state.

    `after_epoch` receives each result.  It ends the training by raising.  The key of an epoch depends only on
    the epoch's number, so a resumed run continues exactly.
    """
    sharding = sharding_of(len(keys))
    for number in range(start, num_epochs):
        start_time = time.perf_counter()
        epoch_keys = jax.vmap(lambda key, number=number: jax.random.fold_in(key, number))(keys)
        state, metrics, finite = epoch(processes.placed(epoch_keys, sharding), state, skills)
        host_metrics = processes.gathered(dict(sorted(metrics.items())))
        is_finite = bool(processes.gathered(finite).all())
        after_epoch(EpochResult(number + 1, state, host_metrics, is_finite, time.perf_counter() - start_time))
    return state
