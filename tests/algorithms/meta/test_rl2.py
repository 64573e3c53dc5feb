"""RL^2: what it remembers, what its loss sees, and what it learns by it."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli import config
from hmrl_cli.algorithms.meta import _trials, rl2
from hmrl_cli.compute.epochs import make_epoch
from hmrl_cli.environment import composition
from hmrl_cli.errors import ConfigError
from hmrl_cli.learning import ppo
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import Continuous, Discrete, EnvState, TaskFamily
from tests import toys

SMALL = rl2.Config(
    trials_per_update=8,
    episodes_per_trial=3,
    memory_size=8,
    ppo=ppo.Config(hidden=(8,), minibatches=2, epochs=2, init_std=2.0),
)
DIRECTIONS = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def doors(action) -> TaskFamily:
    """Episodes of one step, which pays 1 behind one of two doors and 0 behind the other: the task.

    Nothing is seen of it, so a first episode returns 0.5 and every later one 1, to who remembers.
    """

    def state(reward):
        flag = jnp.asarray(reward > 0)
        return EnvState((), jnp.zeros(1), jnp.float32(reward), flag, flag, jnp.bool_(False))

    def step(_, action_taken, task):
        right = action_taken == 1 if isinstance(action, Discrete) else action_taken[0] > 0
        return state(jnp.where(right == (task[0] > 0), 1.0, 0.0))

    return toys.corridor()._replace(
        name="doors",
        sample=lambda key, split: jax.random.rademacher(key, (1,), jnp.float32),
        reset=lambda key, task: state(jnp.float32(0.0)),
        step=step,
        obs_size=1,
        action=action,
        horizon=1,
    )


def drifting() -> TaskFamily:
    """A walk with the wind, which takes most episodes to their early end."""
    still = toys.walker(12, ends=True)
    return still._replace(step=lambda state, action, task: still.step(state, action + 1.0, task))


def lifted() -> TaskFamily:
    return composition.lift(toys.walker(12, ends=True), toys.straight(DIRECTIONS), 2, stochastic=False)


def met(learner, key, num_episodes=3):
    """A fresh state and eight trials of eight tasks, leaves [8, E, ...]."""

    @jax.jit
    def run(key):
        state = learner.init(jax.random.key(0))
        tasks = jax.vmap(lambda k: learner.family.sample(k, "train"))(jax.random.split(jax.random.key(1), 8))
        trial = jax.vmap(partial(learner.acting.trial, num_episodes=num_episodes), in_axes=(0, None, 0))
        return state, trial(jax.random.split(key, 8), learner.params(state), tasks)

    return run(key)


@functools.cache
def drifted():
    """A learner that walks with the wind, its fresh state and eight trials."""
    learner = rl2.learner_of(SMALL, drifting())
    return learner, *met(learner, jax.random.key(2))


CASES = [
    pytest.param(Discrete(2), "plain", id="discrete"),
    pytest.param(Continuous(1), "plain", id="continuous", marks=pytest.mark.slow),
    pytest.param(Discrete(2), "hypernetwork", id="hypernetwork", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("action", "head"), CASES)
def test_a_later_episode_is_better_by_what_was_remembered(action, head):
    learner = rl2.learner_of(
        rl2.Config(
            trials_per_update=64,
            episodes_per_trial=3,
            memory_size=16,
            head=head,
            ppo=ppo.Config(hidden=(16,), minibatches=4, learning_rate=3e-3, init_std=1.0),
        ),
        doors(action),
    )
    epoch = make_epoch(lambda key, state, _: learner.step(key, state), 30)
    state = jax.jit(jax.vmap(learner.init))(jax.random.split(jax.random.key(0), 2))
    for number in range(3):
        state, metrics, finite = epoch(jax.random.split(jax.random.key(number + 1), 2), state, None)
    assert finite.all() and epoch._cache_size() == 1  # two seeds at once, and one program for all of it
    assert (metrics["return_last"] > 0.9).all() and (metrics["return_first"] < 0.6).all()

    def adapt(state, side):
        return learner.adapt(
            jax.random.key(9), state, jnp.array([side]), Evaluation(adapt_steps=2, episodes=50)
        )[1].returned

    every = jax.jit(jax.vmap(jax.vmap(adapt, in_axes=(None, 0)), in_axes=(0, None)))
    returned = every(state, jnp.array([-1.0, 1.0]))
    assert returned.shape == (2, 2, 3) and (returned[..., 1:] > 0.9).all()
    np.testing.assert_allclose(returned[..., 0].mean(axis=1), 0.5, atol=0.1)  # a guess


HYPER = SMALL.model_copy(update={"head": "hypernetwork"})


@pytest.mark.parametrize(
    ("settings", "family"),
    [
        (SMALL, drifting),
        pytest.param(SMALL, lifted, marks=pytest.mark.slow),
        pytest.param(HYPER, drifting, marks=pytest.mark.slow),
    ],
)
def test_the_training_pass_says_what_was_said_while_acting(settings, family):
    learner = rl2.learner_of(settings, family())
    alike = settings is SMALL and family is drifting
    state, trials = drifted()[1:] if alike else met(learner, jax.random.key(2))
    sample = jax.jit(partial(_trials.sequences, learner.agent))(state.agent.critic, trials)
    assert 0 < 1 - sample.valid.mean() < 0.9  # some episodes end early
    again = jax.jit(lambda params, x: learner.agent.policy.apply(params, x.obs).log_prob(x.action))(
        state.agent.policy, sample
    )
    np.testing.assert_allclose(again * sample.valid, sample.log_prob * sample.valid, atol=1e-5)


def test_a_memory_lasts_for_a_trial():
    """It is empty at the start, carried over from episode to episode, and left alone after an early end."""
    learner, state, trials = drifted()
    trials = jax.tree.map(np.asarray, trials)
    assert all((leaf[:, 0] == 0).all() for leaf in jax.tree.leaves(trials.before))
    hidden, step = jnp.zeros((8, 8)), jax.jit(learner.policy.step)
    for episode in range(2):
        for t in range(12):
            counts = trials.steps.valid[:, episode, t, None] > 0
            new = step(state.agent.policy, hidden, trials.seen[:, episode, t])
            hidden = jnp.where(counts, new, hidden)
        np.testing.assert_allclose(trials.before.hidden[:, episode + 1], hidden, atol=1e-5)
    steps = trials.steps
    last = steps.valid.sum(axis=-1).astype(int) - 1  # [8, 3]  the last step that counts
    ended = 1 - jnp.take_along_axis(steps.discount, last[..., None], axis=-1)[..., 0]
    reward = jnp.take_along_axis(steps.reward, last[..., None], axis=-1)[..., 0]
    assert 0 < ended.mean() < 1
    np.testing.assert_array_equal(trials.before.ended[:, 1:], ended[:, :-1])
    np.testing.assert_array_equal(trials.before.reward[:, 1:], reward[:, :-1])
    starts, done = trials.seen[..., -2], trials.seen[..., -1]
    assert (starts[:, :, 0] == 1).all() and (starts[:, :, 1:] == 0).all()
    np.testing.assert_array_equal(done[:, 1:, 0], ended[:, :-1])


def test_steps_after_an_early_end_change_nothing():
    learner, state, trials = drifted()
    steps = trials.steps
    over = steps.valid == 0
    assert over.any()
    wild = trials._replace(
        seen=jnp.where(over[..., None], 7.0, trials.seen),
        steps=steps._replace(
            reward=jnp.where(over, 1e6, steps.reward),
            action=jnp.where(over[..., None], 0.5, steps.action),
            log_prob=jnp.where(over, -9.0, steps.log_prob),
        ),
    )

    @jax.jit
    def learn(trials):
        sample = _trials.sequences(learner.agent, state.agent.critic, trials)
        return learner.agent.learn(jax.random.key(3), state.agent, sample)[0]

    for one, other in zip(*map(jax.tree.leaves, (learn(trials), learn(wild))), strict=True):
        np.testing.assert_array_equal(one, other)


def test_trials_that_return_alike_say_nothing():
    """Whatever the critic says of them."""
    learner = rl2.learner_of(SMALL, toys.corridor(horizon=2))  # which pays nothing
    state, trials = met(learner, jax.random.key(2), num_episodes=2)
    judge = jax.jit(partial(_trials.sequences, learner.agent))
    paying = trials.steps._replace(reward=trials.steps.reward + 3.3)
    for same in (trials, trials._replace(steps=paying)):
        assert (judge(state.agent.critic, same).advantage == 0).all()
    better = paying._replace(reward=paying.reward.at[0].add(0.1))
    advantage = judge(state.agent.critic, trials._replace(steps=better)).advantage
    np.testing.assert_allclose(advantage.std(), 1, rtol=1e-3)


def test_what_is_handed_on_acts_as_the_last_episode_began():
    learner = rl2.learner_of(SMALL, toys.walker(8))
    state, task = jax.jit(learner.init)(jax.random.key(0)), jnp.array([1.0, 0.0])
    adapt = jax.jit(learner.adapt, static_argnums=3)
    fresh, _ = adapt(jax.random.key(4), state, task, Evaluation(adapt_steps=0, episodes=1))
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(fresh.latent))
    adapted, record = adapt(jax.random.key(5), state, task, Evaluation(adapt_steps=2, episodes=4))
    assert all(leaf.shape == (3,) for leaf in record[:3]) and (adapted.latent.hidden != 0).all()

    def first_of_four():
        return jax.random.split(jax.random.key(5), 4)[0]

    trial = jax.jit(learner.acting.trial, static_argnums=3)(first_of_four(), adapted.params, task, 3)
    _, act_key = jax.random.split(jax.random.fold_in(first_of_four(), 2))
    behave = learner.acting.behaviour(jax.random.key(6), adapted)
    action, log_prob = behave(jax.random.fold_in(act_key, 0), trial.steps.obs[2, 0])
    np.testing.assert_allclose(action, trial.steps.action[2, 0], rtol=1e-5)
    np.testing.assert_allclose(log_prob, trial.steps.log_prob[2, 0], rtol=1e-5)


def test_a_state_comes_back_as_it_went():
    for settings, family in ((SMALL, lifted()), (HYPER, composition.repeat(drifting(), 2))):
        made = rl2.make(settings, family)
        state = jax.eval_shape(made.init, jax.random.key(0))
        new, metrics = jax.eval_shape(made.step, jax.random.key(1), state)
        assert jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), new) == jax.tree.map(
            lambda x: (x.shape, x.dtype, x.weak_type), state
        )
        assert made.steps_per_update == 8 * 3 * 6
        assert {"return_first", "return_last", "success_last", "reached_last"} <= {*metrics}


def test_minibatches_that_cut_trials_are_named():
    with pytest.raises(ConfigError) as caught:
        config.resolve("meta-train", "sparse_point/rl2", ["algorithm.ppo.minibatches = 7"])
    assert "algorithm.ppo.minibatches: found 7; must divide trials_per_update, " in str(caught.value)
