import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.compute.finite import all_finite
from hmrl_cli.learning import sac
from hmrl_cli.types import Continuous, Discrete

OBS = jnp.array([[0.0, 1.0], [1.0, 0.0]])


def batch(action, reward, discount):
    return sac.Batch(OBS, action, jnp.asarray(reward), jnp.full(2, discount), OBS[::-1])


def both_actions(data, actions=(0, 1)):
    data = jax.tree.map(lambda x: jnp.concatenate([x, x]), data)
    return data._replace(action=jnp.repeat(jnp.array(actions), 2, axis=0))


def learn(agent, data, steps):
    def update(state, key):
        return agent.update(key, state, data)[0], None

    state = jax.jit(agent.init)(jax.random.key(0))
    return jax.jit(lambda s: jax.lax.scan(update, s, jax.random.split(jax.random.key(1), steps))[0])(state)


def test_after_an_end_a_value_is_its_reward():
    action = jnp.array([[0.5], [-0.5]])
    agent = sac.make(2, Continuous(1), sac.Config(hidden=(32,), learning_rate=1e-2))
    state = learn(agent, batch(action, [1.0, -2.0], 0.0), 400)
    q = agent.critic.apply(state.critic, OBS, action)
    np.testing.assert_allclose(q, [[1.0, -2.0]] * 2, atol=0.05)


def test_discrete_values_solve_the_soft_bellman_equation():
    """Two states that lead to each other under both actions: V = alpha log 2 + r + gamma V' by hand."""
    config = sac.Config(
        hidden=(32,), learning_rate=1e-2, discount=0.5, entropy_coefficient=0.4, target_rate=0.1
    )
    agent = sac.make(2, Discrete(2), config)
    data = both_actions(batch(jnp.zeros(2, jnp.int32), [1.0, 0.0], 1.0))
    state = learn(agent, data, 1500)
    bonus = 0.4 * np.log(2)  # both actions are alike, so the policy is even
    values = np.linalg.solve([[1, -0.5], [-0.5, 1]], [1 + bonus, bonus])
    q = agent.critic.apply(state.critic, OBS).mean(axis=(0, 2))
    np.testing.assert_allclose(q, values - bonus, atol=0.05)
    np.testing.assert_allclose(agent.policy.apply(state.policy, OBS).entropy(), np.log(2), atol=0.02)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_a_fixed_temperature_stays_and_zero_is_one(alpha):
    agent = sac.make(2, Continuous(1), sac.Config(hidden=(8,), entropy_coefficient=alpha))
    data = batch(jnp.zeros((2, 1)), [0.0, 0.0], 1.0)
    state, metrics = jax.jit(agent.update)(jax.random.key(1), jax.jit(agent.init)(jax.random.key(0)), data)
    np.testing.assert_allclose(metrics["alpha"], alpha)
    assert all_finite((state, metrics))


def test_an_automatic_temperature_falls_while_the_policy_is_too_random():
    agent = sac.make(
        2, Continuous(1), sac.Config(hidden=(8,), entropy_coefficient="auto", learning_rate=1e-2)
    )
    state = learn(agent, batch(jnp.zeros((2, 1)), [0.0, 0.0], 1.0), 50)
    assert state.log_alpha < 0  # an even policy on (-1, 1) has entropy log 2, the target is -1


@pytest.mark.parametrize(
    ("action", "actions"),
    [
        (Continuous(1), [[0.7], [-0.7]]),
        pytest.param(Discrete(2), [0, 1], marks=pytest.mark.slow),
    ],
)
def test_successor_features_of_two_states_that_lead_to_each_other(action, actions):
    """psi(s) = e_s + gamma psi(s'), by hand, whatever the action and the entropy."""
    config = sac.Config(hidden=(), learning_rate=1e-2, discount=0.5, target_rate=0.1)
    agent = sac.make(2, action, config, components=2)
    data = batch(None, jnp.eye(2), 1.0)._replace(weights=jnp.array([[1.0, 0.0], [0.6, -0.8]]))
    data = both_actions(data, actions)
    state = learn(agent, data, 1500)
    own, other = 1 / (1 - 0.5**2), 0.5 / (1 - 0.5**2)
    if isinstance(action, Discrete):
        psi = agent.critic.apply(state.critic, OBS)[:, :, 0]
    else:
        psi = agent.critic.apply(state.critic, OBS, jnp.zeros((2, 1)))
    np.testing.assert_allclose(psi, [[[own, other], [other, own]]] * 2, atol=0.05)
