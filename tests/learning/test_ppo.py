from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.compute import devices
from hmrl_cli.learning import distributions, ppo, returns
from hmrl_cli.types import Continuous, Discrete

CONFIG = ppo.Config(hidden=(16,), minibatches=2, epochs=2, learning_rate=1e-2, discount=0.9)


def bandit(key, state, agent, pays):
    """Episodes [64, 4] whose steps pay `pays(action)`, as a batch."""
    obs, ones = jnp.ones((64, 4, 1)), jnp.ones((64, 4))

    @jax.jit
    def act(key, params):
        pi = agent.policy.apply(params, obs)
        action = pi.sample(key)
        return action, pi.log_prob(action)

    action, log_prob = act(key, state.policy)
    return ppo.Batch(obs, obs, action, log_prob, pays(action)[..., None], jnp.ones((64, 1)), ones, ones)


def learn(agent, pays, updates):
    def one(state, key):
        act_key, learn_key = jax.random.split(key)
        return agent.update(learn_key, state, bandit(act_key, state, agent, pays))

    keys = jax.random.split(jax.random.key(1), updates)
    return jax.jit(lambda: jax.lax.scan(one, agent.init(jax.random.key(0)), keys))()


def test_the_best_arm_is_learned():
    agent = ppo.make(1, 1, Discrete(3), CONFIG)
    state, metrics = learn(agent, lambda action: (action == 2) * 1.0, 40)
    probabilities = jnp.exp(agent.policy.apply(state.policy, jnp.ones(1)).log_probs())
    assert probabilities[2] > 0.9
    assert metrics["action_entropy"][-1] < metrics["action_entropy"][0]
    np.testing.assert_allclose(metrics["learning_rate"], 1e-2)


@pytest.mark.slow
def test_the_best_continuous_action_is_learned():
    agent = ppo.make(1, 1, Continuous(2), CONFIG)
    best = jnp.array([0.5, -0.5])
    state, _ = learn(agent, lambda action: -jnp.sum((action - best) ** 2, axis=-1), 150)
    np.testing.assert_allclose(agent.policy.apply(state.policy, jnp.ones(1)).mode(), best, atol=0.15)


def test_steps_that_do_not_count_change_nothing():
    agent = ppo.make(1, 1, Continuous(2), CONFIG)
    state = jax.jit(agent.init)(jax.random.key(0))
    batch = bandit(jax.random.key(1), state, agent, lambda action: action[..., 0])
    batch = batch._replace(valid=batch.valid.at[:, 2:].set(0.0), discount=batch.discount.at[:, 1:].set(0.0))
    wild = batch._replace(reward=batch.reward.at[:, 2:].set(1e6), log_prob=batch.log_prob.at[:, 2:].set(-9.0))
    one, other = (jax.jit(agent.update)(jax.random.key(2), state, b)[0] for b in (batch, wild))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_equal_returns_move_nothing():
    """Whatever an untrained critic says, and whatever the rounding of sums leaves of them."""
    agent = ppo.make(1, 1, Continuous(2), CONFIG.model_copy(update={"target_kl": 1e-3}))
    state = jax.jit(agent.init)(jax.random.key(0))
    batch = bandit(jax.random.key(1), state, agent, lambda action: 0.0 * action[..., 0])
    batch = batch._replace(critic_obs=jax.random.normal(jax.random.key(2), (64, 4, 1)))
    noise = 1.0 + 1e-6 * jax.random.normal(jax.random.key(3), batch.reward.shape)
    update = jax.jit(agent.update)
    for reward in (0.0 * noise, jnp.full_like(noise, -100 / 3), 1e4 * noise):
        new, metrics = update(jax.random.key(4), state, batch._replace(reward=reward))
        jax.tree.map(np.testing.assert_array_equal, new._replace(critic=state.critic), state)
        assert metrics["kl"] == 0 and metrics["critic_loss"] > 0
        assert any(map(np.any, jax.tree.leaves(jax.tree.map(jnp.subtract, new.critic, state.critic))))
    new, _ = update(jax.random.key(4), state, batch._replace(reward=batch.action[..., :1]))
    assert np.abs(new.policy["log_std"] - state.policy["log_std"]).max() > 1e-3


def test_advantages_are_whitened_unless_they_are_rounding():
    advantage = jax.random.normal(jax.random.key(0), (8, 5))
    valid = jnp.ones((8, 5)).at[3, 2:].set(0.0)
    returned = 100.0 + jnp.arange(8.0)[:, None] + jnp.zeros(5)
    np.testing.assert_array_equal(
        ppo.whitened(0.1 * advantage, returned, valid), returns.whiten(0.1 * advantage, valid)
    )
    # episodes differ, and a critic that knew by how much leaves rounding alone
    assert np.abs(ppo.whitened(1e-5 * advantage, returned, valid)).max() < 1e-2
    one = ppo.whitened(advantage[:1], returned[:1], valid[:1])  # nothing to be compared with
    np.testing.assert_array_equal(one, returns.whiten(advantage[:1], valid[:1]))
    assert (ppo.whitened(advantage[:1], 0.0 * returned[:1], valid[:1]) == 0).all()


def test_a_policy_begins_near_the_middle_in_every_state():
    agent = ppo.make(3, 3, Continuous(2), CONFIG)
    policy = jax.jit(agent.init)(jax.random.key(0)).policy
    pi = agent.policy.apply(policy, jax.random.normal(jax.random.key(1), (50, 3)))
    assert np.abs(pi.mean).max() < 0.05 * jnp.exp(pi.log_std).min()


@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_the_surrogate_is_flat_beyond_the_clip(advantage):
    """Eq. 7: nothing more is gained by a ratio that has gone beyond 1 +- clip the way it is pushed."""
    agent = ppo.make(1, 1, Continuous(1), CONFIG.model_copy(update={"entropy_coefficient": 0.0}))
    params = jax.jit(agent.init)(jax.random.key(0))[:2]
    obs, action = jnp.ones((1, 1)), jnp.zeros((1, 1))
    log_prob = agent.policy.apply(params[0], obs).log_prob(action)

    @jax.jit
    def slope(shift):
        one = jnp.ones(1)
        some = ppo.Sample(obs, obs, action, log_prob - shift, advantage * one, jnp.zeros((1, 1)), one)
        return jax.grad(lambda policy: agent._loss((policy, params[1]), some)[0])(params[0])

    def size(tree):
        return sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(tree))

    assert size(slope(0.0)) > 1e-3
    assert size(slope(advantage * 0.5)) == 0.0  # ratio e^.5 for a gain, e^-.5 for a loss
    assert size(slope(-advantage * 0.5)) > 1e-3  # on the wrong side it may come back


@pytest.mark.skipif(len(jax.devices()) < 2, reason="run by compute/test_devices.py with two devices")
def test_devices_that_share_a_minibatch_take_the_step_of_one(monkeypatch):
    agent = ppo.make(3, 2, Continuous(1), CONFIG.model_copy(update={"minibatches": 3}))
    state = jax.jit(agent.init)(jax.random.key(0))

    def rows(*size):
        return jax.random.normal(jax.random.key(len(size)), (48, *size))

    valid = jnp.float32(jnp.arange(48) % 5 > 0)  # the shares of a minibatch count different numbers of steps
    sample = ppo.Sample(rows(3), rows(2), rows(1), rows() - 2.0, rows(), rows(1), valid)
    together = jax.jit(agent.learn)(jax.random.key(1), state, sample)
    assert len(jax.tree.leaves(together)[0].devices()) == 2
    monkeypatch.setattr(devices, "mesh_for", lambda rows: None)
    alone = jax.jit(lambda *args: agent.learn(*args))(jax.random.key(1), state, sample)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-6), together, alone)


@pytest.mark.parametrize("total", [1, 5, 64, 100])
def test_every_row_comes_once_and_anywhere(total):
    orders = np.asarray(
        jax.vmap(partial(ppo.shuffled, total=total))(jax.random.split(jax.random.key(0), 2000))
    )
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(total), (2000, 1)))
    positions = np.argsort(orders, axis=1)  # of each row: their mean has a standard error of total / 155
    np.testing.assert_allclose(positions.mean(axis=0), (total - 1) / 2, atol=total / 30)
    if total > 1:  # a row and the next one keep their order in half of the draws
        assert np.mean(positions[:, 0] < positions[:, 1]) == pytest.approx(0.5, abs=0.06)


def test_entropy_of_a_gaussian_is_its_mean_surprise():
    pi = distributions.Gaussian(jnp.array([0.3, -1.0]), jnp.array([0.2, -0.7]))
    draws = jax.vmap(pi.sample)(jax.random.split(jax.random.key(0), 20_000))
    assert pi.entropy() == pytest.approx(-float(pi.log_prob(draws).mean()), abs=0.03)


def test_a_reward_in_parts_is_worth_its_priced_sum():
    """With a critic that says nothing, advantages of parts add up to the advantage of the sum."""
    agent = ppo.make(1, 1, Continuous(2), CONFIG, num_rewards=2)
    state = jax.jit(agent.init)(jax.random.key(0))
    critic = jax.tree.map(jnp.zeros_like, state.critic)
    parts = jax.random.normal(jax.random.key(1), (64, 4, 2))
    weights = jax.random.normal(jax.random.key(2), (64, 2))
    batch = bandit(jax.random.key(3), state, agent, lambda action: action[..., 0])
    both = jax.jit(agent._with_advantages)(critic, batch._replace(reward=parts, reward_weights=weights))
    assert both.target.shape == (64, 4, 2)
    single = ppo.make(1, 1, Continuous(2), CONFIG)
    critic = jax.tree.map(jnp.zeros_like, jax.jit(single.init)(jax.random.key(0)).critic)
    total = jnp.sum(parts * weights[:, None], axis=-1, keepdims=True)
    one = jax.jit(single._with_advantages)(critic, batch._replace(reward=total))
    np.testing.assert_allclose(both.advantage, one.advantage, atol=1e-5)


def test_the_learning_rate_goes_to_where_updates_are_of_the_size_asked_for():
    config = CONFIG.model_copy(update={"target_kl": 0.01, "learning_rate": 1e-5})
    agent = ppo.make(1, 1, Discrete(3), config)
    _, metrics = learn(agent, lambda action: (action == 2) * 1.0, 40)
    assert metrics["learning_rate"][10] > 3e-4  # from far too small
    assert metrics["kl"][0] < 1e-6 and 0.002 < metrics["kl"][12:30].mean() < 0.05


def test_a_constant_rate_is_the_configured_one_whatever_a_state_brings():
    agent = ppo.make(1, 1, Discrete(3), CONFIG)
    state = jax.jit(agent.init)(jax.random.key(0))._replace(learning_rate=jnp.float32(1e-5))
    batch = bandit(jax.random.key(1), state, agent, lambda action: action * 1.0)
    _, metrics = jax.jit(agent.update)(jax.random.key(2), state, batch)
    np.testing.assert_allclose(metrics["learning_rate"], CONFIG.learning_rate)
    adaptive = agent._replace(config=CONFIG.model_copy(update={"target_kl": 1e3}))
    _, metrics = jax.jit(adaptive.update)(jax.random.key(2), state, batch)
    np.testing.assert_allclose(metrics["learning_rate"], 1.5e-5, rtol=1e-5)
