"""Diagnostics of skills."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from hmrl_cli.compute.finite import check_finite
from hmrl_cli.evaluation.skills import arrivals, distinct_cells, run_skills, skill_diagnostics
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.types import Continuous, SkillLearner, SkillLibrary
from tests import toys

TASKS = jnp.array([[1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]])
DIRECTIONS = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


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


def diagnose(directions):
    """Diagnostics of skills that walk straight, under a discriminator that goes by direction."""
    family = toys.walker(horizon=10)

    def discriminate(state, obs):
        return jax.nn.log_softmax(20 * obs[..., 1:, :] @ DIRECTIONS.T)

    def skills(params):
        return toys.straight(params, std=1e-3)

    learner = SkillLearner(None, None, 1, lambda state: state, skills, discriminate)
    run = jax.jit(
        lambda directions: skill_diagnostics(
            jax.random.key(0), family, learner, directions, TASKS[0], num_episodes=3
        )
    )
    return run(directions)


def test_skills_that_part_are_seen_to_part():
    numbers, paths, frames = diagnose(DIRECTIONS)
    assert paths.shape == (4, 3, 11, 2) and frames.reward.shape == (4, 11)
    assert numbers["accuracy"] == 1
    np.testing.assert_allclose(numbers["mutual_information"], np.log(4), rtol=0.02)
    np.testing.assert_allclose(numbers["effective_skills"], 4, rtol=0.02)
    np.testing.assert_allclose(numbers["displacement"], 3, atol=0.1)
    entropy = 2 * (np.log(1e-3) + 0.5 * np.log(2 * np.pi * np.e))
    np.testing.assert_allclose(numbers["action_entropy"], entropy, atol=0.3)
    np.testing.assert_allclose(jnp.abs(numbers["direction"]), [0, np.pi / 2, np.pi, np.pi / 2], atol=0.05)
    assert not {"place", "arrived", "time_to_arrive", "stays"} & {*numbers}  # these are no places


def test_skills_that_are_one_are_seen_to_be_one():
    numbers, _, _ = diagnose(jnp.tile(DIRECTIONS[:1], (4, 1)))
    assert numbers["accuracy"] == 0.25 and numbers["effective_skills"] < 1.2
    assert numbers["mutual_information"] < 0 and numbers["end_spread"].max() < 0.1


def test_coverage_counts_cells_once():
    places = jnp.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.1], [-0.1, 0.1], [0.1, 0.12]])
    assert distinct_cells(places, 0.25) == 3


PLACES = jnp.array([[0.5, 0.0], [0.0, -1.0]])


def library_of_places(places=PLACES):
    """Skills that walk to a place in steps of up to 0.3; a skill unit is 2 length units."""

    def policy(params, obs, skill):
        return Gaussian((2 * skill - obs) / 0.3, jnp.full(2, jnp.log(1e-3)))

    return SkillLibrary(policy, {}, Continuous(2), places, lambda params, obs: obs / 2)


def test_arrivals_are_counted_in_skill_units():
    """Of two skills, two episodes of four steps each."""
    near, far = 0.29, 0.31  # length units from the place: 0.145 and 0.155 skill units
    away = jnp.array(
        [
            [[0.0, far, near, far, near], [0.0, far, far, far, near]],  # the reset does not count
            [[far, near, near, far, far], [far, far, far, near, near]],
        ]
    )
    obs = 2 * PLACES[:, None, None] + away[..., None] * jnp.array([0.6, -0.8])
    done = jnp.zeros((2, 2, 5), bool).at[1, 1, 3:].set(True)  # falls at its third step, at the place
    done = done.at[0, 1, 4].set(True)  # falls at its last step, at the place
    numbers = arrivals(library_of_places(), obs, done)
    np.testing.assert_allclose(numbers["arrived"], [0.5, 0.0])
    np.testing.assert_allclose(numbers["time_to_arrive"], [3.0, 2.0])
    np.testing.assert_allclose(numbers["stays"], [1 / 2, 1 / 3])
    numbers = arrivals(library_of_places(), obs + 9.0, done)  # none gets there
    for name, value in (("arrived", 0), ("time_to_arrive", 4), ("stays", 0)):
        np.testing.assert_array_equal(numbers[name], value)


def test_skills_that_are_places_are_seen_to_arrive():
    learner = SkillLearner(
        None, None, 1, lambda state: state, lambda _: library_of_places(), lambda _, obs: 0 * obs[..., 1:, :]
    )
    numbers, _, _ = jax.jit(
        lambda key: skill_diagnostics(key, toys.walker(10), learner, {}, TASKS[0], num_episodes=3)
    )(jax.random.key(0))
    np.testing.assert_array_equal(numbers["place"], PLACES)
    np.testing.assert_array_equal(numbers["arrived"], 1)
    np.testing.assert_allclose(numbers["time_to_arrive"], [3, 6])  # 0.9 of 1, 1.8 of 2
    np.testing.assert_array_equal(numbers["stays"], 1)
    assert check_finite(**{name: np.asarray(value) for name, value in numbers.items()}) is None
