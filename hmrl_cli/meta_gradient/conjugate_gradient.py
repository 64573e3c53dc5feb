"""Conjugate gradients, preconditioned by earlier solves (Hestenes & Stiefel 1952; Morales & Nocedal 2000).

A trust region solves F x = g at every step.  F changes little from one step to the next.  Each product F d
gives the curvature of F along d.  The newest pairs (d, F d) define the approximate inverse of limited-memory
BFGS (Nocedal 1980).  With this preconditioner the solver needs fewer products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array


class CurvaturePairs(NamedTuple):
    """The newest M pairs (d, F d), the newest first; zeros where there is no pair yet."""

    direction: Array  # [M, n]
    image: Array  # [M, n]  F d


def no_pairs(size: int, pairs: int) -> CurvaturePairs | None:
    """An empty buffer of `pairs` pairs [size]; None if `pairs` is 0.

    None replaces arrays without elements, on which jaxlib 0.11.2 crashes with several devices.
    """
    return CurvaturePairs(*jnp.zeros((2, pairs, size))) if pairs else None


def solve(
    product: Callable[[Array], Array],
    target: Array,
    iterations: int,
    memory: CurvaturePairs | None,
    free: Array | float = 1.0,
) -> tuple[Array, Array, CurvaturePairs | None]:
    """Solve product(x) = target approximately, for a symmetric positive definite product.

    The number of iterations is fixed, so that seeds can be vmapped.  A seed whose residual is 0 keeps its
    solution.  (jax.scipy's solver returns NaN in that case.)

    Args:
        product: x [n] -> F x [n].
        target: [n].
        iterations: number of products.
        memory: curvature pairs of earlier systems, or None.
        free: [n], 1 where x may differ from 0, else 0.  Without this mask the preconditioner would move
            coordinates that only earlier systems depended on.

    Returns:
        x [n], the residual target - product(x) [n] up to rounding, and the memory with the new pairs.
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

    def prepend(new: Array, old: Array) -> Array:
        return jnp.concatenate([new[::-1], old])[: len(old)]

    return solution, residual, jax.tree.map(prepend, pairs, memory)


def precondition(memory: CurvaturePairs | None, vector: Array) -> Array:
    """The approximate inverse times a vector [n], by the two loops of limited-memory BFGS (Nocedal 1980).

    The inverse is exact on the span of the newest pair.  Without pairs the vector is unchanged.
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
