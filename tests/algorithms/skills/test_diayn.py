from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.skills import diayn
from hmrl_cli.compute.epochs import make_epoch
from hmrl_cli.learning import networks, sac
from tests import toys

QUICK = dict(
    episodes_per_update=16,
    gradient_steps=20,
    batch_size=64,
    buffer_capacity=2000,
    discriminator_hidden=(16,),
    discriminator_learning_rate=3e-3,
)


def agent(entropy_coefficient, hidden=(32,)):
    return sac.Config(hidden=hidden, learning_rate=3e-3, entropy_coefficient=entropy_coefficient)


def train(learner, updates, num_seeds):
    """States and the last update's metrics, leaves [num_seeds, ...]."""
    epoch = make_epoch(lambda key, state, _: learner.step(key, state), updates)
    state = jax.jit(jax.vmap(learner.init))(jax.random.split(jax.random.key(0), num_seeds))
    for keys in jax.random.split(jax.random.key(1), (2, num_seeds)):
        state, metrics, finite = epoch(keys, state, None)
    assert finite.all() and epoch._cache_size() == 1
    return state, metrics


def test_two_skills_part_a_corridor_and_reach_log_2():
    """Eysenbach et al. 2019, app. B: the optimum is an even partition of the states, worth log 2."""
    family = toys.corridor()
    learner = diayn.make(diayn.Config(num_skills=2, sac=agent(0.1), **QUICK), family)
    state, _ = train(learner, 60, num_seeds=6)

    def value(state, skill):
        library = learner.skills(learner.freeze(state))

        def step(cell, _):
            action = library.policy(library.params, cell.obs, skill).mode()
            new = family.step(cell, action, jnp.zeros(1))
            path = jnp.stack([cell.obs, new.obs])
            return new, learner.discriminate(state, path)[0, skill] + jnp.log(2)

        start = family.reset(jax.random.key(0), jnp.zeros(1))
        return jax.lax.scan(step, start, None, family.horizon)[1].mean()

    values = jax.jit(jax.vmap(lambda state: (value(state, 0) + value(state, 1)) / 2))(state)
    np.testing.assert_allclose(values, np.log(2), rtol=0.02)


@pytest.mark.slow
def test_continuous_skills_are_distinguished_and_entropy_stays_high():
    learner = diayn.make(diayn.Config(num_skills=4, sac=agent("auto"), **QUICK), toys.walker(10))
    state, metrics = train(learner, 60, num_seeds=2)
    assert (metrics["mutual_information"] > 0.7 * jnp.log(4)).all()
    assert (metrics["mutual_information"] < jnp.log(4)).all()
    assert (metrics["action_entropy"] > -2.5).all()  # the target is minus the action size, -2
    assert (state.buffer.size == 2000).all()


def test_a_feature_that_the_family_lacks_is_named():
    with pytest.raises(ValueError, match="discriminate: walker has no feature 'speed', only identity, xy"):
        diayn.make(diayn.Config(discriminate="speed"), toys.walker())


def test_feature_noise_moves_what_the_discriminator_sees_in_the_loss_and_in_the_reward():
    def learnt(noise, key):
        config = diayn.Config(num_skills=2, discriminate="xy", feature_noise=noise)
        learner = diayn.Diayn(config, toys.walker(), networks.mlp(2, (8,), 2))
        state = learner.init(jax.random.key(0), agent=None, buffer=None)
        obs = jax.random.normal(jax.random.key(1), (1000, toys.walker().obs_size))
        batch = SimpleNamespace(next_obs=obs, skill=jnp.zeros(1000, int))
        _, reward, metrics = learner.learn(jax.random.key(key), state, batch)
        np.testing.assert_allclose(metrics["discriminator_loss"], np.log(2) - reward.value.mean(), rtol=1e-5)
        return reward.value

    plain = learnt(0.0, 2)
    np.testing.assert_array_equal(plain, learnt(0.0, 3))
    little, much = (np.abs(learnt(noise, 2) - plain).mean() for noise in (0.01, 0.1))
    assert 0 < little < 0.2 * much
