import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.compute.devices import in_shares, side_by_side


@pytest.mark.skipif(len(jax.devices()) < 2, reason="run by the test below, which gives it two devices")
def test_rows_are_spread_over_devices_and_come_back_in_order():
    def run(shared, number):
        draw = jax.random.normal(jax.random.key(number), (2, 3))
        return {"sum": shared + number, "draw": draw, "less": draw < 0, "one": draw[0, 0] < 0}

    for rows in (6, 3):  # three rows do not go into two halves: one device runs them all
        numbers = jnp.arange(rows)
        spread = jax.jit(lambda numbers: side_by_side(run, jnp.int32(10), numbers))(numbers)
        expected = jax.jit(jax.vmap(run, in_axes=(None, 0)))(jnp.int32(10), numbers)
        assert len(spread["sum"].devices()) == (2 if rows == 6 else 1)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), spread, expected)


@pytest.mark.skipif(len(jax.devices()) < 2, reason="run by the test below, which gives it two devices")
def test_shares_of_two_devices_make_one_mean():
    def run(mean, shared, number):
        whole = mean({"sum": jnp.sum(number), "of": jnp.stack([shared, jnp.float32(len(number))])})
        return whole["sum"], whole["of"]

    found = jax.jit(lambda n: in_shares(run, jnp.float32(5), n))(jnp.arange(6.0))
    assert float(found[0]) == 7.5 and found[1].tolist() == [5, 3]
    found = jax.jit(lambda n: in_shares(run, jnp.float32(5), n))(jnp.arange(3.0))  # one device has all
    assert float(found[0]) == 3 and found[1].tolist() == [5, 3]


SHARED_TASKS = "meta_gradient/test_learner.py::test_devices_that_share_the_tasks_take_the_step_of_one"


def on_two_devices(*tests):
    """Run tests of this folder in a process that has two devices."""
    paths = [str(Path(__file__).parent.parent / test) for test in tests]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *paths]
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "skipped" not in done.stdout, done.stdout + done.stderr


def test_episodes_are_spread_over_devices():
    on_two_devices(
        "compute/test_devices.py::test_rows_are_spread_over_devices_and_come_back_in_order",
        "compute/test_devices.py::test_shares_of_two_devices_make_one_mean",
        "learning/test_ppo.py::test_devices_that_share_a_minibatch_take_the_step_of_one",
        "compute/test_epochs.py::test_seeds_that_have_a_device_each_are_the_same",
    )


@pytest.mark.slow
def test_steps_are_shared_and_a_run_on_two_devices_resumes_exactly():
    on_two_devices(
        f"{SHARED_TASKS}[maesn-trust_region-True]",
        f"{SHARED_TASKS}[maml-clipped-False]",
        "runner/test_train.py::test_a_run_that_died_ends_as_one_that_never_did[diayn_ppo]",
    )
