import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli import loop


def step(key, state, skills):
    """Anything that depends on key, state and skills."""
    return state + jax.random.normal(key, state.shape) * skills, {"size": jnp.abs(state).sum()}


def run(start, stop, state, seeds=(0, 1)):
    keys = loop.streams(seeds)
    epoch = loop.make_epoch(step, 3, len(seeds))
    reports = []

    skills = jnp.ones(len(seeds))
    state = loop.fit(
        epoch, keys.train, state, skills, start=start, num_epochs=stop, after_epoch=reports.append
    )
    return np.asarray(state), reports, epoch


def test_half_and_half_is_the_whole_bit_for_bit():
    whole, reports, epoch = run(0, 6, jnp.zeros((2, 4)))
    assert [r.epoch for r in reports] == [1, 2, 3, 4, 5, 6] and epoch._cache_size() == 1
    half, _, _ = run(0, 3, jnp.zeros((2, 4)))
    resumed, _, _ = run(3, 6, jnp.asarray(half))
    np.testing.assert_array_equal(resumed, whole)


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
    assert not loop.all_finite(tree) and loop.all_finite(tree["a"])
    assert loop.non_finite_leaves(tree) == ["b/0"]


def test_streams_are_independent():
    keys = loop.streams([0, 1])
    data = {bytes(np.asarray(jax.random.key_data(k))) for stream in keys for k in stream}
    assert len(data) == 6
