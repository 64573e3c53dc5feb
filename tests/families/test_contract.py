"""What every task family promises, under either reward.

Each family is compiled once: sixteen episodes run side by side, and every test reads their record.
"""

import functools
import typing
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli import config
from hmrl_cli.config import plugins
from hmrl_cli.evaluation import adaptation
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.learning import returns
from tests.families.each import BODIES, COUNTED, DEAR, NAMES, PHYSICS, REWARDS, SAME_BODY, each, family, make

NUM_STEPS = 1000
ONE, OTHER_TASK, STILL, STILL_AGAIN, OTHER_KEY = range(5)  # the lanes with a role of their own
GUIDED = slice(8, 16)
SEEN = {"pusher": slice(3, None)}  # the part of a task that says where things start, for all to see


def each_recorded(names) -> Any:
    """As `each`, for tests that read the record: one family for each body, all under `make test-slow`."""
    return each(names, slow=(*SAME_BODY, *DEAR))


class Record(NamedTuple):
    """[16, 1000, ...] of every step, under the dense reward, going on after an early end."""

    start: np.ndarray  # [16, obs_size]
    action: np.ndarray
    obs: np.ndarray
    reward: np.ndarray
    success: np.ndarray
    done: np.ndarray
    poses: np.ndarray
    goals: np.ndarray
    energy: np.ndarray  # [..., 2] J, kinetic and potential; 0 without physics


def random_actions(key, size):
    """Actions of -1 or 1, held for five steps, so that some ants fall over."""
    signs = jax.random.rademacher(key, (NUM_STEPS // 5, size), dtype=jnp.float32)
    return jnp.repeat(signs, 5, axis=0)


def energy(body: Any) -> Any:
    """Kinetic and potential energy [2] of the links, J; that of the springs between them is left out."""
    physics = getattr(body, "physics", body)
    if hasattr(physics, "mass_mx"):  # of bodies without gravity alone
        return jnp.stack([physics.qd @ physics.mass_mx @ physics.qd / 2, 0.0])
    if not hasattr(physics, "x_i"):
        return jnp.zeros(2)
    inertia = jnp.linalg.inv(physics.i_inv)
    spin = jnp.einsum("li,lij,lj->", physics.xd_i.ang, inertia, physics.xd_i.ang)
    moving = jnp.sum(physics.mass * jnp.sum(jnp.square(physics.xd_i.vel), axis=-1))
    return jnp.stack([(spin + moving) / 2, 9.81 * jnp.sum(physics.mass * physics.x_i.pos[:, 2])])


@functools.cache
def record(name: str) -> Record:
    one = family(name)

    def episode(key, task, actions, guided):
        def one_step(state, action):
            action = jnp.where(guided, one.controller(state, task), action)
            new = one.step(state, action, task)
            scene = one.scene.poses(new), one.scene.goals(new, task)
            return new, (action, new.obs, new.reward, new.success, new.done, *scene, energy(new.body))

        start = one.reset(key, task)
        return start.obs, jax.lax.scan(one_step, start, actions)[1]

    seeds = jnp.arange(16).at[OTHER_TASK].set(ONE).at[STILL_AGAIN].set(STILL)
    tasks = sample_tasks(one, "test", 16)
    draw_actions = jax.jit(jax.vmap(lambda key: random_actions(key, one.action.size)))
    actions = draw_actions(jax.random.split(jax.random.key(3), 16))
    others = jnp.abs(tasks - tasks[ONE]).max(axis=1) > 0
    tasks = tasks.at[OTHER_TASK].set(tasks[others.argmax()]).at[STILL_AGAIN].set(tasks[STILL])
    if name in SEEN:
        tasks = tasks.at[OTHER_TASK, SEEN[name]].set(tasks[ONE, SEEN[name]])
    tasks = tasks.at[OTHER_KEY].set(tasks[ONE])
    actions = actions.at[OTHER_TASK].set(actions[ONE]).at[STILL : STILL_AGAIN + 1].set(0.0)
    guided = jnp.arange(16) >= GUIDED.start
    start, steps = jax.jit(jax.vmap(episode))(jax.vmap(jax.random.key)(seeds), tasks, actions, guided)
    return Record(*map(np.asarray, (start, *steps)))


@pytest.mark.parametrize(
    ("reward", "name"),
    [
        pytest.param(
            reward,
            name,
            marks=[
                pytest.mark.xdist_group(name),
                *([pytest.mark.slow] if name in SAME_BODY or (name in BODIES and reward == "sparse") else []),
            ],
        )
        for reward in REWARDS
        for name in NAMES
    ],
)
def test_shapes_and_types_of_a_step_are_those_of_the_reset(name, reward):
    one = family(name, reward)
    task = jax.eval_shape(lambda: one.sample(jax.random.key(0), "train"))
    start = jax.eval_shape(one.reset, jax.random.key(0), task)
    after = jax.eval_shape(one.step, start, jnp.zeros(one.action.size), task)
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


@each(NAMES)
def test_features_are_vectors_of_the_observation(name):
    one = family(name)
    obs = jnp.arange(one.obs_size, dtype=jnp.float32)
    np.testing.assert_array_equal(one.features["identity"](obs), obs)
    np.testing.assert_array_equal(one.features["xy"](obs), obs[:2])
    if name in PHYSICS:
        body = one.features["body"](obs)
        np.testing.assert_array_equal(body, obs[-len(body) :])
        assert one.features["velocity"](obs).shape == (one.obs_size - len(body),)


@each_recorded(PHYSICS)
def test_velocity_is_that_of_the_position(name):
    run = record(name)
    velocity = family(name).features["velocity"](run.obs[GUIDED, :40])
    places = run.obs[GUIDED, :40, : velocity.shape[-1]]
    moved = np.diff(places, axis=1) / family(name).scene.dt
    assert np.corrcoef(moved.ravel(), velocity[:, 1:].ravel())[0, 1] > 0.9


@each_recorded(NAMES)
def test_a_thousand_random_steps_stay_finite(name):
    assert all(np.isfinite(leaf).all() for leaf in record(name))


@each_recorded(NAMES)
def test_the_baseline_of_a_few_episodes_is_finite(name):
    """Also of those in which nothing is driven, and of the many features of a body that hardly moves."""
    seen = record(name)
    obs, reward = seen.obs.reshape(80, 4, 50, -1), seen.reward.reshape(80, 4, 50)  # four pieces of one lane

    @jax.jit
    def baseline(obs, reward):
        discounted = jax.vmap(jax.vmap(returns.discounted))(reward, jnp.full_like(reward, 0.99))
        return jax.vmap(returns.linear_baseline)(obs, discounted, jnp.ones_like(discounted))

    assert np.isfinite(baseline(obs, reward)).all()


@each_recorded(NAMES)
def test_the_scene_shows_bodies_of_the_plane_and_goals(name):
    one, run = family(name), record(name)
    assert {shape.body for shape in one.scene.shapes} <= set(range(-1, run.poses.shape[2]))
    assert set(range(run.poses.shape[2])) <= {shape.body for shape in one.scene.shapes}
    np.testing.assert_allclose(np.linalg.norm(run.poses[..., 3:], axis=-1), 1.0, atol=1e-2)
    assert run.goals.shape[2:] == (1, 4) and (run.goals[..., 3] > 0).all()
    away = run.goals[:, -1, 0, :2] - run.poses[:, 0, 0, :2]
    assert np.abs(away[OTHER_TASK] - away[ONE]).max() > 0.01  # another task, another goal


@each_recorded(NAMES)
def test_the_task_is_in_the_reward_and_not_in_the_observation(name):
    run = record(name)
    # within the steps that both see alike, unless what is earned depends on more than one step
    steps = NUM_STEPS if name in COUNTED else 5
    assert np.abs(run.reward[ONE, :steps] - run.reward[OTHER_TASK, :steps]).max() > 2e-3
    np.testing.assert_allclose(run.start[ONE], run.start[OTHER_TASK], atol=1e-6)
    np.testing.assert_allclose(run.obs[ONE, :5], run.obs[OTHER_TASK, :5], atol=1e-3)


@each_recorded(NAMES)
def test_the_same_key_repeats_an_episode(name):
    run = record(name)
    np.testing.assert_array_equal(run.start[STILL], run.start[STILL_AGAIN])
    np.testing.assert_allclose(run.obs[STILL, :10], run.obs[STILL_AGAIN, :10], atol=1e-4)


@each_recorded(PHYSICS)
def test_another_key_starts_elsewhere(name):
    start = record(name).start
    assert np.abs(start[ONE] - start[OTHER_KEY]).max() > 1e-3


@each_recorded(NAMES)
def test_only_a_family_that_says_so_ends_early(name):
    assert record(name).done.any() == family(name).terminates


@each_recorded(PHYSICS)
def test_a_body_that_nothing_drives_comes_to_rest(name):
    """Nothing feeds it energy: what the reset gave it is used up, on its feet or where it slumped.

    Under spring the feet of a standing ant creep by some mm/s.
    """
    one, obs = family(name), record(name).obs[STILL, -100:]
    assert np.ptp(one.features["xy"](obs), axis=0).max() < 0.01 * 100 * one.scene.dt
    assert np.abs(one.features["velocity"](obs)).max() < 0.1


@each_recorded(PHYSICS)
def test_a_body_that_nothing_drives_gains_no_energy(name):
    """A walker's fall also sets free what the springs of its joints held, within its first second."""
    total = record(name).energy[STILL].sum(axis=-1)
    first, later = np.split(total, [round(1.0 / family(name).scene.dt)])
    assert first[0] > 0.0
    assert later.max() <= first.max()
    assert np.ptp(later[-100:]) < 1.0


@each_recorded(NAMES)
def test_the_controller_reaches_the_goal_and_stays(name):
    one, run = family(name), record(name)
    assert run.success[GUIDED, one.horizon - 1].mean() >= 0.7
    assert np.abs(run.action[GUIDED]).max() <= 1.0


def other_backends() -> Any:
    """mjx for every family, and what else a body's own family offers."""
    for name in PHYSICS:
        field = plugins.load("families", name).Config.model_fields["backend"]
        for backend in typing.get_args(field.annotation):
            if backend == "mjx" or (backend != "spring" and name in BODIES):
                yield pytest.param(name, backend, marks=pytest.mark.xdist_group(name))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backend"), list(other_backends()))
def test_other_backends_stay_finite_and_come_to_rest(name, backend):
    one = make(name, backend=backend)

    def episode(seed, action_size):
        task = one.sample(jax.random.key(0), "test")
        actions = random_actions(jax.random.key(seed), one.action.size) * action_size

        def one_step(state, action):
            state = one.step(state, action, task)
            return state, (state.obs, one.scene.poses(state))

        return jax.lax.scan(one_step, one.reset(jax.random.key(seed), task), actions)[1]

    run = jax.jit(jax.vmap(episode))(jnp.arange(4), jnp.array([1.0, 1.0, 1.0, 0.0]))
    obs, poses = map(np.asarray, run)
    # The poses are the simulation's own, finite only while it is.  Under random torques an ant of generalized
    # may explode, long after its horizon.
    assert np.abs(poses[:3, : one.horizon]).max() < 1e3 and np.abs(poses[3]).max() < 1e3
    assert np.abs(one.features["velocity"](obs[3, -100:])).max() < 0.1
    assert np.abs(np.diff(obs[:3], axis=1)).max() > 0.01  # and the others moved


SETTINGS = [  # family or preset, what differs from it, split, and the least share of successes
    ("wheeled@maesn", {}, "test", 0.9),
    ("ant_goal@maesn", {}, "test", 0.3),
    ("pusher@maesn", {}, "test", 0.9),
    ("sparse_point@varibad", {}, "test", 1.0),
    ("ant_maze", {"layout": "u_maze"}, "hidden", 0.9),
    ("ant_maze", {"layout": "corridor"}, "test", 0.9),
    ("ant_maze", {"layout": "corridor"}, "hidden", 0.9),
    ("half_cheetah_dir", {"directions": "forward"}, "hidden", 1.0),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "changes", "split", "least"), SETTINGS)
def test_the_controller_works_in_other_settings(name, changes, split, least):
    """Sparse: it is above the flat line, and succeeds."""
    settings = config.family_of(name).model_copy(update={"reward": "sparse", **changes})
    one = plugins.load("families", settings.name).make(settings)
    lines = adaptation.reference_lines(one, sample_tasks(one, split, 16))
    assert lines["feasible"] > lines["flat"] and lines["feasible_success"] >= least


@each(NAMES)
@pytest.mark.parametrize("wrong", [{"horizon": 0}, {"reward": "shaped"}, {"no_such": 1.0}])
def test_a_wrong_setting_is_refused(name, wrong):
    with pytest.raises(ValueError):
        make(name, **wrong)
