"""First-Explore: what its two policies are rewarded for, what they remember, and what they learn by it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.meta import first_explore, rl2
from hmrl_cli.environment import composition
from hmrl_cli.environment.frames import recorded
from hmrl_cli.learning import networks, ppo
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import Discrete, EnvState, TaskFamily
from tests import toys

SMALL = first_explore.Config(
    trials_per_update=8,
    episodes_per_trial=2,
    memory_size=8,
    ppo=ppo.Config(hidden=(8,), minibatches=2, epochs=2, init_std=2.0),
)
SAFE, COST, PRIZE = 0.5, -1.0, 1.5


def deceptive(arms: int = 4) -> TaskFamily:
    """One pull of an arm: arm 0 pays a little, one of the others, the task, a prize; the rest cost.

    An arm whose pay is unknown pays less than arm 0 on average.  So who looks for the prize gives up reward.
    """

    def state(reward):
        flag = jnp.asarray(reward > SAFE)
        return EnvState((), jnp.zeros(1), jnp.float32(reward), flag, flag, jnp.bool_(False))

    def step(_, action, task):
        return state(jnp.where(action == 0, SAFE, jnp.where(action == task[0], PRIZE, COST)))

    return toys.corridor()._replace(
        name="deceptive",
        sample=lambda key, split: jax.random.randint(key, (1,), 1, arms).astype(jnp.float32),
        reset=lambda key, task: state(jnp.float32(0.0)),
        step=step,
        obs_size=1,
        action=Discrete(arms),
        horizon=1,
    )


def drifting() -> TaskFamily:
    """A walk with the wind, which takes most episodes to their early end."""
    still = toys.walker(12, ends=True)
    return still._replace(step=lambda state, action, task: still.step(state, action + 1.0, task))


def test_both_are_rewarded_by_what_exceeds_the_best_so_far():
    """Against a loop over the episodes in their order."""
    rng = np.random.default_rng(0)
    found, returned = (rng.integers(0, 5, (20, n)).astype(np.float32) for n in (3, 4))
    gained, weight = jax.jit(lambda f, r: (first_explore.improvements(r), first_explore.weights(f, r)))(
        found, returned
    )
    for trial in range(20):
        assert weight[trial, 0] == returned[trial, 0]
        best_explored, best_exploited = -np.inf, returned[trial, 0]
        for k in range(3):
            best_explored, now = max(best_explored, found[trial, k]), returned[trial, k + 1]
            assert gained[trial, k] == max(0, now - best_exploited)
            assert weight[trial, k + 1] == (1 + now - best_explored if now >= best_explored else 0)
            best_exploited = max(best_exploited, now)


def test_an_episode_begins_with_what_the_context_before_it_left():
    """As if each exploiting episode followed its exploring ones in one sequence."""
    net = networks.recurrent(3, 4, networks.mlp(7, (5,), 2, "tanh"))
    rng = np.random.default_rng(0)
    context, x = rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 4, 2, 3))  # three episodes of two steps
    read, valid = np.array([[1, 1, 1, 0, 1, 1], [1, 0, 1, 1, 1, 0]]), np.ones((2, 4, 2))
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    # the same length for every k: what comes later in a sequence changes nothing
    whole = [np.concatenate([context[:, : 2 * k], x[:, k], context[:, 2 * k :]], axis=1) for k in range(4)]
    reads = [np.concatenate([read[:, : 2 * k], valid[:, k], read[:, 2 * k :]], axis=1) for k in range(4)]

    @jax.jit
    def both(params):
        after = first_explore.after_contexts(net).apply(params, ((context, read), (x, valid)))
        return after, net.apply(params, (np.stack(whole), np.stack(reads)))

    got, expected = both(params)
    for k in range(4):
        np.testing.assert_allclose(got[:, k], expected[k, :, 2 * k : 2 * k + 2], rtol=1e-4, atol=1e-5)


def test_the_episodes_shown_are_those_that_explore_and_the_last_one():
    family = recorded(toys.walker(6))
    learner = first_explore.make(SMALL, family)
    state = jax.jit(learner.init)(jax.random.key(0))
    budget = Evaluation(adapt_steps=2, episodes=4)
    adapt = jax.jit(lambda key: learner.adapt(key, state, jnp.array([1.0, 0.0]), budget)[1])
    curve = adapt(jax.random.key(1))
    np.testing.assert_array_equal(curve.episodes.counted, [[0.0] * 4, [0.0] * 4, [1.0] * 4])
    assert curve.returned.shape == (3,) and curve.episodes.reached.shape == (3, 4)
    # the last one is that of the curve, and the one before it is not
    returned = curve.episodes.frames.reward.sum(axis=-1).mean(axis=-1)
    np.testing.assert_allclose(returned[-1], curve.returned[-1], rtol=1e-5)
    assert abs(returned[0] - curve.returned[0]) > 1e-3
    at_once = jax.jit(lambda key: learner.adapt(key, state, jnp.zeros(2), Evaluation(adapt_steps=0))[1])
    assert (at_once(jax.random.key(1)).episodes.counted == 1).all()


@pytest.mark.slow
def test_the_training_pass_says_what_was_said_while_acting():
    learner = first_explore.learner_of(SMALL, drifting())

    @jax.jit
    def run(key):
        state = learner.init(jax.random.key(0))
        tasks = jax.vmap(lambda k: learner.family.sample(k, "train"))(jax.random.split(jax.random.key(1), 8))
        trial = jax.vmap(partial(learner.trial, num_episodes=2), in_axes=(0, None, 0))
        explored, exploited = trial(jax.random.split(key, 8), learner.params(state), tasks)
        sample = learner.with_context(state.exploiter.critic, explored, exploited)
        pi = learner.exploiter.policy.apply(state.exploiter.policy, sample.obs)
        own = learner.explorer.policy.apply(state.explorer.policy, sample.obs[0])
        row = jax.tree.map(lambda x: x.reshape(8, -1, *x.shape[3:]), explored.steps)
        return sample, pi.log_prob(sample.action), row, own.log_prob(row.action), explored, exploited

    sample, again, steps, own, explored, exploited = run(jax.random.key(2))
    assert 0 < 1 - sample.valid.mean() < 0.9  # some episodes end early
    np.testing.assert_allclose(again * sample.valid, sample.log_prob * sample.valid, atol=1e-5)
    np.testing.assert_allclose(own * steps.valid, steps.log_prob * steps.valid, atol=1e-5)
    # exploiting episodes change no memory
    np.testing.assert_array_equal(exploited.before.hidden[:, :2], explored.before.hidden)
    # the only reward of an episode is at its last step
    reward = jnp.arange(1.0, 25.0).reshape(8, 3)
    paid = first_explore.paid_at_the_end(exploited, reward).steps
    np.testing.assert_array_equal(paid.reward.sum(axis=-1), reward)
    last = np.asarray(paid.valid).sum(axis=-1).astype(int) - 1
    np.testing.assert_array_equal(np.take_along_axis(paid.reward, last[..., None], axis=-1)[..., 0], reward)


def test_a_state_comes_back_as_it_went():
    made = first_explore.make(SMALL, composition.repeat(drifting(), 2))
    state = jax.eval_shape(made.init, jax.random.key(0))
    new, metrics = jax.eval_shape(made.step, jax.random.key(1), state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), new) == jax.tree.map(
        lambda x: (x.shape, x.dtype, x.weak_type), state
    )
    assert made.steps_per_update == 8 * (2 + 3) * 6
    assert {"return_first", "return_last", "explore_gain", "explore_kl", "kl"} <= {*metrics}


@pytest.mark.slow
def test_it_gives_up_reward_to_find_more_where_rl2_stays_safe():
    settings = ppo.Config(hidden=(16,), minibatches=4, learning_rate=3e-3)
    sizes = {"trials_per_update": 64, "memory_size": 16, "ppo": settings}
    learner = first_explore.make(first_explore.Config(episodes_per_trial=4, **sizes), deceptive())
    state, metrics = toys.train(learner, 12)
    assert (metrics["return_last"] > 1.3).all()
    other = rl2.make(rl2.Config(episodes_per_trial=5, **sizes), deceptive())
    _, metrics = toys.train(other, 24)
    assert (metrics["return_last"] < 0.6).all()

    def adapt(state, arm):
        budget = Evaluation(adapt_steps=4, episodes=50)
        return learner.adapt(jax.random.key(9), state, jnp.array([arm]), budget)[1].returned

    every = jax.jit(jax.vmap(jax.vmap(adapt, in_axes=(None, 0)), in_axes=(0, None)))
    returned = every(state, jnp.array([1.0, 2.0, 3.0]))
    assert returned.shape == (3, 3, 5) and (returned[..., -1].mean(axis=1) > 1.3).all()
    assert (returned[..., 0].mean(axis=1) < 0.6).all()
