"""Whether the functions of a family fit together, found by shapes alone: nothing is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hmrl_cli.lazy import jax, jnp, root_key
from hmrl_cli.types import Discrete, EnvState

if TYPE_CHECKING:
    from hmrl_cli.types import TaskFamily


def check(family: TaskFamily) -> None:
    """Trace `sample`, `reset`, `step` and the features of a family.

    Raises:
        ValueError: names the function or the size that is wrong, what it gave, and what would be right.
    """
    key = jax.eval_shape(lambda: root_key(0))
    task = jax.eval_shape(lambda key: family.sample(key, "train"), key)
    _same("task_size: a task", task.shape, (family.task_size,))
    state = jax.eval_shape(family.reset, key, task)
    _is_state("reset", state)
    _same("obs_size: an observation", state.obs.shape, (family.obs_size,))
    action = jnp.int32(0) if isinstance(family.action, Discrete) else jnp.zeros(family.action.size)
    after = jax.eval_shape(family.step, state, action, task)
    _is_state("step", after)
    for field, before in state._asdict().items():
        if (found := _described(getattr(after, field))) != (expected := _described(before)):
            raise ValueError(f"step: returned {field} {found}; must be as reset returns it, {expected}")
    for name, feature in family.features.items():
        seen = jax.eval_shape(feature, jnp.zeros((3, family.obs_size)))
        if len(seen.shape) != 2 or len(seen) != 3:
            raise ValueError(
                f"features: {name!r} maps observations [3, {family.obs_size}] to {list(seen.shape)}; "
                "must keep all axes but the last"
            )


def _is_state(function: str, state: Any) -> None:
    if not isinstance(state, EnvState):
        raise ValueError(f"{function}: returned a {type(state).__name__}; must return an EnvState")
    for field in ("reward", "success", "reached", "done"):
        _same(f"{function}: {field}", getattr(state, field).shape, ())


def _same(what: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise ValueError(f"{what} has the shape {list(found)}; must be {list(expected)}")


def _described(tree: Any) -> str:
    """Structure, shapes and types of a pytree."""
    leaves, structure = jax.tree.flatten(tree)
    shapes = ", ".join(f"{x.dtype}{list(x.shape)}" for x in leaves)
    return shapes if jax.tree_util.treedef_is_leaf(structure) else f"{structure} of {shapes or 'nothing'}"
