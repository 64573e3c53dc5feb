from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.meta import pearl, rl2
from hmrl_cli.algorithms.scratch import ppo, sac
from hmrl_cli.config import plugins
from hmrl_cli.evaluation import adaptation, exploration
from hmrl_cli.evaluation.skills import _distinct_cells, run_skills, skill_diagnostics
from hmrl_cli.evaluation.tasks import sample_tasks, tasks_digest
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import Adaptation, AdaptState, MetaLearner, SkillLearner
from tests import toys

TASKS = jnp.array([[1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]])
DIRECTIONS = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


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


def test_tasks_of_a_split_are_always_the_same_and_splits_differ():
    family = toys.walker()
    test, again = (sample_tasks(family, "test", 6) for _ in range(2))
    assert tasks_digest(test) == tasks_digest(again)
    assert tasks_digest(test) != tasks_digest(sample_tasks(family, "hidden", 6))


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


def fake_learner(skills):
    """Its return is seed + task + update, so that every axis can be told."""

    def adapt(key, state, task, budget):
        steps = jnp.arange(budget.adapt_steps + 1.0)
        return AdaptState(state, None), Adaptation(100 * state + 10 * task[0] + steps, steps, steps)

    def behaviour(key, state):
        raise NotImplementedError

    return MetaLearner(lambda key: 0.0, lambda key, state: (state, {}), 1, adapt, behaviour)


def test_curves_keep_seeds_tasks_and_updates_apart():
    keys = jax.random.split(jax.random.key(0), 2)
    curves = adaptation.adaptation_curves(
        keys, fake_learner, jnp.array([0.0, 1.0]), None, TASKS, Evaluation(adapt_steps=2, episodes=4)
    )
    assert curves.returned.shape == (2, 3, 3) and curves.success.shape == (2, 3, 3)
    np.testing.assert_array_equal(curves.returned[1, 0], [110, 111, 112])
    np.testing.assert_array_equal(curves.returned[0, 2], [-10, -9, -8])


@pytest.mark.parametrize(("drawn", "noise", "share"), [(1.0, 0.5, 0.8), (0.0, 0.5, 0.0), (1.0, 0.0, 1.0)])
def test_exploration_is_structured_as_far_as_draws_decide_where_it_goes(drawn, noise, share):
    def behaviour(key, state):
        heading = drawn * jax.random.normal(key, (2,))
        # noise of eight steps against one draw that is held for all of them
        return lambda key, obs: (heading + noise * 8**0.5 * jax.random.normal(key, (2,)), 0.0)

    learner = fake_learner(None)._replace(behaviour=behaviour)
    explored = partial(exploration.explored, draws=64, episodes=8)
    numbers, paths = jax.jit(lambda key: explored(key, learner, unclipped(), 0.0, TASKS[0]))(
        jax.random.key(0)
    )
    assert paths.shape == (64, 8, 9, 2)
    ends = paths[:, :, -1]
    assert abs(numbers["share_of_draws"] - share) < 0.1  # drawn**2 / (drawn**2 + noise**2)
    np.testing.assert_allclose(numbers["end_spread"] ** 2, ends.var(axis=(0, 1)).sum(), rtol=1e-5)


LEARNERS = {
    "ppo": ppo.Config(),
    "rl2": rl2.Config(memory_size=4),
    "sac": sac.Config(),
    "pearl": pearl.Config(num_train_tasks=10, buffer_capacity=200),
}


@pytest.mark.parametrize("name", LEARNERS)
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


def test_skills_may_be_run_by_their_most_likely_actions():
    library = toys.straight(DIRECTIONS, 0.5)

    @partial(jax.jit, static_argnums=0)
    def run(deterministic):
        return run_skills(
            jax.random.key(0), toys.walker(5), library, TASKS[0], 3, deterministic=deterministic
        )

    steps = {mode: run(mode) for mode in (True, False)}
    walked = {mode: found.obs[:, :, -1] - found.obs[:, :, 0] for mode, found in steps.items()}
    np.testing.assert_allclose(walked[True], jnp.repeat(1.5 * DIRECTIONS[:, None], 3, axis=1), atol=1e-5)
    assert np.abs(walked[False] - walked[True]).max() > 0.1
    surprise = -steps[True].log_prob.mean()  # of draws all the same: the entropy of the policy
    np.testing.assert_allclose(surprise, np.log(2 * np.pi * np.e * 0.25), atol=0.5)


def unclipped():
    """A point that goes wherever it is sent in eight steps."""
    family = toys.walker(horizon=8)

    def step(state, action, task):
        place = state.body + action
        return state._replace(body=place, obs=place)

    return family._replace(step=step)


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


def diagnose(directions):
    """Diagnostics of skills that walk straight, under a discriminator that goes by direction."""
    family = toys.walker(horizon=10)

    def discriminate(state, obs):
        return jax.nn.log_softmax(20 * obs[..., 1:, :] @ DIRECTIONS.T)

    library = toys.straight(directions, std=1e-3)
    learner = SkillLearner(None, None, 1, lambda state: state, lambda params: library, discriminate)
    return skill_diagnostics(jax.random.key(0), family, learner, directions, TASKS[0], num_episodes=3)


def test_skills_that_part_are_seen_to_part():
    numbers, paths, films = diagnose(DIRECTIONS)
    assert paths.shape == (4, 3, 11, 2) and films.reward.shape == (4, 11)
    assert numbers["accuracy"] == 1
    np.testing.assert_allclose(numbers["mutual_information"], np.log(4), rtol=0.02)
    np.testing.assert_allclose(numbers["effective_skills"], 4, rtol=0.02)
    np.testing.assert_allclose(numbers["displacement"], 3, atol=0.1)
    entropy = 2 * (np.log(1e-3) + 0.5 * np.log(2 * np.pi * np.e))
    np.testing.assert_allclose(numbers["action_entropy"], entropy, atol=0.3)
    np.testing.assert_allclose(jnp.abs(numbers["direction"]), [0, np.pi / 2, np.pi, np.pi / 2], atol=0.05)


def test_skills_that_are_one_are_seen_to_be_one():
    numbers, _, _ = diagnose(jnp.tile(DIRECTIONS[:1], (4, 1)))
    assert numbers["accuracy"] == 0.25 and numbers["effective_skills"] < 1.2
    assert numbers["mutual_information"] < 0 and numbers["end_spread"].max() < 0.1


def test_coverage_counts_cells_once():
    places = jnp.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.1], [-0.1, 0.1], [0.1, 0.12]])
    assert _distinct_cells(places, 0.25) == 3
