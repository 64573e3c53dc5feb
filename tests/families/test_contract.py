"""What every task family promises, under either reward.

Each family is compiled once: sixteen episodes run side by side, and every test reads their record.
"""

import functools
import importlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.families import _physics
from hmrl_cli.rollout import advance
from hmrl_cli.types import TaskFamily

NAMES = ["point", "sparse_point", "wheeled", "ant_goal"]
REWARDS = ["dense", "sparse"]
PHYSICS = ["wheeled", "ant_goal"]
# Sparse - dense reward inside the disc, and a spread of goals around the start that puts some inside.
OFFSET = {"point": (0.1, 0.1), "sparse_point": (1.0, 0.2), "wheeled": (0.0, 0.8), "ant_goal": (0.0, 0.8)}
NUM_STEPS = 200
ONE, OTHER_TASK, STILL, STILL_AGAIN = 0, 1, 2, 3  # the lanes with a role of their own
GUIDED = slice(8, 16)


class Record(NamedTuple):
    """[16, 200, ...] of every step, under the dense reward."""

    start: np.ndarray  # [16, obs_size]
    action: np.ndarray
    obs: np.ndarray
    reward: np.ndarray
    success: np.ndarray
    done: np.ndarray


def make(name: str, **settings) -> TaskFamily:
    module = importlib.import_module(f"hmrl_cli.families.{name}")
    return module.make(module.Config(**settings))


@functools.cache
def family(name: str, reward: str = "dense") -> TaskFamily:
    return make(name, reward=reward)


def random_actions(key, size):
    """Actions of -1 or 1, held for five steps, so that some ants fall over."""
    signs = jax.random.rademacher(key, (NUM_STEPS // 5, size), dtype=jnp.float32)
    return jnp.repeat(signs, 5, axis=0)


@functools.cache
def record(name: str) -> Record:
    one = family(name)

    def episode(key, task, actions, guided):
        def one_step(state, action):
            action = jnp.where(guided, one.controller(state, task), action)
            new = advance(one, state, action, task)
            return new, (action, new.obs, new.reward, new.success, new.done)

        start = one.reset(key, task)
        return start.obs, jax.lax.scan(one_step, start, actions)[1]

    seeds = jnp.arange(16).at[OTHER_TASK].set(ONE).at[STILL_AGAIN].set(STILL)
    tasks = jax.vmap(lambda key: one.sample(key, "test"))(jax.random.split(jax.random.key(2), 16))
    actions = jax.vmap(lambda key: random_actions(key, one.action.size))(
        jax.random.split(jax.random.key(3), 16)
    )
    tasks = tasks.at[STILL_AGAIN].set(tasks[STILL])
    actions = actions.at[OTHER_TASK].set(actions[ONE]).at[STILL : STILL_AGAIN + 1].set(0.0)
    guided = jnp.arange(16) >= GUIDED.start
    start, steps = jax.jit(jax.vmap(episode))(jax.vmap(jax.random.key)(seeds), tasks, actions, guided)
    return Record(*map(np.asarray, (start, *steps)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reward", REWARDS)
def test_shapes_and_types_of_a_step_are_those_of_the_reset(name, reward):
    one = family(name, reward)
    task = one.sample(jax.random.key(0), "train")
    start = jax.eval_shape(one.reset, jax.random.key(0), task)
    action = jnp.zeros(one.action.size)
    after = jax.eval_shape(one.step, start, action, task)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), start) == jax.tree.map(
        lambda x: (x.shape, x.dtype), after
    )
    assert not any(x.weak_type for x in jax.tree.leaves((start, after)))
    assert (task.shape, task.dtype) == ((one.task_size,), jnp.float32)
    assert (start.obs.shape, start.obs.dtype) == ((one.obs_size,), jnp.float32)
    assert (start.reward.shape, start.reward.dtype) == ((), jnp.float32)
    assert {(x.shape, x.dtype) for x in (start.success, start.reached, start.done)} == {((), jnp.dtype(bool))}
    assert jax.eval_shape(one.controller, start, task).shape == (one.action.size,)
    assert one.name == name


@pytest.mark.parametrize("name", NAMES)
def test_features_are_vectors_of_the_observation(name):
    one = family(name)
    obs = jnp.arange(one.obs_size, dtype=jnp.float32)
    np.testing.assert_array_equal(one.features["identity"](obs), obs)
    np.testing.assert_array_equal(one.features["xy"](obs), obs[:2])
    if name in PHYSICS:
        np.testing.assert_array_equal(one.features["body"](obs), obs[2:])
        assert one.features["velocity"](obs).shape == (2,)


@pytest.mark.parametrize("name", PHYSICS)
def test_velocity_is_that_of_the_position(name):
    run = record(name)
    velocity = family(name).features["velocity"](run.obs[GUIDED, :40])
    moved = np.diff(run.obs[GUIDED, :40, :2], axis=1) / 0.05
    assert np.corrcoef(moved.ravel(), velocity[:, 1:].ravel())[0, 1] > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_random_steps_stay_finite(name):
    assert all(np.isfinite(leaf).all() for leaf in record(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_task_is_in_the_reward_and_not_in_the_observation(name):
    run = record(name)
    np.testing.assert_array_equal(run.start[ONE], run.start[OTHER_TASK])
    np.testing.assert_allclose(run.obs[ONE, :10], run.obs[OTHER_TASK, :10], atol=1e-4)
    assert np.abs(run.reward[ONE, :10] - run.reward[OTHER_TASK, :10]).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_the_same_key_repeats_an_episode(name):
    run = record(name)
    np.testing.assert_array_equal(run.start[STILL], run.start[STILL_AGAIN])
    np.testing.assert_allclose(run.obs[STILL, :10], run.obs[STILL_AGAIN, :10], atol=1e-4)


@pytest.mark.parametrize("name", PHYSICS)
def test_another_key_starts_elsewhere(name):
    run = record(name)
    assert np.abs(run.start[STILL] - run.start[ONE]).max() > 1e-3


class Coasting(NamedTuple):
    q: jax.Array
    qd: jax.Array


def coasting(xml, *, backend, dt, substeps):
    """Stands for the physics where only the reward matters: nothing moves, and nothing is compiled."""
    sizes = {True: (15, 14), False: (3, 3)}["ant" in xml]
    upright = jnp.zeros(sizes[0]).at[2].set(0.55)
    return _physics.Physics(Coasting, lambda state, control: state, upright, sizes[1], dt)


@pytest.mark.parametrize("name", NAMES)
def test_sparse_is_dense_inside_the_disc_and_flat_outside(name, monkeypatch):
    monkeypatch.setattr(_physics, "load", coasting)
    dense, sparse = make(name, reward="dense"), make(name, reward="sparse")
    tasks = 1.5 * jax.random.normal(jax.random.key(0), (256, 2)) * OFFSET[name][1]
    actions = jax.random.normal(jax.random.key(1), (256, dense.action.size))

    def pay(family, task, action):
        state = family.step(family.reset(jax.random.key(2), task), action, task)
        return state.reward, state.success

    (dense_reward, inside), (sparse_reward, inside_too) = (
        map(np.asarray, jax.vmap(functools.partial(pay, one))(tasks, actions)) for one in (dense, sparse)
    )
    assert 10 < inside.sum() < 246
    np.testing.assert_array_equal(inside, inside_too)
    np.testing.assert_allclose(sparse_reward[inside], dense_reward[inside] + OFFSET[name][0], atol=1e-5)
    effort = np.square(np.clip(actions, -1, 1)).sum(axis=-1)
    flat = {
        "point": np.zeros(256),
        "sparse_point": np.zeros(256),
        "wheeled": -np.linalg.norm(tasks, axis=-1) - 0.05 * 4 * effort,
        "ant_goal": 4.05 - np.abs(tasks).sum(axis=-1) - 0.005 * effort,
    }[name]
    np.testing.assert_allclose(sparse_reward[~inside], flat[~inside], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_only_a_family_that_says_so_ends_early(name):
    assert record(name).done.any() == family(name).terminates


@pytest.mark.parametrize("name", NAMES)
def test_the_controller_reaches_the_goal_and_stays(name):
    one, run = family(name), record(name)
    assert run.success[GUIDED, one.horizon - 1].mean() >= 0.8
    assert np.abs(run.action[GUIDED]).max() <= 1.0
    assert not run.success[STILL].any()


def draws(name, split, seed=0, number=200):
    keys = jax.random.split(jax.random.key(seed), number)
    return np.asarray(jax.vmap(lambda key: family(name).sample(key, split))(keys))


@pytest.mark.parametrize("name", NAMES)
def test_no_task_of_one_split_is_a_task_of_another(name):
    train, test = draws(name, "train"), draws(name, "test")
    assert np.abs(train[:, None] - test[None]).max(axis=-1).min() > 0
    np.testing.assert_allclose(train.mean(axis=0), test.mean(axis=0), atol=0.5)
    np.testing.assert_array_equal(train, draws(name, "train"))


@pytest.mark.parametrize(("name", "radius"), [("sparse_point", 1.0), ("wheeled", 2.0), ("ant_goal", 2.0)])
def test_goals_lie_on_the_upper_half_circle_and_hidden_ones_on_the_lower(name, radius):
    for split, side in (("train", 1), ("test", 1), ("hidden", -1)):
        goals = draws(name, split)
        np.testing.assert_allclose(np.linalg.norm(goals, axis=-1), radius, rtol=1e-5)
        assert (side * goals[:, 1] >= 0).all()


def test_hidden_goals_of_point_lie_around_the_training_square():
    assert np.abs(draws("point", "train")).max() <= 0.5
    hidden = np.abs(draws("point", "hidden", number=2000)).max(axis=-1)
    assert hidden.min() >= 0.5 and hidden.max() <= 1.0
    # Uniform in area: three quarters of the way out in one coordinate holds (1.5^2 - 1) / 3 of it.
    assert np.mean(hidden < 0.75) == pytest.approx(5 / 12, abs=0.05)
    assert np.abs(draws("point", "hidden", number=2000).mean(axis=0)).max() < 0.05


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "wrong", [{"horizon": 0}, {"reward": "shaped"}, {"sparse_radius": -1.0}, {"speed": 1.0}]
)
def test_a_wrong_setting_is_refused(name, wrong):
    with pytest.raises(ValueError):
        make(name, **wrong)
