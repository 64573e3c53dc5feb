"""DADS: what it pays, in any units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.skills import dads
from hmrl_cli.learning import moments
from tests.algorithms.skills.objectives import QUICK, WALKER, objective, walks
from tests.algorithms.skills.test_diayn import train


def test_dads_pays_by_bayes_rule_where_all_skills_are_asked():
    goal, state = objective(dads, skills="discrete", skill_size=4)
    skills = jnp.array([0, 1, 2, 3])
    path, valid = walks(skills), jnp.ones((4, 10))
    reward, _ = jax.jit(goal.reward)(jax.random.key(0), state, skills, path, valid)
    log_q = jax.jit(goal.log_q)(state, path)
    own = jnp.stack([log_q[z, :, z] for z in range(4)])
    np.testing.assert_allclose(reward[..., 0], own + np.log(4), atol=1e-5)
    assert (reward <= np.log(4)).all()


@pytest.mark.parametrize("unit", [1.0, 1e-4])
def test_dads_pays_alike_in_any_units(unit):
    goal, state = objective(dads, samples=5)
    changed = moments.absorb(moments.initial(2), unit * walks(jnp.arange(4)), jnp.ones((4, 11)))
    state = state._replace(changed=changed)
    skills = goal.space.draw(jax.random.key(1), 3)
    steps = goal.reward.__self__._steps(skills, walks(skills, 2), jnp.ones((3, 10)))
    found = goal.reward.__self__._log_likelihood(
        state.dynamics.params, state, steps._replace(change=changed.mean + jnp.sqrt(changed.variance))
    )
    plain = state._replace(changed=moments.initial(2))
    expected = goal.reward.__self__._log_likelihood(
        state.dynamics.params, plain, steps._replace(change=jnp.ones(2))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_dads_pays_at_most_log_of_the_number_asked():
    goal, state = objective(dads, samples=5)
    skills = goal.space.draw(jax.random.key(1), 4)
    reward, _ = jax.jit(goal.reward)(jax.random.key(0), state, skills, walks(skills), jnp.ones((4, 10)))
    assert reward.shape == (4, 10, 1) and (reward < np.log(6)).all()
    assert np.abs(reward).max() > 1e-3


def test_dads_pays_nothing_where_the_next_change_is_known_without_the_skill():
    """Closed forms: what moves by its velocity, which is its skill, under models that know all they can."""
    features = {"identity": lambda o: o, "xy": lambda o: o[..., :2], "velocity": lambda o: o[..., 2:]}
    family = WALKER._replace(features=features, obs_size=4)
    skills = jnp.array([[0.6, -0.2], [-0.9, 0.5], [0.1, 0.8]])
    place = jnp.arange(11.0)[:, None] * skills[:, None]
    path = jnp.concatenate([place, jnp.broadcast_to(skills[:, None], place.shape)], axis=-1)
    nothing = jnp.zeros((2, 2))
    # the linear model's kernel, which sees what q conditions on and then the skill: one of them suffices
    kernels = {"velocity": [jnp.eye(2), nothing], "xy": [nothing, jnp.eye(2)]}
    others = dads.make(dads.Config(**QUICK), family).step.__self__.objective.space.draw(jax.random.key(1), 5)
    apart = jnp.sum((skills[:, None] - others) ** 2, axis=-1)
    for condition, kernel in kernels.items():
        goal, state = objective(dads, family, observe="velocity", condition=condition, hidden=(), samples=5)
        params = jax.tree.map(jnp.zeros_like, state.dynamics.params)
        params["layers_0"] |= {"kernel": jnp.concatenate(kernel)}
        state = state._replace(dynamics=state.dynamics._replace(params=params))
        reward, _ = jax.jit(goal.reward)(jax.random.key(1), state, skills, path, jnp.ones((3, 10)))
        worth = jnp.log(6) - jnp.log(1 + jnp.exp(-apart / 2).sum(axis=-1))
        expected = {"velocity": jnp.zeros(3), "xy": worth}[condition]
        np.testing.assert_allclose(reward[..., 0], jnp.broadcast_to(expected[:, None], (3, 10)), atol=1e-4)
    assert dads.Config().condition == dads.Config().predict == "xy"


def test_dads_learns_skills_that_pay_though_the_policy_sees_velocities():
    """A body that coasts: its velocity, which the policy sees and q does not, tells its next change."""

    def step(state, action, task):
        velocity = 0.5 * state.obs[2:] + 0.3 * jnp.clip(action, -1, 1)
        obs = jnp.concatenate([state.obs[:2] + state.obs[2:], velocity])
        return state._replace(obs=obs)

    def reset(key, task):
        return WALKER.reset(key, task)._replace(obs=jnp.zeros(4))

    features = {"xy": lambda obs: obs[..., :2], "body": lambda obs: obs[..., 2:]}
    family = WALKER._replace(reset=reset, step=step, features=features, obs_size=4)
    config = dads.Config(**(QUICK | {"observe": "body"}), skills="discrete", skill_size=4)
    _, metrics = train(dads.make(config, family), 20, num_seeds=2)
    assert (metrics["intrinsic_reward"] > 0.3).all(), metrics["intrinsic_reward"]


def test_far_goals_name_the_skill_of_their_direction():
    """Eight ideal skills, a step of 0.05 in each direction, and goals hundreds of steps away."""
    goal, state = objective(dads, skills="discrete", skill_size=8, hidden=())
    angle = jnp.arange(8) * jnp.pi / 4
    way = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    kernel = jnp.concatenate([jnp.zeros((2, 2)), way / np.sqrt(0.5)])  # of normalised changes
    params = jax.tree.map(jnp.zeros_like, state.dynamics.params)
    params["layers_0"] |= {"kernel": kernel}
    state = state._replace(
        changed=moments.Moments(jnp.float32(1e6), jnp.zeros(2), jnp.full(2, 0.5 * 0.05**2)),
        dynamics=state.dynamics._replace(params=params),
    )
    towards = jnp.array([0.1, 0.9, 1.9, 3.2, 4.1, 6.8])  # in units of the angle between two skills
    goals = 8.0 * jnp.stack([jnp.cos(towards * jnp.pi / 4), jnp.sin(towards * jnp.pi / 4)], axis=-1)
    path = jnp.stack([jnp.zeros_like(goals), goals], axis=1)
    named = jax.jit(goal.log_q)(state, path)[:, 0].argmax(axis=-1)
    assert named.tolist() == [0, 1, 2, 3, 4, 7]
