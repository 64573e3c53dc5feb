"""Adaptation to one test task: which episodes the results of a batch count."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.meta import maesn, maml
from hmrl_cli.learning.networks import policy as make_policy
from hmrl_cli.meta_gradient import adaptation, batches, inner_loop
from hmrl_cli.meta_gradient.inner_loop import Episodes
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import AdaptState, Discrete, Transition
from tests import toys
from tests.meta_gradient.learners import FAMILY, SMALL, learner

POLICY = make_policy(2, Discrete(3), (8,))


@pytest.mark.parametrize(
    ("own", "returned", "success"), [([1.0, 1.0, 0.0], 2.0, 0.5), ([0.0, 0.0, 0.0], 4.0, 2 / 3)]
)
def test_a_result_counts_only_episodes_of_the_policy(own, returned, success):
    """Or all episodes, if each of them repeated an action."""
    ones = jnp.ones((3, 1))
    steps = Transition(jnp.ones((3, 1, 2)), jnp.zeros((3, 1), jnp.int32), ones, ones, ones, ones, ones)
    returns, successes = jnp.array([1.0, 3.0, 8.0]), jnp.array([0.0, 1.0, 1.0])
    batch = Episodes(steps, None, None, jnp.array(own), ones, ones[:, 0], returns, successes, successes)
    start = AdaptState(POLICY.init(jax.random.key(0)), None)
    budget = Evaluation(adapt_steps=0, episodes=3)
    _, went = batches.adapt(jax.random.key(1), start, lambda *_: batch, None, POLICY, budget)
    assert [float(x[0]) for x in went[:3]] == pytest.approx([returned, success, success])


@pytest.mark.parametrize(("least_gain", "moves"), [(None, True), (6.0, True), (8.0, False)])
def test_a_refit_waits_for_a_find(least_gain, moves):
    """The best of these episodes returns 7 more than the least."""
    ones, flags, returned = jnp.ones((3, 1)), jnp.zeros(3), jnp.array([1.0, 3.0, 8.0])
    obs, action = jnp.ones((3, 1, 2)), jnp.zeros((3, 1), jnp.int32)
    steps = Transition(obs, action, ones, returned[:, None], ones, ones, ones)
    batch = Episodes(steps, None, None, jnp.ones(3), ones, ones[:, 0], returned, flags, flags)
    start = AdaptState(POLICY.init(jax.random.key(0)), None)
    budget = Evaluation(adapt_steps=1, episodes=3, rule="refit", imitation_steps=1, least_gain=least_gain)
    acted, _ = batches.adapt(jax.random.key(1), start, lambda *_: batch, None, POLICY, budget)
    moved = jax.tree.map(lambda new, old: float(jnp.abs(new - old).max()), acted, start)
    assert (max(jax.tree.leaves(moved)) > 0) is moves


def test_at_test_time_the_latent_starts_at_its_prior():
    agent = learner("maesn", 1)
    state = jax.jit(agent.init)(jax.random.key(0))
    far = state.meta.latents._replace(mean=state.meta.latents.mean + 100.0)
    adapt = jax.jit(partial(adaptation.adapt, agent), static_argnums=3)
    task, key = jnp.array([0.0, 1.0]), jax.random.key(5)
    none, once, twice = (Evaluation(adapt_steps=steps, episodes=4) for steps in (0, 1, 2))
    acted, one = adapt(key, state, task, twice)
    _, other = adapt(key, state._replace(meta=state.meta._replace(latents=far)), task, twice)
    np.testing.assert_array_equal(one.returned, other.returned)
    assert one.returned.shape == (3,)
    # what acted last has been updated twice, and no more
    np.testing.assert_array_equal(adapt(key, state, task, once)[1].returned, one.returned[:2])
    assert not np.array_equal(adapt(key, state, task, once)[0].latent.mean, acted.latent.mean)
    np.testing.assert_array_equal(adapt(key, state, task, none)[0].latent.mean, jnp.zeros(2))
    wide = adapt(key, state, task, Evaluation(adapt_steps=0, episodes=4, latent_std=3.0))[0]
    np.testing.assert_allclose(jnp.exp(wide.latent.log_std), 3.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("algorithm", "schedule"),
    [
        pytest.param("maml", dict(step_decay=0.5, step_floor=0.5), marks=pytest.mark.slow),
        pytest.param("maesn", dict(step_hold=1, step_floor=0.125), marks=pytest.mark.slow),
    ],
)
def test_steps_at_test_time_may_follow_another_schedule(algorithm, schedule):
    """That of the evaluation, where it has one, in place of the trained one: from the second update on."""
    agent = learner(algorithm, 1)
    state = jax.jit(agent.init)(jax.random.key(0))

    def adapted(agent, **settings):
        budget = Evaluation(adapt_steps=2, episodes=4, **settings)
        run = jax.jit(partial(adaptation.adapt, agent, budget=budget))
        return run(jax.random.key(5), state, jnp.array([0.0, 1.0]))

    trained, tested = adapted(agent), adapted(agent, **schedule)
    np.testing.assert_array_equal(trained[1].returned[:2], tested[1].returned[:2])
    assert trained[1].returned[2] != tested[1].returned[2]
    same = adapted(agent._replace(config=agent.config.model_copy(update=schedule)))
    jax.tree.map(np.testing.assert_array_equal, tested, same)


@pytest.mark.parametrize(
    ("outer", "outer_loss"),
    [
        pytest.param("trust_region", "last", marks=pytest.mark.slow),
        ("clipped", "all"),
        pytest.param("trust_region", "all", marks=pytest.mark.slow),
        pytest.param("clipped", "last", marks=pytest.mark.slow),
    ],
)
def test_latent_space_trains_without_an_inner_update_and_adapts_later(outer, outer_loss):
    config = maesn.Config(**SMALL, inner_steps=0, num_train_tasks=5, outer=outer, outer_loss=outer_loss)
    agent = maesn.make(config, FAMILY)
    assert agent.steps_per_update == 3 * 4 * FAMILY.horizon
    state = jax.jit(agent.init)(jax.random.key(0))
    new, metrics = jax.jit(agent.step)(jax.random.key(1), state)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((new, metrics)))
    assert not np.array_equal(new.meta.latents.mean, state.meta.latents.mean)
    adapt = jax.jit(partial(agent.adapt, budget=Evaluation(adapt_steps=1, episodes=4)))
    acted, _ = adapt(jax.random.key(2), new, jnp.array([0.0, 1.0]))
    assert np.abs(acted.latent.mean).max() > 0


def test_a_fallback_holds_one_action_for_an_episode():
    agent = learner("maesn", 1)
    state = jax.jit(agent.init)(jax.random.key(0))
    start = AdaptState(state.meta.policy, agent._prior(state.meta, 1.0))

    @jax.jit
    def collect(share, late):
        fallback = inner_loop.Fallback(share, late)
        return agent.collect(jax.random.key(3), start, jnp.ones(2), 400, fallback)

    def run(share, late):
        return jax.tree.map(np.asarray, collect(share, late))

    episodes = run(0.25, 0.0)
    action = np.asarray(episodes.transitions.action)
    repeats = np.ptp(action, axis=1).max(axis=-1) == 0
    np.testing.assert_array_equal(episodes.on_policy, 1.0 - repeats)
    assert 0.15 < repeats.mean() < 0.35
    assert (np.abs(action[repeats]) <= 1).all() and np.abs(action[repeats].mean()) < 0.2
    assert (np.ptp(run(0.0, 0.0).transitions.action, axis=1) > 0).all()
    # late: first the actions of the policy, then one that is repeated to the end
    own, late = np.asarray(run(0.0, 1.0).transitions.action), run(1.0, 1.0)
    action = np.asarray(late.transitions.action)
    since = np.array([(one != other).any(axis=-1).argmax() for one, other in zip(own, action, strict=True)])
    assert not late.on_policy.any() and {*since} == set(range(own.shape[1]))
    for one, first in zip(action, since, strict=True):
        assert np.ptp(one[first:], axis=0).max() == 0
    # what an update makes of the others is what it would make of them alone
    size = AdaptState(jax.tree.map(jnp.ones_like, start.params), jax.tree.map(jnp.ones_like, start.latent))
    alone = jax.tree.map(lambda x: x[~repeats], episodes)
    update = jax.jit(partial(inner_loop.update, policy=agent.policy, form="ratio"))
    one, other = (update(start, e, size) for e in (episodes, alone))
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), one, other)


@pytest.mark.parametrize("algorithm", [maml, maesn])
def test_by_relabelling_a_policy_goes_for_what_it_met(algorithm):
    """Its parameters stay the same: it searches, and repeats a skill once a reward was found."""
    family = toys.placed()
    settings = SMALL | ({} if algorithm is maml else {"num_train_tasks": 5})
    agent = algorithm.make(algorithm.Config(**settings), family)
    state = jax.jit(agent.init)(jax.random.key(0))
    budget = Evaluation(
        adapt_steps=6, episodes=6, rule="relabel", fallback=0.5, least_gain=0.5 * family.horizon
    )
    tasks = 0.8 * jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    adapt = jax.jit(jax.vmap(lambda key, task: agent.adapt(key, state, task, budget)))
    acted, curve = adapt(jax.random.split(jax.random.key(1), 4), tasks)
    assert curve.success[:, 0].mean() < 0.5 and curve.success[:, -1].mean() == 1
    jax.tree.map(lambda new, old: np.testing.assert_array_equal(new[0], old), acted.params, state.meta.policy)
