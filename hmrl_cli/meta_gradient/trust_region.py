"""Trust region policy optimisation (Schulman et al. 2015, sec. 6 and app. C).

The loss is a function of a network's outputs y.  J is the Jacobian of y in the parameters.  One linearisation
gives the gradient J^T dL/dy and every Fisher-vector product J^T H J v.  H is the Hessian of the divergence in
y.  At the current parameters the divergence has gradient 0 in y, so J^T H J is its exact Hessian.  No second
derivative through the inner loop is needed.

Few iterations in single precision do not solve an ill-conditioned system.  Latents that the policy ignores
make one.  `cg_residual` is the relative residual.  It may exceed 1, because conjugate gradients minimise
another norm.  Rounding then affects the step.  So equal runs on other devices, or with other seeds in one
program, may differ after their first step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.meta_gradient import conjugate_gradient
from hmrl_cli.meta_gradient.conjugate_gradient import CurvaturePairs
from hmrl_cli.meta_gradient.problem import Problem
from hmrl_cli.schema import Strict

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Params


SHRINK = 0.8  # factor from one candidate of the line search to the next
MAX_SHRINKS = 15  # candidates of the line search; if none is accepted, the parameters stay the same


class Config(Strict):
    """Settings of the step."""

    max_divergence: float = Field(0.01, gt=0, description="nats of mean KL that a step may take")
    cg_iterations: int = Field(10, gt=0, le=1000, description="iterations of conjugate gradients")
    cg_memory: int = Field(
        20, ge=0, le=1000, description="curvature pairs of earlier steps that precondition them; 0: none"
    )
    cg_damping: float = Field(1e-5, ge=0, description="number added to the diagonal of the Fisher matrix")


class Info(NamedTuple):
    """Metrics of a step."""

    loss: Array  # []  before the step
    improvement: Array  # []  loss before minus loss after
    divergence: Array  # []  after the step
    accepted: Array  # []  1 where the line search found a step, else 0
    cg_residual: Array  # []  |F x - g| / |g| after conjugate gradients


def init(params: Params, config: Config) -> CurvaturePairs | None:
    """Curvature pairs before the first step."""
    return conjugate_gradient.no_pairs(sum(leaf.size for leaf in jax.tree.leaves(params)), config.cg_memory)


def step(
    params: Params,
    memory: CurvaturePairs | None,
    problem: Problem,
    config: Config,
) -> tuple[Params, CurvaturePairs | None, Info]:
    """One natural-gradient step with a backtracking line search.

    Args:
        params: pytree of parameters.
        memory: curvature pairs of earlier steps.
        problem: loss, divergence and mean over devices.
        config: settings of the step.

    Returns:
        the new parameters, the new curvature pairs, and metrics.  The parameters stay the same if no
        candidate lowers the loss inside the trust region.
    """
    old, old_loss, natural, memory = _natural_direction(params, memory, problem, config)

    def candidate(length: Array) -> tuple[Params, Array, Array]:
        moved = optax.tree.add_scale(params, -length, natural.direction)
        new = problem.outputs(moved)
        return moved, *problem.mean((problem.loss(moved, new), problem.divergence(old, new)))

    longest = jnp.sqrt(2 * config.max_divergence / jnp.maximum(natural.curvature, 1e-12))
    moved, new_loss, distance, accepted = _line_search(
        candidate, params, old_loss, longest, config.max_divergence
    )
    return (
        moved,
        memory,
        Info(
            loss=old_loss,
            improvement=jnp.where(accepted, old_loss - new_loss, 0.0),
            divergence=jnp.where(accepted, distance, 0.0),
            accepted=accepted.astype(jnp.float32),
            cg_residual=natural.residual,
        ),
    )


class _NaturalGradient(NamedTuple):
    """The natural gradient x = F^-1 g."""

    direction: Params  # x
    curvature: Array  # []  x^T F x
    residual: Array  # []  |F x - g| / |g|


def _natural_direction(
    params: Params,
    memory: CurvaturePairs | None,
    problem: Problem,
    config: Config,
) -> tuple[Any, Array, _NaturalGradient, CurvaturePairs | None]:
    """Outputs and loss at `params`, the natural gradient there, and the new curvature pairs."""
    from jax.flatten_util import ravel_pytree  # lazily, as all of jax

    mean = problem.mean
    old, jvp = jax.linearize(problem.outputs, params)
    transpose = jax.linear_transpose(jvp, params)

    def vjp(cotangent: Any) -> Params:
        return transpose(cotangent)[0]

    old_loss, (direct, through) = jax.value_and_grad(problem.loss, argnums=(0, 1))(params, old)
    old_loss, gradient = mean((old_loss, optax.tree.add(direct, vjp(through))))

    flat, unravel = ravel_pytree(gradient)

    def fisher_product(vector: Array) -> Array:
        slope = jax.grad(lambda new: problem.divergence(old, new))
        curved = jax.jvp(slope, (old,), (jvp(unravel(vector)),))[1]
        return ravel_pytree(mean(vjp(curved)))[0] + config.cg_damping * vector

    # a gradient of exactly 0 means no dependence, as of latents of tasks outside the batch: no step there
    active = (flat != 0.0).astype(flat.dtype)
    direction, residual, memory = conjugate_gradient.solve(
        fisher_product, flat, config.cg_iterations, memory, active
    )
    curvature = direction @ (flat - residual)  # F x = g - r
    relative = jnp.linalg.norm(residual) / (jnp.linalg.norm(flat) + 1e-20)
    return old, old_loss, _NaturalGradient(unravel(direction), curvature, relative), memory


def _line_search(
    candidate: Callable[[Array], tuple[Params, Array, Array]],
    params: Params,
    old_loss: Array,
    longest: Array,
    max_divergence: float,
) -> tuple[Params, Array, Array, Array]:
    """The longest candidate that lowers the loss inside the trust region (backtracking).

    `candidate(length)` returns parameters, their loss [] and their divergence [].

    Returns:
        parameters, loss [], divergence [], and whether a candidate was accepted [] bool.
    """

    def accept(new_loss: Array, distance: Array) -> Array:
        return (new_loss < old_loss) & (distance <= max_divergence)

    def searching(carry: tuple) -> Array:
        count, _, new_loss, distance = carry
        return ~accept(new_loss, distance) & (count < MAX_SHRINKS - 1)

    def next_candidate(carry: tuple) -> tuple:
        count = carry[0] + 1
        return (count, *candidate(longest * SHRINK**count))

    infinite = jnp.full_like(old_loss, jnp.inf)
    start = (jnp.int32(-1), params, infinite, infinite)
    _, moved, new_loss, distance = jax.lax.while_loop(searching, next_candidate, start)
    accepted = accept(new_loss, distance)
    moved = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), moved, params)
    return moved, new_loss, distance, accepted
