import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli import config, lazy
from hmrl_cli.compute import epochs
from hmrl_cli.compute.epochs import make_epoch
from hmrl_cli.compute.finite import all_finite, non_finite_leaves
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.storage import provenance
from tests import toys


def step(key, state, skills):
    """Anything that depends on key, state and skills."""
    return state + jax.random.normal(key, state.shape) * skills, {"size": jnp.abs(state).sum()}


def run(start, stop, state, seeds=(0, 1)):
    keys = epochs.streams(seeds)
    epoch = make_epoch(step, 3, len(seeds))
    reports = []

    skills = jnp.ones(len(seeds))
    state = epochs.fit(
        epoch, keys.train, state, skills, start=start, num_epochs=stop, after_epoch=reports.append
    )
    return np.asarray(state), reports, epoch


def test_half_and_half_is_the_whole_bit_for_bit():
    whole, reports, epoch = run(0, 6, jnp.zeros((2, 4)))
    assert [r.epoch for r in reports] == [1, 2, 3, 4, 5, 6] and epoch._cache_size() == 1
    half, _, _ = run(0, 3, jnp.zeros((2, 4)))
    resumed, _, _ = run(3, 6, jnp.asarray(half))
    np.testing.assert_array_equal(resumed, whole)


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_seeds_run_side_by_side_or_in_turn(count, in_turn):
    def add(key, state, skills):
        assert state.shape == (3,)
        return state + skills, {"twice": 2 * state}

    state = jnp.arange(3.0 * count).reshape(count, 3)
    keys, skills = epochs.streams(range(count)).train, jnp.arange(1.0 * count)
    program = jax.make_jaxpr(lambda *given: epochs.over_seeds(add, keys, *given, in_turn))(state, skills)
    assert ("scan" in str(program)) == (in_turn and count > 1)
    new, result = epochs.over_seeds(add, keys, state, skills, in_turn)
    np.testing.assert_array_equal(new, state + skills[:, None])
    np.testing.assert_array_equal(result["twice"], 2 * state)


def test_a_seed_is_the_same_alone_and_among_others():
    both, _, _ = run(0, 2, jnp.zeros((2, 4)), seeds=(3, 7))
    alone, _, _ = run(0, 2, jnp.zeros((1, 4)), seeds=(7,))
    np.testing.assert_array_equal(both[1], alone[0])
    assert (both[0] != both[1]).all()


@pytest.mark.skipif(len(jax.devices()) < 2, reason="run by test_devices.py, which gives it two devices")
def test_seeds_that_have_a_device_each_are_the_same():
    both, reports, _ = run(0, 3, jnp.zeros((2, 4)), seeds=(3, 7))
    assert len(reports[-1].state.devices()) == 2
    for seed, row in ((3, 0), (7, 1)):
        alone, (*_, last), _ = run(0, 3, jnp.zeros((1, 4)), seeds=(seed,))
        np.testing.assert_array_equal(both[row], alone[0])
        np.testing.assert_array_equal(reports[-1].metrics["size"][row], last.metrics["size"][0])
        assert len(last.state.devices()) == 1


def test_what_is_not_finite_is_named():
    tree = {"a": jnp.ones(3), "b": (jnp.array([1.0, jnp.nan]), jnp.array(3))}
    assert not all_finite(tree) and all_finite(tree["a"])
    assert non_finite_leaves(tree) == ["b/0"]


def test_streams_are_independent():
    keys = epochs.streams([0, 1])
    data = {bytes(np.asarray(jax.random.key_data(k))) for stream in keys for k in stream}
    assert len(data) == 6


AMBIENT = {
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 7,
    "jax_high_dynamic_range_gumbel": True,
    "jax_enable_x64": True,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_transfer_guard": "disallow",
    "jax_disable_jit": True,
}


def draws():
    """Keys of a seed and tasks of a split, as bytes."""
    keys = (np.asarray(jax.random.key_data(key)).tobytes() for key in epochs.streams([3]))
    return [*keys, np.asarray(sample_tasks(toys.walker(), "test", 4)).tobytes()]


def test_settings_of_jax_that_a_user_has_elsewhere_move_no_draw():
    expected = draws()
    with jax.default_prng_impl("rbg"):  # of a caller of the library
        assert draws() == expected
    try:
        for name, value in AMBIENT.items():
            jax.config.update(name, value)
        lazy.pin()  # as when jax is imported, and before each command
        assert draws() == expected
        assert provenance.numerics()["jax_enable_x64"] is False
    finally:
        lazy.pin()


def test_what_cannot_be_pinned_is_recorded(monkeypatch):
    resolved = config.resolve("meta-train", "point/smoke")
    before = provenance.collect(resolved, [])
    monkeypatch.setenv("OPENBLAS_MAIN_FREE", "1")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_MAX_SIZE", "1")  # moves no number
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    with jax.default_matmul_precision("bfloat16"):
        now = provenance.collect(resolved, [])
    changes = provenance.changes(before, now)
    assert "jax_default_matmul_precision" in changes and "OPENBLAS_MAIN_FREE None -> '1'" in changes
    assert changes.count("->") == 2 and now["git"] == before["git"]
    assert provenance.changes({"versions": before["versions"], "machine": None}, now) == ""
