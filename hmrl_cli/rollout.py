"""Episodes: one step that respects an early end, and the unroll of a whole episode."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.types import EnvState, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task


def advance(family: TaskFamily, state: EnvState, action: Array, task: Task) -> EnvState:
    """One step of the family; an episode that has ended stays as it was and earns nothing."""
    new = family.step(state, action, task)
    new = new._replace(reached=state.reached | new.reached | new.success, done=state.done | new.done)
    if not family.terminates:
        return new
    ended = state._replace(reward=jnp.zeros_like(state.reward))
    return jax.tree.map(lambda old, new: jnp.where(state.done, old, new), ended, new)


def unroll(
    key: Key,
    policy: Callable[[Key, Array], tuple[Array, Array]],
    family: TaskFamily,
    task: Task,
) -> tuple[Transition, EnvState]:
    """One episode of `task` under `policy(key, obs) -> (action, log_prob)`.

    Returns the transitions, leaves [horizon, ...], and the state after the last step.
    """
    reset_key, policy_key = jax.random.split(key)

    def one_step(state: EnvState, t: Array) -> tuple[EnvState, Transition]:
        action, log_prob = policy(jax.random.fold_in(policy_key, t), state.obs)
        new = advance(family, state, action, task)
        transition = Transition(
            obs=state.obs,
            action=action,
            log_prob=log_prob,
            reward=new.reward,
            discount=1.0 - new.done,
            valid=1.0 - state.done,
            next_obs=new.obs,
        )
        return new, transition

    final, transitions = jax.lax.scan(one_step, family.reset(reset_key, task), jnp.arange(family.horizon))
    return transitions, final


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

    mesh = devices_for(jax.tree.leaves(each)[0].shape[0])
    if mesh is None or jax.sharding.get_abstract_mesh().manual_axes:
        return over_rows(shared, *each)
    everywhere, apart = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(*mesh.axis_names)
    spread = jax.shard_map(
        lambda *args: _pack(over_rows(*args)),
        mesh=mesh,
        in_specs=(everywhere, *[apart] * len(each)),
        out_specs=apart,
        check_vma=False,
    )
    gathered = jax.sharding.NamedSharding(mesh, everywhere)
    packed = jax.lax.with_sharding_constraint(spread(shared, *each), gathered)
    return _unpack(packed, jax.eval_shape(over_rows, shared, *each))


def in_shares(run: Callable[..., Any], shared: Any, *each: Any) -> Any:
    """`run(mean, shared, *share)`, every device with its share of the rows of `each`, leaves [N, ...].

    `mean(tree)` averages over the devices.  What `run` returns must be the same on all of them: made from
    `shared` and from means, which have to follow from one another (see `_pack`).
    """
    mesh = devices_for(jax.tree.leaves(each)[0].shape[0])
    if mesh is None or jax.sharding.get_abstract_mesh().manual_axes:
        return run(lambda tree: tree, shared, *each)
    from jax.flatten_util import ravel_pytree  # lazily, as all of jax

    (name,) = mesh.axis_names

    def mean(tree: Any) -> Any:
        flat, back = ravel_pytree(tree)
        return back(jax.lax.pmean(flat, name))

    everywhere, apart = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec(name)
    specs = (everywhere, *[apart] * len(each))
    spread = jax.shard_map(
        functools.partial(run, mean), mesh=mesh, in_specs=specs, out_specs=everywhere, check_vma=False
    )
    return spread(shared, *each)


def devices_for(rows: int) -> Any:
    """A mesh of as many devices as divide `rows` evenly; None if that is one."""
    count = math.gcd(len(jax.devices()), rows)
    return jax.sharding.Mesh(np.array(jax.devices()[:count]), ("rows",)) if count > 1 else None


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
