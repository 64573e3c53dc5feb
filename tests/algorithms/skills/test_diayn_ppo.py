import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.skills import diayn_ppo
from hmrl_cli.environment.rollout import unroll
from hmrl_cli.evaluation.skills import run_skills
from hmrl_cli.learning import ppo
from tests import toys
from tests.algorithms.skills.test_diayn import train

QUICK = dict(
    discriminate="xy",
    observe="identity",
    window=3,
    episodes_per_update=32,
    ppo=ppo.Config(hidden=(16,), minibatches=4, learning_rate=3e-3),
)


def make(family=None, **settings):
    return diayn_ppo.make(diayn_ppo.Config(**(QUICK | settings)), family or toys.walker(10))


def test_skills_go_their_own_ways():
    learner = make(num_skills=4)
    state, metrics = train(learner, 30, num_seeds=2)
    assert (metrics["mutual_information"] > 0.7 * jnp.log(4)).all()
    assert (metrics["mutual_information"] < jnp.log(4)).all()

    def end(state, skill):
        library = learner.skills(learner.freeze(state))

        def act(key, obs):
            return library.policy(library.params, obs, skill).mode(), jnp.zeros(())

        return unroll(jax.random.key(0), act, toys.walker(10), jnp.zeros(2))[1].obs

    ends = jax.jit(jax.vmap(jax.vmap(end, in_axes=(None, 0)), in_axes=(0, None)))(state, jnp.arange(4))
    apart = np.linalg.norm(np.asarray(ends)[:, :, None] - np.asarray(ends)[:, None], axis=-1)
    assert (apart[:, ~np.eye(4, dtype=bool)] > 1.0).all()


@pytest.mark.slow
def test_discrete_actions_work_too():
    learner = make(toys.corridor(), num_skills=2, discriminate="identity", sharpness=6.0)
    _, metrics = train(learner, 30, num_seeds=2)
    assert (metrics["mutual_information"] > 0.6 * jnp.log(2)).all()


def test_the_mean_of_the_last_steps():
    x = np.random.default_rng(0).normal(size=(2, 7, 3))
    for window in (1, 3, 7, 20):
        expected = np.stack([x[:, max(0, t - window + 1) : t + 1].mean(axis=1) for t in range(7)], axis=1)
        np.testing.assert_allclose(diayn_ppo._trailing_mean(jnp.array(x), window), expected, atol=1e-5)


def test_prototypes_start_evenly_around_the_circle():
    vectors = diayn_ppo._spread(jax.random.key(0), 4, 2)
    np.testing.assert_array_equal(diayn_ppo._spread(jax.random.key(0), 2, 1), [[1], [-1]])
    np.testing.assert_allclose(vectors, [[1, 0], [0, 1], [-1, 0], [0, -1]], atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(diayn_ppo._spread(jax.random.key(0), 5, 3), axis=-1), 1, rtol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", ["walker", "line"])
def test_one_skill_may_stay(family):
    """The last prototype is zero: its skill is rewarded for going nowhere, the others for going."""
    walker = toys.walker(10)
    if family == "line":
        walker = walker._replace(features={**walker.features, "xy": lambda obs: obs[..., :1]})
    skills = {"walker": 5, "line": 3}[family]
    learner = make(walker, num_skills=skills, stay=True)
    state, metrics = train(learner, 30, num_seeds=2)
    assert (metrics["mutual_information"] > 0.6 * jnp.log(skills)).all()
    task = jnp.zeros(2)

    def ends(state):
        library = learner.skills(learner.freeze(state))
        obs = run_skills(jax.random.key(0), walker, library, task, 8).obs
        return walker.features["xy"](obs[:, :, -1]).mean(axis=1)

    distance = jnp.linalg.norm(jax.jit(jax.vmap(ends))(state), axis=-1)
    assert (distance[:, -1] < 0.5).all() and (distance[:, :-1] > 1.0).all(), distance


@pytest.mark.slow
def test_a_perceptron_may_discriminate():
    learner = make(num_skills=4, discriminator="mlp", window=1, hidden=(32,), learning_rate=3e-3)
    _, metrics = train(learner, 30, num_seeds=2)
    assert (metrics["mutual_information"] > 0.6 * jnp.log(4)).all()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="stay: found true; must be false where discriminator is mlp"):
        diayn_ppo.Config(stay=True, discriminator="mlp")
    line = toys.walker(10)._replace(features={"identity": lambda obs: obs, "xy": lambda obs: obs[..., :1]})
    with pytest.raises(ValueError, match="num_skills: found 4; 'xy' of walker is one number, by which"):
        make(line, num_skills=4)
    with pytest.raises(ValueError, match="minibatches: found 7; must divide the 320 steps"):
        make(ppo=ppo.Config(minibatches=7))
    with pytest.raises(ValueError, match="observe: walker has no feature 'body', only identity, xy"):
        make(observe="body")
