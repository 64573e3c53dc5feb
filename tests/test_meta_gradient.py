from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from hmrl_cli import adaptation, meta_gradient, networks
from hmrl_cli.algorithms import maesn, maml
from hmrl_cli.config import Evaluation
from hmrl_cli.distributions import Gaussian
from hmrl_cli.types import AdaptState
from tests import toys

SMALL = dict(tasks_per_update=3, episodes_per_task=4, hidden=(6,), activation="tanh")
FAMILY = toys.walker(horizon=4)


def learner(algorithm, inner_steps, first_order=False):
    latent_size = 2 if algorithm == "maesn" else 0
    settings = SMALL | dict(inner_steps=inner_steps, first_order=first_order, learn_step_size=True)
    policy = networks.policy(2, FAMILY.action, (6,), latent_size=latent_size, activation="tanh")
    if algorithm == "maml":
        return meta_gradient.MetaGradient(
            maml.Config(**settings), FAMILY, policy, AdaptState(0.3, None), latent_size=0, kl_weight=0.0
        )
    size = Gaussian(np.full(2, 0.4), np.full(2, 0.4))
    return meta_gradient.MetaGradient(
        maesn.Config(num_train_tasks=5, **settings), FAMILY, policy, AdaptState(None, size), 2, 0.1
    )


def gather(agent):
    state = agent.init(jax.random.key(0))
    task_key, key = jax.random.split(jax.random.key(1))
    rows, tasks = agent._draw_tasks(task_key, state.tasks)
    batch = jax.jit(jax.vmap(partial(agent._gather, state.meta)))(jax.random.split(key, 3), rows, tasks)
    return state.meta, batch


@pytest.mark.parametrize("algorithm", ["maml", "maesn"])
@pytest.mark.parametrize("inner_steps", [1, 3])
def test_the_meta_gradient_agrees_with_finite_differences(algorithm, inner_steps):
    agent = learner(algorithm, inner_steps)
    meta, batch = gather(agent)
    with jax.enable_x64(True):
        double = partial(jax.tree.map, lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x)
        meta, batch = double(meta), double(batch)

        @jax.jit
        def loss(meta):
            return agent.loss(meta, agent.outputs(meta, batch), batch)

        gradient = jax.jit(jax.grad(loss))(meta)
        rng = np.random.default_rng(0)
        for _ in range(4):
            along = jax.tree.map(lambda x: rng.normal(size=x.shape), meta)
            ahead, behind = (
                loss(jax.tree.map(lambda x, d, e=e: x + e * d, meta, along)) for e in (1e-5, -1e-5)
            )
            products = jax.tree.map(lambda g, d: jnp.sum(g * d), gradient, along)
            np.testing.assert_allclose(sum(jax.tree.leaves(products)), (ahead - behind) / 2e-5, rtol=1e-5)


def test_first_order_is_another_gradient():
    gradients = []
    for first_order in (False, True):
        agent = learner("maml", 1, first_order)
        meta, batch = gather(agent)
        gradients.append(jax.grad(lambda m, a=agent, b=batch: a.loss(m, a.outputs(m, b), b))(meta).policy)
    first, second = (ravel_pytree(g)[0] for g in gradients)
    cosine = first @ second / (jnp.linalg.norm(first) * jnp.linalg.norm(second))
    assert 0.3 < cosine < 0.9999


def test_the_outer_surrogate_starts_at_ratio_one():
    agent = learner("maml", 2)
    meta, batch = gather(agent)
    steps = agent._judged(batch).transitions
    np.testing.assert_allclose(agent.outputs(meta, batch).log_prob(steps.action), steps.log_prob, atol=1e-4)


def test_several_inner_steps_are_the_same_steps_in_a_row():
    agent = learner("maml", 2)
    meta, batch = gather(agent)
    state = AdaptState(meta.policy, None)
    for count in range(2):
        phase = jax.tree.map(lambda x, count=count: x[0, count], batch.phases)
        size = jax.tree.map(lambda x, count=count: x[count], meta.step_size)
        state = adaptation.update(state, phase, size, agent.policy)
    expected = agent.policy.apply(state.params, batch.phases.transitions.obs[0, -1])
    np.testing.assert_allclose(agent.outputs(meta, batch).mean[0, -1], expected.mean, atol=1e-5)


def test_training_draws_each_task_of_the_table_at_most_once_an_update():
    agent = learner("maesn", 1)
    state = agent.init(jax.random.key(0))
    rows, tasks = agent._draw_tasks(jax.random.key(3), state.tasks)
    assert len(set(np.asarray(rows))) == 3
    np.testing.assert_array_equal(tasks, state.tasks[rows])


def test_at_test_time_the_latent_starts_at_its_prior():
    agent = learner("maesn", 1)
    state = agent.init(jax.random.key(0))
    far = state.meta.latents._replace(mean=state.meta.latents.mean + 100.0)
    adapt = jax.jit(agent.adapt, static_argnums=3)
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
