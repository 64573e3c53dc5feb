"""Meta-gradients against finite differences and closed forms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from hmrl_cli.algorithms.meta import maesn, maml
from hmrl_cli.compute import devices
from hmrl_cli.compute.epochs import make_epoch
from hmrl_cli.learning import networks
from hmrl_cli.meta_gradient import inner_loop, trust_region
from hmrl_cli.meta_gradient import learner as meta_gradient
from hmrl_cli.types import AdaptState
from tests.meta_gradient.learners import FAMILY, SMALL, gather, learner, loss_of, slope_of


@pytest.mark.parametrize(
    ("algorithm", "inner_steps", "form"),
    [
        ("maml", 3, "ratio"),
        pytest.param("maesn", 3, "log_prob", marks=pytest.mark.slow),
        pytest.param("maml", 1, "log_prob", marks=pytest.mark.slow),
        pytest.param("maesn", 0, "log_prob", marks=pytest.mark.slow),
        pytest.param("maml", 3, "log_prob", marks=pytest.mark.slow),
        pytest.param("maesn", 1, "log_prob", marks=pytest.mark.slow),
    ],
)
def test_the_meta_gradient_agrees_with_finite_differences(algorithm, inner_steps, form):
    agent = learner(algorithm, inner_steps)
    agent = agent._replace(config=agent.config.model_copy(update={"inner_surrogate": form}))
    meta, batch = gather(agent)
    with jax.enable_x64(True):
        double = partial(jax.tree.map, lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x)
        meta, batch = double(meta), double(batch)

        loss, gradient = loss_of(agent), slope_of(agent)(meta, batch)
        rng = np.random.default_rng(0)
        for _ in range(4):
            along = jax.tree.map(lambda x: rng.normal(size=x.shape), meta)
            ahead, behind = (
                loss(jax.tree.map(lambda x, d, e=e: x + e * d, meta, along), batch) for e in (1e-5, -1e-5)
            )
            products = jax.tree.map(lambda g, d: jnp.sum(g * d), gradient, along)
            np.testing.assert_allclose(sum(jax.tree.leaves(products)), (ahead - behind) / 2e-5, rtol=1e-5)


def test_first_order_is_another_gradient():
    gradients = []
    for first_order in (False, True):
        agent = learner("maml", 1, first_order)
        meta, batch = gather(agent)
        gradients.append(slope_of(agent)(meta, batch).policy)
    first, second = (ravel_pytree(g)[0] for g in gradients)
    cosine = first @ second / (jnp.linalg.norm(first) * jnp.linalg.norm(second))
    assert 0.3 < cosine < 0.9999


def test_the_outer_surrogate_starts_at_ratio_one():
    agent = learner("maml", 2)
    meta, batch = gather(agent)
    steps = agent._loss_phases(batch).transitions
    log_prob = jax.jit(lambda: agent.outputs(meta, batch).log_prob(steps.action))()
    np.testing.assert_allclose(log_prob, steps.log_prob, atol=1e-4)


def test_several_inner_steps_are_the_same_steps_in_a_row():
    agent = learner("maml", 2)
    meta, batch = gather(agent)
    state, update = AdaptState(meta.policy, None), jax.jit(partial(inner_loop.update, policy=agent.policy))
    for count in range(2):
        phase = jax.tree.map(lambda x, count=count: x[0, count], batch.phases)
        size = jax.tree.map(lambda x, count=count: x[count], meta.step_size)
        state = update(state, phase, size)
    expected = jax.jit(agent.policy.apply)(state.params, batch.phases.transitions.obs[0, -1])
    np.testing.assert_allclose(jax.jit(agent.outputs)(meta, batch).mean[0, -1], expected.mean, atol=1e-5)


@pytest.mark.parametrize("algorithm", ["maml", "maesn"])
def test_a_step_scaled_by_the_reward_goes_as_far_as_there_is_to_go(algorithm):
    agent = learner(algorithm, 1)
    meta, batch = gather(agent)
    start = agent._initial_state(meta, None if batch.rows is None else batch.rows[0])
    episodes = jax.tree.map(lambda x: x[0, 0], batch.phases)
    steps = episodes.transitions

    def moves(agent, worth):
        # equal advantages, whatever the rewards
        paid = episodes._replace(transitions=steps._replace(reward=jnp.full_like(steps.reward, worth)))
        new = agent.inner_update(meta, start, jnp.int32(0), paid)
        return ravel_pytree(jax.tree.map(jnp.subtract, new, start))[0]

    scaled = agent._replace(config=agent.config.model_copy(update={"scale_by_reward": True}))
    fixed, scaled = (jax.jit(partial(moves, one)) for one in (agent, scaled))
    assert np.abs(fixed(-1.0)).max() > 1e-3
    np.testing.assert_array_equal(fixed(-3.0), fixed(-1.0))
    for worth in (-3.0, 0.5, 0.0):
        np.testing.assert_allclose(scaled(worth), abs(worth) * np.asarray(fixed(-1.0)), atol=1e-6)


def test_training_draws_each_task_of_the_table_at_most_once_an_update():
    agent = learner("maesn", 1)
    state = jax.jit(agent.init)(jax.random.key(0))
    rows, tasks = jax.jit(agent._draw_tasks)(jax.random.key(3), state.tasks)
    assert len(set(np.asarray(rows))) == 3
    np.testing.assert_array_equal(tasks, state.tasks[rows])


@pytest.mark.parametrize("outer", ["trust_region", pytest.param("clipped", marks=pytest.mark.slow)])
def test_the_latent_of_a_task_that_is_not_met_stays(outer):
    """Whatever conjugate gradients remember, and whatever momentum Adam has."""
    agent = maesn.make(maesn.Config(num_train_tasks=9, outer=outer, **SMALL), FAMILY).step.__self__
    state, step, draw = (
        jax.jit(agent.init)(jax.random.key(0)),
        jax.jit(agent.step),
        jax.jit(agent._draw_tasks),
    )
    for key in jax.random.split(jax.random.key(1), 5):
        before, (state, _) = state, step(key, state)
        rows, _ = draw(jax.random.split(jax.random.clone(key))[0], before.tasks)
        moved = jnp.abs(state.meta.latents.mean - before.meta.latents.mean).max(axis=1)
        assert (moved[rows] > 0).all()
        assert (jnp.delete(moved, rows) == 0).all()


def clipping(inner_steps=2, **settings):
    common = SMALL | dict(inner_steps=inner_steps, learn_step_size=True, outer="clipped", outer_loss="all")
    policy = networks.policy(2, FAMILY.action, (6,), activation="tanh")
    config = maml.Config(**(common | dict(inner_surrogate="ratio") | settings))
    return meta_gradient.MetaGradient(config, FAMILY, policy, AdaptState(0.3, None), 0, 0.0)


def test_promp_has_the_reinforce_direction_and_another_derivative():
    """The ratio's gradient is REINFORCE's; its Hessian has the outer product of the scores besides."""
    agent = clipping(1)
    meta, batch = gather(agent)
    phase = jax.tree.map(lambda x: x[0, 0], batch.phases)
    flat, unravel = ravel_pytree(meta.policy)

    def loss(x, form):
        return inner_loop.surrogate(AdaptState(unravel(x), None), phase, agent.policy, form)

    steps = phase.transitions
    obs, action = steps.obs.reshape(-1, 2), steps.action.reshape(-1, 2)

    @jax.jit
    def derivatives(x):
        slopes, hessians = (
            [derivative(loss)(x, form) for form in ("log_prob", "ratio")]
            for derivative in (jax.grad, jax.hessian)
        )
        score = jax.grad(lambda x, o, a: agent.policy.apply(unravel(x), o).log_prob(a))
        return slopes, hessians, jax.vmap(score, in_axes=(None, 0, 0))(x, obs, action)

    slopes, hessians, scores = jax.tree.map(np.asarray, derivatives(flat))
    np.testing.assert_allclose(*slopes, atol=1e-5)
    outer = np.einsum("t,ti,tj->ij", phase.advantage.ravel(), scores, scores) / len(scores)
    np.testing.assert_allclose(hessians[1] - hessians[0], -outer, atol=1e-4)


def test_the_clipped_loss_stops_paying_beyond_the_clip():
    agent = clipping(1)
    meta, batch = gather(agent)
    steps = agent._loss_phases(batch).transitions

    class Moved:
        """A policy that does everything e^shift times as often."""

        def __init__(self, shift):
            self.shift = shift

        def log_prob(self, action):
            return steps.log_prob + self.shift

    gain = [float(agent.loss(meta, Moved(shift), batch)) for shift in (0.0, 1.0)]
    advantage, valid = agent._loss_phases(batch).advantage[:, 1:], steps.valid[:, 1:]
    factor = jnp.where(advantage > 0, 1.3, jnp.e)
    expected = -meta_gradient.phase_mean(factor * advantage, valid) + 5e-4 * (jnp.e - 2)
    np.testing.assert_allclose(gain[1], expected, rtol=1e-4)
    np.testing.assert_allclose(gain[0], -meta_gradient.phase_mean(advantage, valid), atol=1e-6)


def test_every_phase_of_the_loss_counts_and_each_update_has_its_step_size():
    agent = clipping(2)
    meta, batch = gather(agent)
    assert batch.phases.returned.shape == (3, 3, 4)
    slope = slope_of(agent)(meta, batch).step_size.params
    assert all((leaf != 0).all() and leaf.shape == (2,) for leaf in jax.tree.leaves(slope))
    last = clipping(2, outer_loss="last", outer="trust_region")
    np.testing.assert_array_equal(last._loss_phases(batch).returned, batch.phases.returned[:, 2:])


@pytest.mark.slow
def test_a_few_tasks_at_a_time_are_the_same_step_in_less_memory():
    sizes, found = [], []
    for at_once in (0, 2):
        settings = dict(tasks_per_update=8, episodes_per_task=20, hidden=(64, 64))
        agent = clipping(1, outer="trust_region", outer_loss="last", tasks_at_once=at_once, **settings)
        state = agent.init(jax.random.key(0))
        keys = jax.random.split(jax.random.key(1), 8)
        tasks = jax.vmap(lambda k: FAMILY.sample(k, "train"))(keys)
        gather_all = jax.jit(jax.vmap(partial(agent._collect_phases, state.meta), in_axes=(0, None, 0)))
        batch = gather_all(keys, None, tasks)
        compiled = slope_of(agent).lower(state.meta, batch).compile()
        sizes.append(compiled.memory_analysis().temp_size_in_bytes)
        found.append(ravel_pytree(compiled(state.meta, batch).policy)[0])
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)
    assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.slow  # test_moments shows what is counted
@pytest.mark.parametrize("algorithm", [maml, maesn])
@pytest.mark.parametrize("outer", ["trust_region", "clipped"])
def test_observations_are_normalised_by_all_that_was_seen(algorithm, outer):
    settings = SMALL | dict(normalize_observations=True, outer=outer, learn_step_size=True)
    if algorithm is maesn:
        settings["num_train_tasks"] = 3
    agent = algorithm.make(algorithm.Config(**settings), FAMILY).step.__self__
    before = jax.jit(agent.init)(jax.random.key(0))
    state, _ = jax.jit(agent.step)(jax.random.key(1), before)
    moved = ravel_pytree(state.meta.policy["policy"])[0] - ravel_pytree(before.meta.policy["policy"])[0]
    assert jnp.abs(moved).max() > 1e-4
    obs, observed = gather(agent)[1].phases.transitions.obs, state.meta.policy["observed"]
    np.testing.assert_allclose(observed.mean, obs.mean(axis=(0, 1, 2, 3)), atol=1e-3)
    np.testing.assert_allclose(observed.variance, obs.var(axis=(0, 1, 2, 3)), rtol=1e-2)
    assert observed.seen == pytest.approx(obs[..., 0].size, rel=1e-4)
    # the policy does not see by how much, and where, observations are moved
    acts = jax.jit(agent.policy.apply)
    latent = jnp.ones((*obs.shape[:-1], 2)) if algorithm is maesn else None
    scaled = observed._replace(mean=3.0 * observed.mean + 1.0, variance=9.0 * observed.variance)
    other = state.meta.policy | {"observed": scaled}
    one, same = acts(state.meta.policy, obs, latent), acts(other, 3.0 * obs + 1.0, latent)
    np.testing.assert_allclose(one.mean, same.mean, atol=1e-4)


@pytest.mark.slow  # test_trust_region and test_epochs show it of the parts
def test_seeds_side_by_side_are_those_apart():
    """All that comes before the outer step to five digits, and the step itself where its system is sound.

    A batch of seeds sums in another order.  Without damping, conjugate gradients make anything of that.
    """
    settings = SMALL | dict(num_train_tasks=5, trust_region=trust_region.Config(cg_damping=0.1))
    agent = maesn.make(maesn.Config(**settings), FAMILY)
    keys = jax.random.split(jax.random.key(2), 2)
    state = jax.jit(jax.vmap(agent.init))(jax.random.split(jax.random.key(1), 2))

    one, both = (
        make_epoch(lambda key, state, _: agent.step(key, state), 1, num_seeds=count) for count in (1, 2)
    )

    def trained(epoch, rows):
        mine = jax.tree.map(lambda x: x[rows].copy(), state)
        return epoch(jax.random.clone(keys[rows]), mine, None)[:2]

    together = trained(both, np.arange(2))
    for seed in range(2):
        alone = jax.tree.map(lambda x: x[0], trained(one, np.array([seed])))
        here = jax.tree.map(lambda x, seed=seed: x[seed], together)
        for name in ("return_before", "return_after", "success_after", "reached_after", "loss"):
            np.testing.assert_allclose(alone[1][name], here[1][name], rtol=1e-5, atol=1e-6, err_msg=name)
        moved = ravel_pytree(jax.tree.map(lambda new, old, s=seed: new - old[s], here[0].meta, state.meta))[0]
        apart = ravel_pytree(jax.tree.map(jnp.subtract, here[0].meta, alone[0].meta))[0]
        assert jnp.linalg.norm(apart) < 1e-2 * jnp.linalg.norm(moved)


@pytest.mark.skipif(len(jax.devices()) < 2, reason="run by test_devices.py, which gives it two devices")
@pytest.mark.parametrize(
    ("algorithm", "outer", "normalize"),
    [("maesn", "trust_region", True), ("maml", "clipped", False)],
)
def test_devices_that_share_the_tasks_take_the_step_of_one(algorithm, outer, normalize, monkeypatch):
    agent = learner(algorithm, inner_steps=2)
    settings = {"tasks_per_update": 4, "outer": outer, "trust_region": trust_region.Config(cg_iterations=3)}
    settings["normalize_observations"] = normalize
    agent = agent._replace(config=agent.config.model_copy(update=settings))
    if normalize:
        agent = agent._replace(policy=networks.normalizing(agent.policy, FAMILY.obs_size))
    state = jax.jit(agent.init)(jax.random.key(0))

    def step(_):
        return jax.jit(jax.vmap(agent.step, in_axes=(0, None)))(jax.random.split(jax.random.key(1), 2), state)

    shared = step(0)
    monkeypatch.setattr(devices, "mesh_for", lambda rows: None)
    alone = step(1)
    assert len(shared[1]["loss"].devices()) == 2 and len(alone[1]["loss"].devices()) == 1
    moved = jax.tree.map(lambda new, old: jnp.abs(new - old).max(), alone[0].meta, state.meta)
    assert max(jax.tree.leaves(moved)) > 1e-3
    if normalize:  # what the devices have seen together
        seen = [state[0].meta.policy["observed"].seen for state in (shared, alone)]
        np.testing.assert_array_equal(*seen)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4), shared, alone)
