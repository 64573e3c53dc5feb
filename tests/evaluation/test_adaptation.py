from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.meta import maesn, pearl, rl2
from hmrl_cli.algorithms.scratch import ppo, sac
from hmrl_cli.config import plugins
from hmrl_cli.evaluation import adaptation
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import Adaptation
from tests import toys
from tests.evaluation.learners import fake_learner

TASKS = jnp.array([[1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]])


def test_reference_lines_are_rolled_out():
    family = toys.walker(horizon=10)
    lines = adaptation.reference_lines(family, TASKS)
    # it starts within a few hundredths of the origin, a distance of 1 from every task
    np.testing.assert_allclose(lines["flat"], -10, atol=0.2)
    # 0.7, 0.4, 0.1 and then there
    np.testing.assert_allclose(lines["feasible"], -1.2, atol=0.1)
    np.testing.assert_allclose(np.mean(lines["per_task"]["feasible"]), lines["feasible"], rtol=1e-6)
    assert lines["feasible_success"] == lines["feasible_reached"] == 1 and len(lines["per_task"]["flat"]) == 3
    assert lines["flat_success"] == lines["flat_reached"] == 0


def test_doing_nothing_may_meet_the_goal():
    """Which lies where it starts; or on its way, when it drifts."""
    still = toys.walker(horizon=8)
    lines = adaptation.reference_lines(still, jnp.array([[0.0, 0.0], [1.0, 0.0]]))
    assert lines["flat_success"] == lines["flat_reached"] == 0.5
    drifting = still._replace(
        step=lambda state, action, task: still.step(state, action + jnp.array([1.0, 0]), task)
    )
    lines = adaptation.reference_lines(drifting, jnp.array([[1.2, 0.0], [1.2, 0.0]]))
    assert (lines["flat_success"], lines["flat_reached"]) == (0, 1)


def test_a_find_is_a_fifth_of_what_knowing_the_task_is_worth():
    family = toys.walker(horizon=10)
    refit = Evaluation(rule="refit")
    found = adaptation.calibrated(refit, family)
    assert found.least_gain == pytest.approx((10 - 1.2) / 5, abs=0.1)
    assert found.model_copy(update={"least_gain": None}) == refit
    given = Evaluation(rule="refit", least_gain=0.0)
    assert adaptation.calibrated(given, family) == given
    assert adaptation.calibrated(Evaluation(), family) == Evaluation()
    assert adaptation.calibrated(refit, family._replace(controller=None)) == refit
    away = family._replace(controller=lambda state, task: -family.controller(state, task))
    assert adaptation.calibrated(refit, away) == refit  # knowing the task is worth nothing


def test_curves_keep_seeds_tasks_and_updates_apart():
    keys = jax.random.split(jax.random.key(0), 2)
    curves = adaptation.adaptation_curves(
        keys, fake_learner, jnp.array([0.0, 1.0]), None, TASKS, Evaluation(adapt_steps=2, episodes=4)
    )
    assert curves.returned.shape == (2, 3, 3) and curves.success.shape == (2, 3, 3)
    np.testing.assert_array_equal(curves.returned[1, 0], [110, 111, 112])
    np.testing.assert_array_equal(curves.returned[0, 2], [-10, -9, -8])


@pytest.mark.parametrize(
    "way",
    [
        {"rule": "refit", "imitation_steps": 2, "late_fallback": 0.5, "tune_after": 1, "step_decay": 0.5},
        {"rule": "relabel", "relabel": {"broad": 0.2, "noise": 1.0, "sight": 0.1}},
    ],
    ids=lambda way: way["rule"],
)
def test_one_program_serves_other_tasks_and_other_numbers(way):
    """A program holds what is not an argument: then its text would differ."""
    learner = plugins.load("algorithms", "maesn").make(maesn.Config(hidden=(4,)), toys.placed(2))
    keys = jax.random.split(jax.random.key(0), 1)
    state = jax.vmap(learner.init)(keys)

    def program(tasks, **numbers):
        budget = Evaluation(adapt_steps=2, episodes=2, fallback=0.5, least_gain=1.0, **way)
        budget = budget.model_copy(update=numbers)
        run = adaptation.adaptation_program(lambda skills: learner, budget)
        return run.lower(keys, state, None, tasks, adaptation.numbers_of(budget)).as_text()

    first = program(TASKS)
    assert program(-TASKS, fallback=0.3, least_gain=2.0, selectivity=3.0, latent_std=0.5) == first
    assert program(TASKS, fallback=0.0) != first


LEARNERS = {
    "ppo": ppo.Config(),
    "rl2": rl2.Config(memory_size=4),
    "sac": sac.Config(),
    "pearl": pearl.Config(num_train_tasks=10, buffer_capacity=200),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in ("rl2", "pearl") else []) for name in LEARNERS],
)
def test_a_policy_may_be_measured_by_its_most_likely_actions(name):
    """Those of parameters that are all 0 are 0, wherever it is and whatever its latent."""
    family = toys.walker(horizon=3)
    learner = plugins.load("algorithms", name).make(LEARNERS[name], family)
    state = jax.eval_shape(learner.init, jax.random.key(0))
    still = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state)

    @partial(jax.jit, static_argnums=0)
    def measured(deterministic):
        budget = Evaluation(adapt_steps=1, episodes=4, deterministic=deterministic)
        adapted, record = learner.adapt(jax.random.key(1), still, TASKS[0], budget)
        act = learner.behaviour(jax.random.key(2), adapted, deterministic=deterministic)
        return record.returned, act(jax.random.key(3), jnp.zeros(2))[0]

    returned, action = measured(True)
    np.testing.assert_allclose(returned, [-3, -3], atol=0.1)
    np.testing.assert_array_equal(action, [0, 0])
    returned, action = measured(False)
    assert np.abs(returned + 3).max() > 0.1 and np.abs(action).min() > 0.01


LINES = {
    "flat": -9.0,
    "feasible": -2.0,
    "flat_success": 0.25,
    "per_task": {"flat": [-10.0, -8.0, -9.0], "feasible": [-2.0, -4.0, -1.0]},
}


def test_the_fraction_runs_from_flat_to_feasible_in_every_task():
    flat, feasible = (np.array(LINES["per_task"][name]) for name in ("flat", "feasible"))
    returned = np.stack([flat, 0.25 * flat + 0.75 * feasible], axis=-1)[None] + np.zeros((2, 1, 1))
    document = adaptation.curve_document(Adaptation(returned, returned > -1, returned > -1), LINES)
    assert document["fraction"] == {name: [0.0, 0.75] for name in ("mean", "low", "high", "iqm")}
    assert document["steps"] == [0, 1] and document["flat_success"] == 0.25
    assert np.shape(document["per_task"]["return"]) == (2, 3, 2)
    assert document["per_task"]["feasible"] == [-2.0, -4.0, -1.0]
    assert document["return"]["mean"] == [-9.0, pytest.approx(-4.0)]


@pytest.mark.parametrize("family", [toys.walker(horizon=4)._replace(controller=None), toys.corridor()])
def test_without_a_controller_nothing_is_known_to_be_feasible(family):
    tasks = jnp.ones((3, family.task_size))
    lines = adaptation.reference_lines(family, tasks)
    assert all(lines[name] is None for name in ("feasible", "feasible_success", "feasible_reached"))
    assert np.isfinite(lines["flat"]) and lines["flat_success"] == lines["flat_reached"] == 0
    ones = np.ones((1, 3, 2))
    document = adaptation.curve_document(Adaptation(ones, ones, ones), lines)
    assert document["fraction"] is document["feasible"] is document["per_task"]["feasible"] is None
