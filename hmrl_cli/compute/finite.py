"""Checks for finite numbers."""

from __future__ import annotations

from typing import Any

from hmrl_cli.errors import Diverged
from hmrl_cli.lazy import jax, jnp, np


def check_finite(**results: Any) -> None:
    """Raise Diverged for a result [seed, ...] with a number that is not finite.

    The message has the name of the result and the index of the number.
    """
    for name, value in results.items():
        bad = np.argwhere(~np.isfinite(value))
        if len(bad):
            raise Diverged(f"{name.replace('_', ' ')}{bad[0].tolist()}")


def all_finite(tree: Any) -> Any:
    """Whether no floating-point leaf holds an infinity or a NaN: [] bool."""
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.array([jnp.isfinite(x).all() for x in floats]))


def non_finite_leaves(tree: Any) -> list[str]:
    """Paths of the leaves that hold an infinity or a NaN."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    bad = [path for path, x in leaves if jnp.issubdtype(x.dtype, jnp.floating) and not jnp.isfinite(x).all()]
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path in bad]
