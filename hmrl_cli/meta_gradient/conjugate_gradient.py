"""Conjugate gradients that remember the systems before (Hestenes & Stiefel 1952; Morales & Nocedal 2000).

A trust region solves F x = g at every step, with an F that has changed little since the last one.  Every
product F d on the way tells how F curves along d.  The newest such pairs give an approximate inverse of F, as
limited-memory BFGS has it (Nocedal 1980), and with that as preconditioner fewer products do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array


class CurvaturePairs(NamedTuple):
    """Pairs of the products before, the newest first; zeros where there was none."""

    direction: Array  # [M, n]
    image: Array  # [M, n]  the product with it


def no_pairs(size: int, pairs: int) -> CurvaturePairs | None:
    """Nothing yet: vectors of this size, and room for so many pairs; None without room.

    Not arrays of no elements: over those jaxlib 0.11.2 crashes where there are several devices.
    """
    return CurvaturePairs(*jnp.zeros((2, pairs, size))) if pairs else None


def solve(
    product: Callable[[Array], Array],
    target: Array,
    iterations: int,
    memory: CurvaturePairs | None,
    free: Array | float = 1.0,
) -> tuple[Array, Array, CurvaturePairs | None]:
    """x [n] with product(x) close to target, for a symmetric positive definite product.

    x is 0 where `free` [n] is 0, and elsewhere, where it is 1, the solution among such x.  What is remembered
    would otherwise leave something there, of systems in which it was not.

    Returns x, the residual target - product(x) but for rounding, and the memory with the new pairs.

    A fixed number of iterations keeps seeds that run side by side in step; one whose residual has
    vanished stays where it is.  (jax.scipy's solver returns NaN here when it is vmapped over seeds.)
    """

    def iterate(carry: tuple, _: None) -> tuple[tuple, CurvaturePairs]:
        solution, residual, direction, size = carry
        image = product(direction)
        curvature = direction @ image
        active = (size > 1e-20) & (curvature > 0)
        length = jnp.where(active, size / jnp.where(active, curvature, 1.0), 0.0)
        solution += length * direction
        residual -= length * image
        scaled = free * precondition(memory, free * residual)
        new_size = residual @ scaled
        growth = jnp.where(active, new_size / jnp.where(active, size, 1.0), 0.0)
        return (solution, residual, scaled + growth * direction, new_size), CurvaturePairs(direction, image)

    first = free * precondition(memory, free * target)
    start = (jnp.zeros_like(target), target, first, target @ first)
    (solution, residual, _, _), pairs = jax.lax.scan(iterate, start, None, iterations)
    if memory is None:
        return solution, residual, None

    def remember(new: Array, old: Array) -> Array:
        return jnp.concatenate([new[::-1], old])[: len(old)]

    return solution, residual, jax.tree.map(remember, pairs, memory)


def precondition(memory: CurvaturePairs | None, vector: Array) -> Array:
    """The approximate inverse times a vector [n]: the two loops of limited-memory BFGS.

    Exact on what the newest pair spans; the vector itself where nothing is remembered.
    """
    if memory is None:
        return vector
    curvature = jnp.sum(memory.direction * memory.image, axis=1)
    known = curvature > 1e-20
    inverse = jnp.where(known, 1.0 / jnp.where(known, curvature, 1.0), 0.0)

    def down(left: Array, pair: tuple[CurvaturePairs, Array]) -> tuple[Array, Array]:
        (direction, image), inverse = pair
        share = inverse * (direction @ left)
        return left - share * image, share

    def up(found: Array, pair: tuple[tuple[CurvaturePairs, Array], Array]) -> tuple[Array, None]:
        ((direction, image), inverse), share = pair
        return found + (share - inverse * (image @ found)) * direction, None

    pairs = (memory, inverse)
    left, shares = jax.lax.scan(down, vector, pairs)
    scale = jnp.where(known[0], curvature[0] / jnp.maximum(jnp.sum(memory.image[0] ** 2), 1e-30), 1.0)
    return jax.lax.scan(up, scale * left, (pairs, shares), reverse=True)[0]
