import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.bonuses import counts
from tests import toys
from tests.bonuses.steps import leading_to


def visit(bonus, state, places, valid=1.0):
    steps = leading_to([places])
    return jax.jit(bonus.learn)(jax.random.key(9), state, steps._replace(valid=valid * steps.valid))


def ask(bonus, state, *places):
    return jax.jit(bonus.reward)(state, leading_to([places]))[0]


@pytest.mark.parametrize("code", ["grid", "simhash"])
def test_the_bonus_is_one_over_the_root_of_the_visits(code):
    """Tang et al. 2017, eq. 1, with the visit asked about counted too."""
    bonus = counts.make(counts.Config(code=code, cell=0.5), toys.walker())
    state = jax.jit(bonus.init)(jax.random.key(0))
    np.testing.assert_allclose(ask(bonus, state, [0.1, 0.1], [3.0, -3.0]), 1.0)
    state, metrics = visit(bonus, state, [[0.1, 0.1]] * 3 + [[3.0, -3.0]])
    np.testing.assert_allclose(ask(bonus, state, [0.1, 0.1], [3.0, -3.0]), [4**-0.5, 2**-0.5])
    assert metrics["visited_codes"] == 2 and metrics["new_states"] == 1
    state, metrics = visit(bonus, state, [[0.1, 0.1], [-3.0, -3.0]])
    np.testing.assert_allclose(ask(bonus, state, [0.1, 0.1], [-3.0, -3.0]), [5**-0.5, 2**-0.5])
    assert metrics["visited_codes"] == 3 and metrics["new_states"] == 0.5


def test_steps_after_an_end_are_not_counted():
    bonus = counts.make(counts.Config(), toys.walker())
    state, metrics = visit(bonus, bonus.init(jax.random.key(0)), [[0.1, 0.1]], valid=0.0)
    assert ask(bonus, state, [0.1, 0.1]) == 1 and metrics["visited_codes"] == 0


def test_a_cell_of_the_grid_is_as_large_as_it_says():
    bonus = counts.make(counts.Config(cell=0.5), toys.walker())
    state, _ = visit(bonus, bonus.init(jax.random.key(0)), [[0.01, -0.01]])
    same, beside, above, far = ask(bonus, state, [0.49, -0.49], [0.51, -0.1], [0.1, 0.01], [60.0, -60.0])
    assert same < 1 and beside == above == far == 1


def test_simhash_is_fixed_by_its_key_and_tells_far_states_apart():
    bonus = counts.make(counts.Config(code="simhash", cell=0.5, observe="identity"), toys.walker())
    places = np.random.default_rng(0).normal(size=(50, 2))
    one, again, other = (visit(bonus, bonus.init(jax.random.key(k)), places)[0].table for k in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any() and one.sum() == 50
    state, _ = visit(bonus, bonus.init(jax.random.key(0)), [[1.0, 1.0]])
    near, far, opposite = ask(bonus, state, [1.0001, 1.0], [0.2, 0.2], [-1.0, -1.0])
    assert near < 1 and far == opposite == 1  # another distance in the same direction is another code


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"bonus.observe: walker has no feature 'speed', only identity, xy"):
        counts.make(counts.Config(observe="speed"), toys.walker())
    with pytest.raises(
        ValueError, match=r"bonus.bits: found 16; a grid .* 20 numbers, needs bonus.code = \"sim"
    ):
        counts.make(counts.Config(observe="identity"), toys.chain())
    assert counts.make(counts.Config(observe="identity", code="simhash"), toys.chain()).weight == 0.1


def test_an_index_stays_in_the_table_wherever_the_state_is():
    bonus = counts.make(counts.Config(bits=7), toys.walker())
    state, metrics = visit(bonus, bonus.init(jax.random.key(0)), [[1e30, -1e30], [-7.3, 1e9]])
    assert state.table.sum() == 2 and metrics["visited_codes"] == 2
    assert jnp.isfinite(ask(bonus, state, [1e30, 0.0])).all()
