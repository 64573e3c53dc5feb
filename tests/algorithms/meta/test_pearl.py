"""PEARL: who teaches the encoder, and adaptation by posterior sampling."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.algorithms.meta import pearl
from hmrl_cli.compute.finite import all_finite
from hmrl_cli.environment import composition
from hmrl_cli.learning import distributions, sac
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.schema import Evaluation
from tests import toys

SMALL = {
    "num_train_tasks": 6,
    "tasks_per_update": 3,
    "episodes_per_task": 2,
    "gradient_steps": 20,
    "tasks_per_gradient_step": 6,
    "batch_size": 32,
    "buffer_capacity": 1000,
    "latent_size": 2,
    "context_size": 20,
    "kl_lambda": 0.01,
    "encoder_hidden": (32,),
    "encoder_learning_rate": 3e-3,
}


AGENT = {"hidden": (32,), "learning_rate": 3e-3, "discount": 0.8, "entropy_coefficient": 0.02}
DIRECTIONS = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def plain(ends=False):
    return toys.walker(6, ends=ends)


def lifted():
    return composition.lift(toys.walker(12), toys.straight(DIRECTIONS), 2, stochastic=False)


def bound(family, **settings):
    """The learner itself and not its bundle, to ask for its parts."""
    config = pearl.Config(**(SMALL | {"sac": sac.Config(**AGENT)} | settings))
    learner = pearl.make(config, family)
    return learner.step.__self__, learner


@functools.cache
def met(make_family):
    """The parts, the bundle, a fresh state, the state after one update and its metrics.

    At discount 0 the critics' goal is the reward, so that no policy has a say in it.
    """
    agent = sac.Config(**(AGENT | {"discount": 0.0}))
    inner, learner = bound(make_family(), kl_lambda=0.0, context_reward="success", sac=agent)
    before = jax.jit(learner.init)(jax.random.key(0))
    return inner, learner, before, *jax.jit(learner.step)(jax.random.key(1), before)


def test_the_divergence_from_the_prior_is_the_closed_form():
    mean, std = np.array([0.5, -1.0]), np.array([0.3, 2.0])
    expected = np.sum(0.5 * (std**2 + mean**2 - 1) - np.log(std))
    divergence = distributions.prior_divergence(Gaussian(jnp.asarray(mean), jnp.log(jnp.asarray(std))))
    np.testing.assert_allclose(divergence, expected, rtol=1e-6)


SLOW_LIFTED = pytest.param(lifted, marks=pytest.mark.slow)


@pytest.mark.parametrize("family", [plain, SLOW_LIFTED])
def test_the_critics_teach_the_encoder_and_the_policy_does_not(family):
    inner, _, _, state, _ = met(family)
    learn = jax.jit(inner._learn)

    def moved(part):
        """How far the encoder goes in one gradient step, with that part of the agent changed."""
        agent = state.learned.agent
        if part:
            agent = agent._replace(**{part: jax.tree.map(lambda x: x + 0.3, getattr(agent, part))})
        after, _ = learn(jax.random.key(2), state._replace(learned=state.learned._replace(agent=agent)))
        difference = jax.tree.map(jnp.subtract, after.encoder, state.learned.encoder)
        return np.concatenate([np.ravel(x) for x in jax.tree.leaves(difference)])

    assert np.abs(moved(None)).max() > 0
    np.testing.assert_array_equal(moved("policy"), moved(None))
    assert np.abs(moved("critic") - moved(None)).max() > 0


def test_the_weight_of_the_divergence_grows_to_its_setting():
    _, _, _, state, _ = met(plain)

    @functools.partial(jax.jit, static_argnums=1)
    def weight(updates, warmup):
        inner, _ = bound(plain(), kl_lambda=0.3, kl_warmup=warmup)
        context, some = inner._draw(jax.random.key(3), state)
        moving, now = (state.learned.agent.critic, state.learned.encoder), state._replace(updates=updates)
        loss, (_, metrics) = inner.critic_loss(jax.random.key(4), moving, now, context, some)
        return (loss - metrics["critic_loss"]) / metrics["latent_kl"]

    np.testing.assert_allclose(weight(0, 0), 0.3, rtol=1e-4)
    np.testing.assert_allclose([weight(n, 9) for n in (0, 4, 9, 50)], [0.03, 0.15, 0.3, 0.3], rtol=1e-4)


def test_the_context_tells_of_success_in_place_of_the_reward():
    _, _, _, state, _ = met(plain)
    kept = state.replay.data
    rows = np.flatnonzero(state.replay.size)
    count = int(state.replay.size[rows[0]])
    distance = jnp.linalg.norm(kept.next_obs - state.tasks[:, None], axis=-1)[rows, :count]
    np.testing.assert_allclose(kept.reward[rows, :count], -distance, rtol=1e-5)
    np.testing.assert_array_equal(kept.signal[rows, :count], distance < 0.3)
    assert len(rows) == 3 and kept.signal[rows, :count].any()


def test_contexts_come_from_the_phases_that_a_posterior_knows():
    """One phase acts on the prior and one on the posterior, which knows nothing of its own steps."""
    _, _, _, state, _ = met(plain)
    steps = 2 * 6  # of one phase
    rows = np.flatnonzero(state.replay.size)
    assert (state.replay.size[rows] == 2 * steps).all() and (state.recent.size[rows] == steps).all()
    first = jax.tree.map(lambda x: x[rows, :steps], state.replay.data)
    jax.tree.map(
        np.testing.assert_array_equal, first, jax.tree.map(lambda x: x[rows, :steps], state.recent.data)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("family", "margin"), [(plain, 0.8), (lifted, 1.5)])
def test_it_adapts_to_new_tasks(family, margin):
    _, learner = bound(family())
    states, _ = toys.train(learner, 6, num_seeds=2)
    angles = jnp.linspace(0.2, 0.2 + 2 * jnp.pi, 8, endpoint=False)
    tasks = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
    keys = jax.random.split(jax.random.key(2), 8)

    @jax.jit
    @jax.vmap
    def curves(state):
        return jax.vmap(
            lambda key, task: learner.adapt(key, state, task, Evaluation(adapt_steps=2, episodes=4))[1]
        )(keys, tasks)

    returned = np.asarray(curves(states).returned).mean(axis=1)  # [seeds, 3]
    assert (returned[:, -1] > returned[:, 0] + margin).all()


def test_steps_after_an_early_end_are_not_kept_and_say_nothing():
    inner, learner = bound(plain(ends=True))
    state = jax.jit(learner.init)(jax.random.key(0))
    bold = jax.tree.map(lambda x: x + 0.5, state.kept.policy)  # walks to the right, past x = 1
    collect = jax.jit(inner._collect, static_argnums=(3, 4))
    _, _, (steps, valid) = collect(jax.random.key(1), state.kept._replace(policy=bold), jnp.ones(2), 1, 4)
    context, counts = jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), (steps, valid))
    assert 0 < counts.sum() < counts.size and (steps.discount == 0).any()
    spoilt = context._replace(signal=jnp.where(counts > 0, context.signal, 7.0))
    ours, theirs = (inner.inference.latents(state.kept, c, counts) for c in (context, spoilt))
    np.testing.assert_array_equal(ours.mean, theirs.mean)
    np.testing.assert_array_equal(ours.log_std, theirs.log_std)


def test_networks_see_observations_normalised_by_all_that_were_collected():
    inner, learner = bound(plain(ends=True), normalize_observations=True)
    state = jax.jit(learner.init)(jax.random.key(0))
    bold = jax.tree.map(lambda x: x + 0.5, state.learned.agent)  # walks to the right, past x = 1
    learned = state.learned._replace(agent=state.learned.agent._replace(policy=bold.policy))
    state, _ = jax.jit(learner.step)(jax.random.key(1), state._replace(learned=learned))
    rows, capacity = state.replay.data.reward.shape
    met = np.asarray(state.replay.data.obs)[np.arange(capacity) < np.asarray(state.replay.size)[:, None]]
    kept = state.kept
    assert 0 < len(met) < 3 * 2 * 2 * 6 < rows * capacity  # some episodes ended early
    np.testing.assert_allclose(kept.observed.mean, met.mean(axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(kept.observed.variance, met.var(axis=0), rtol=1e-3, atol=1e-4)

    bare = inner.inference._replace(normalizes=False)
    context = jax.tree.map(lambda x: x[int(state.replay.size.argmax()), :5], state.replay.data)
    seen = context._replace(
        **{
            name: (getattr(context, name) - kept.observed.mean) / jnp.sqrt(kept.observed.variance + 1e-6)
            for name in ("obs", "next_obs")
        }
    )
    valid = jnp.ones(5)
    normalised, expected = inner.inference.latents(kept, context, valid), bare.latents(kept, seen, valid)
    np.testing.assert_allclose(normalised.mean, expected.mean, rtol=1e-5, atol=1e-6)
    acts = [
        f.policy_of(kept, jnp.ones(2), True)(jax.random.key(2), x.obs[0])[0]
        for f, x in ((inner.inference, context), (bare, seen), (bare, context))
    ]
    np.testing.assert_allclose(acts[0], acts[1], rtol=1e-5, atol=1e-6)
    assert (acts[0] != acts[2]).any()


@pytest.mark.parametrize("family", [plain, SLOW_LIFTED])
def test_a_step_gives_back_what_it_was_given(family):
    _, learner, before, after, metrics = met(family)
    assert jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype, x.weak_type), before
    )
    assert all_finite((after, metrics)) and all(value.shape == () for value in metrics.values())
    assert learner.steps_per_update == 3 * 2 * 2 * 6


def test_an_episode_keeps_its_latent():
    """Two behaviours from one key agree; the latent comes from what was learned of the task."""
    _, learner, state, _, _ = met(plain)
    adapt = jax.jit(learner.adapt, static_argnums=3)
    adapted, curve = adapt(
        jax.random.key(1), state, jnp.array([0.0, 1.0]), Evaluation(adapt_steps=2, episodes=3)
    )
    assert curve.returned.shape == (3,) and adapted.latent.mean.shape == (2,)
    first, again, other = (learner.behaviour(jax.random.key(k), adapted) for k in (5, 5, 6))
    obs = jnp.array([0.3, 0.2])
    act = [np.asarray(f(jax.random.key(9), obs)[0]) for f in (first, again, other)]
    np.testing.assert_array_equal(act[0], act[1])
    assert (act[0] != act[2]).any()


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="tasks_per_update: found 20; must be at most num_train_tasks, 5"):
        pearl.Config(num_train_tasks=5, tasks_per_update=20)
    with pytest.raises(
        ValueError, match=r"algorithm.buffer_capacity: found 23; must hold one update, 24 steps"
    ):
        bound(plain(), buffer_capacity=23)
