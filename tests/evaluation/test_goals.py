"""What skills cover, and the goals that they reach without learning about them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.evaluation import goals
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.schema import Diagnosis
from hmrl_cli.types import Continuous, SkillLearner, SkillLibrary
from tests import toys

DIRECTIONS = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
TASK = jnp.zeros(2)


def walker():
    """A walk of ten steps of 0.3 at most, from the middle of a cell."""
    family = toys.walker(10)

    def reset(key, task):
        start = family.reset(key, task)
        return start._replace(body=jnp.full(2, 0.5), obs=jnp.full(2, 0.5))

    return family._replace(reset=reset)


def straight(skills=toys.straight, discriminate=None, **parts):
    return SkillLearner(None, None, 1, lambda state: state, skills, discriminate, **parts)


def measured(measure, learner, **settings):
    settings = Diagnosis(**settings)
    return jax.jit(
        lambda key: measure(key, walker(), learner, DIRECTIONS, TASK, settings, deterministic=True)
    )(jax.random.key(0))


def test_cells_are_counted_by_hand():
    """From 0.5 to 3.5 and to -2.5 along both axes: three more cells in each direction."""
    learner = straight()
    assert measured(goals.coverage, learner, random_skills=48)["state_coverage"] == 1 + 4 * 3
    first = straight(draw=lambda key, count: jnp.zeros(count, jnp.int32))
    # x = 0.5, 0.8, ... 3.5 in cells of 0.6: 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5
    assert measured(goals.coverage, first, random_skills=48, cell=0.6)["state_coverage"] == 6


def test_a_body_in_a_vertical_plane_covers_a_line():
    """Its height does not count."""
    planar = walker()._replace(upright=True)
    learner, settings = straight(), Diagnosis(random_skills=48)
    args = (jax.random.key(0), planar, learner, DIRECTIONS, TASK, settings, True)
    assert goals.coverage(*args)["state_coverage"] == 1 + 2 * 3


def along(params):
    """Skills that walk along a vector."""

    def policy(params, obs, skill):
        return Gaussian(skill, jnp.full(2, -5.0))

    return SkillLibrary(policy, params, Continuous(2), DIRECTIONS)


def places(params):
    """Skills that walk to a place in half the units of the family."""

    def policy(params, obs, skill):
        return Gaussian((2 * skill - obs) / 0.3, jnp.full(2, -5.0))

    return SkillLibrary(policy, params, Continuous(2), DIRECTIONS, lambda params, obs: obs / 2)


def toward(state, obs, goal):
    return (goal - obs) / jnp.linalg.norm(goal - obs)


@pytest.mark.parametrize(
    ("learner", "farthest"), [(straight(along, toward=toward), 0.3), (straight(places), 1e-3)]
)
def test_skills_are_named_for_goals_at_every_step(learner, farthest):
    numbers = measured(goals.zero_shot, learner, goals=20, goal_range=1.5, near=0.4)
    assert numbers["goal_arrived"] == numbers["goal_reached"] == 1
    assert (
        numbers["goal_named"] > 1
        and numbers["goal_distance"] < farthest
        and 0.3 < numbers["goal_stays"] < 0.9
    )


def test_skills_that_a_position_does_not_name():
    """Such as those that are speeds: every goal has the same one."""
    blind = straight(along, toward=lambda state, obs, goal: jnp.array([1.0, 0.0]))
    assert measured(goals.zero_shot, blind, goals=20)["goal_named"] == 0


def test_goals_of_skills_that_cannot_be_named():
    learner = straight(along)
    assert (
        goals.zero_shot(jax.random.key(0), walker(), learner, DIRECTIONS, TASK, Diagnosis(goals=3), True)
        == {}
    )


def test_of_n_skills_the_one_that_explains_a_step_to_the_goal_is_named():
    def discriminate(state, obs):
        return jax.nn.log_softmax((obs[..., 1:, :] - obs[..., :1, :]) @ state.T)

    learner = straight(discriminate=discriminate)
    name = goals.skill_for(learner, DIRECTIONS, learner.skills(DIRECTIONS))
    named = jax.jit(jax.vmap(lambda way: name(jnp.ones(2), 1 + 3 * way)))(DIRECTIONS)
    np.testing.assert_array_equal(named, [0, 1, 2, 3])


def test_only_the_position_of_a_goal_moves():
    features = {"xy": lambda obs: 2 * obs[..., 2:0:-1]}  # a multiple, in another order
    family = toys.walker()._replace(features=features, obs_size=4)
    move = jax.jit(lambda obs, place: goals.moved(family, obs, place))
    obs = move(jnp.array([7.0, 1.0, 2.0, 8.0]), jnp.array([-4.0, 6.0]))
    np.testing.assert_allclose(obs, [7.0, 3.0, -2.0, 8.0], rtol=1e-5)
