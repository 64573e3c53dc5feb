import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.meta_gradient import conjugate_gradient
from hmrl_cli.meta_gradient.conjugate_gradient import CurvaturePairs

solve = jax.jit(conjugate_gradient.solve, static_argnums=(0, 2))

RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(8, 8)).astype(np.float32)
MATRIX, TARGET = ROOT @ ROOT.T + np.eye(8, dtype=np.float32), RNG.normal(size=8).astype(np.float32)


def product(vector):
    return MATRIX @ vector


@pytest.mark.parametrize("pairs", [0, 5])
def test_solves_a_dense_system(pairs):
    memory = conjugate_gradient.no_pairs(8, pairs)
    solution, rest, memory = solve(product, TARGET, 20, memory)
    np.testing.assert_allclose(rest, TARGET - MATRIX @ solution, atol=1e-3)
    np.testing.assert_allclose(solution, np.linalg.solve(MATRIX, TARGET), rtol=1e-3, atol=1e-4)
    assert [leaf.shape for leaf in jax.tree.leaves(memory)] == [(pairs, 8)] * 2 * (pairs > 0)


def test_stands_still_at_the_solution():
    memory = conjugate_gradient.no_pairs(2, 3)
    solution, _, memory = solve(lambda v: 2 * v, jnp.array([2.0, 4.0]), 50, memory)
    np.testing.assert_allclose(solution, [1.0, 2.0], rtol=1e-6)
    again, _, _ = solve(lambda v: 2 * v, jnp.array([2.0, 4.0]), 50, memory)
    np.testing.assert_allclose(again, [1.0, 2.0], rtol=1e-6)
    nothing = solve(lambda v: v, jnp.zeros(3), 5, conjugate_gradient.no_pairs(3, 2))
    assert not any(leaf.any() for leaf in jax.tree.leaves(nothing))


def test_remembers_the_newest_products_first():
    _, _, memory = solve(product, TARGET, 3, conjugate_gradient.no_pairs(8, 4))
    np.testing.assert_allclose(memory.image[:3], memory.direction[:3] @ MATRIX, rtol=1e-4, atol=1e-4)
    assert memory.direction[:3].any(axis=1).all() and not memory.direction[3].any()
    np.testing.assert_array_equal(memory.direction[2], TARGET)  # where plain conjugate gradients begin
    _, _, later = solve(product, TARGET, 1, memory)
    np.testing.assert_array_equal(later.direction[1:], memory.direction[:3])


def test_earlier_curvature_pairs_do_not_move_masked_coordinates():
    memory = solve(product, TARGET, 3, conjugate_gradient.no_pairs(8, 4))[2]
    free = np.array([1, 1, 0, 1, 0, 1, 1, 1], np.float32)
    solution, _, _ = solve(product, free * TARGET, 12, memory, free)
    among = free.astype(bool)
    assert not solution[~among].any()
    expected = np.linalg.solve(MATRIX[np.ix_(among, among)], TARGET[among])
    np.testing.assert_allclose(solution[among], expected, rtol=1e-3, atol=1e-4)


def test_the_preconditioner_is_limited_memory_bfgs():
    """Against the product form of the inverse, H = V^T H V + s s^T / (s^T y) from the oldest pair on."""
    directions = np.random.default_rng(2).normal(size=(3, 8)).astype(np.float32)
    memory = CurvaturePairs(jnp.array(directions), jnp.array(directions @ MATRIX))
    newest, image = np.float64(directions[0]), np.float64(MATRIX @ directions[0])
    inverse = np.eye(8) * (newest @ image) / (image @ image)
    for s in np.float64(directions[::-1]):
        y = MATRIX @ s
        v = np.eye(8) - np.outer(y, s) / (s @ y)
        inverse = v.T @ inverse @ v + np.outer(s, s) / (s @ y)
    found = jax.vmap(conjugate_gradient.precondition, in_axes=(None, 0))(memory, jnp.eye(8))
    np.testing.assert_allclose(found, inverse, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found @ image, newest, rtol=1e-3, atol=1e-3)  # exact along the newest pair


def test_what_is_remembered_saves_products():
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(30, 30)))[0].astype(np.float32)
    matrix, target = (basis * np.logspace(-2, 1, 30)) @ basis.T, rng.normal(size=30)
    matrix, target = matrix.astype(np.float32), target.astype(np.float32)
    memory = conjugate_gradient.no_pairs(30, 30)
    errors = []
    for _ in range(4):
        solution, _, memory = solve(lambda v: matrix @ v, target, 8, memory)
        errors.append(np.linalg.norm(matrix @ solution - target) / np.linalg.norm(target))
    assert errors[3] < 0.1 * errors[0]
