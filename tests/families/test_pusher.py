"""The pusher: contacts that are real, tasks in lanes, closed forms of doing nothing.

One program is compiled for all of it: every test reads the record of episodes that ran side by side.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli import config
from hmrl_cli.environment.rollout import advance
from hmrl_cli.families import _physics, pusher

pytestmark = pytest.mark.xdist_group("pusher")  # one process, which compiles `record` once

STEPS = 50
BLOCK_RADIUS, FINGER_RADIUS, FINGER = 0.05, 0.03, 0.045  # m, the last from the middle of the gripper
BLOCK_MASS = 0.1
FAR = [(3.0, -2.0), (3.0, -1.0), (3.0, 0.0), (3.0, 1.0), (3.0, 2.0)]  # places out of the way
AHEAD, OFF_CENTRE, CHAIN, SIDEWAYS = 0, 1, 2, 3  # the lanes with a role of their own
STAGED = slice(0, 4)
STILL = slice(4, 8)
THROWN = slice(8, 24)  # thrown at the blocks for 6 steps, then nothing
TEST = slice(24, 40)  # under the controller
HIDDEN = slice(40, 56)


class Record(NamedTuple):
    """Of every episode and step, under the dense reward."""

    start: np.ndarray  # [56, 26]
    obs: np.ndarray  # [56, 50, 26]
    reward: np.ndarray  # [56, 50]
    success: np.ndarray  # [56, 50]
    poses: np.ndarray  # [56, 50, 6, 7]

    def gripper(self):
        return self.obs[..., :2]

    def blocks(self):
        return self.obs[..., 3:13].reshape(*self.obs.shape[:-1], 5, 2)

    def block_speeds(self):
        return np.linalg.norm(self.obs[..., 16:26].reshape(*self.obs.shape[:-1], 5, 2), axis=-1)


@functools.cache
def family(**settings):
    return pusher.make(pusher.Config(**settings))


def draws(split, number=16, seed=0, **settings):
    keys = jax.random.split(jax.random.key(seed), number)
    sample = family(**settings).sample  # made outside of the tracing
    return jax.jit(jax.vmap(lambda key: sample(key, split)))(keys)


def staged(**places):
    """A task with the gripper at the origin and blocks where they are put, the others out of the way."""
    blocks = np.array([places.get(f"block_{b}", FAR[b]) for b in range(5)])
    start = blocks - np.array([[0.2 * (b + 1), 0.0] for b in range(5)])
    return jnp.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0, *start.ravel()])


def tasks():
    return jnp.concatenate(
        [
            jnp.stack(
                [
                    staged(block_0=(0.3, 0.0)),
                    staged(block_0=(0.3, 0.03)),
                    staged(block_0=(0.3, 0.0), block_3=(0.45, 0.0)),
                    staged(block_0=(0.0, 0.3)),
                ]
            ),
            draws("test", seed=1)[:4],
            draws("test", seed=2),
            draws("test", seed=3),
            draws("hidden", seed=4),
        ]
    )


def actions():
    """Staged: full force for 20 steps, 10 back, then nothing."""
    push = jnp.concatenate([jnp.ones(20), -jnp.ones(10), jnp.zeros(20)])
    way = jnp.zeros((4, 3)).at[:3, 0].set(1.0).at[SIDEWAYS, 1].set(1.0)
    throw = jax.random.uniform(jax.random.key(5), (16, 1, 3), minval=-1.0).at[..., 0].set(1.0)
    all_of_them = jnp.zeros((56, STEPS, 3)).at[STAGED].set(way[:, None] * push[:, None])
    return all_of_them.at[THROWN, :6].set(throw)


@functools.cache
def record(backend="spring"):
    one = family(backend=backend)

    def episode(key, task, actions, guided):
        def one_step(state, action):
            action = jnp.where(guided, one.controller(state, task), action)
            new = advance(one, state, action, task)
            return new, (new.obs, new.reward, new.success, one.scene.poses(new))

        start = one.reset(key, task)
        return start.obs, jax.lax.scan(one_step, start, actions)[1]

    keys = jax.random.split(jax.random.key(6), 56)
    start, steps = jax.jit(jax.vmap(episode))(keys, tasks(), actions(), jnp.arange(56) >= TEST.start)
    return Record(*map(np.asarray, (start, *steps)))


@pytest.mark.slow
def test_the_observation_shows_where_the_bodies_of_the_scene_are():
    run = record()
    np.testing.assert_allclose(run.gripper(), run.poses[:, :, 0, :2], atol=1e-5)
    np.testing.assert_allclose(run.blocks(), run.poses[:, :, 1:, :2], atol=1e-5)
    angle = 2.0 * np.arctan2(run.poses[:, :, 0, 6], run.poses[:, :, 0, 3])
    np.testing.assert_allclose(np.cos(run.obs[..., 2] - angle), 1.0, atol=1e-4)
    assert np.abs(run.obs[..., 2]).max() <= np.float32(np.pi)
    np.testing.assert_allclose(run.poses[..., 2], 0.05, atol=1e-5)  # all of it stays in the plane
    np.testing.assert_array_equal(family().features["blocks"](run.obs), run.obs[..., 3:13])


def test_a_reset_puts_everything_where_the_task_says():
    run, rows = record(), np.asarray(tasks())
    rest = np.array([[0.2 * (b + 1), 0.0] for b in range(5)])
    np.testing.assert_allclose(run.start[:, 3:13], rows[:, 6:] + rest.ravel(), atol=1e-6)
    noise = run.start[:, :3] - rows[:, 3:6]
    assert 0.005 < noise.std() < 0.02
    np.testing.assert_array_equal(run.start[:, 13:], 0.0)


def test_doing_nothing_earns_the_flat_dense_return():
    run, rows = record(), np.asarray(tasks())[STILL]
    block = run.start[STILL, 3:13].reshape(4, 5, 2)[np.arange(4), rows[:, 0].astype(int)]
    distance = np.linalg.norm(block - rows[:, 1:3], axis=-1)
    np.testing.assert_allclose(run.reward[STILL].sum(axis=1), -5.0 * distance * STEPS, rtol=1e-4)
    np.testing.assert_array_equal(run.success[STILL, -1], distance <= 0.2)


class Resting(NamedTuple):
    q: jax.Array
    qd: jax.Array


def resting(xml, *, backend, dt, substeps):
    """Stands for the physics where only the reward matters: nothing moves, and nothing is compiled."""
    return _physics.Physics(Resting, lambda state, control: state, jnp.zeros(13), 13, 13, dt, (), None)


def test_sparse_is_dense_inside_the_disc_and_that_of_the_origin_outside(monkeypatch):
    rows = draws("train", 200)
    monkeypatch.setattr(_physics, "load", resting)
    # Half of the goals within reach of the block where it starts.
    near = jax.vmap(lambda row: pusher._block(row[3:] + jnp.append(jnp.zeros(3), pusher._rest()), row))(rows)
    shift = 0.2 * jax.random.normal(jax.random.key(7), (100, 2))
    rows = rows.at[:100, 1:3].set(near[:100] + shift)

    def pay(reward, row):
        one = pusher.make(pusher.Config(reward=reward))
        state = one.step(one.reset(jax.random.key(8), row), jnp.zeros(3), row)
        return state.reward, state.success

    (dense, inside), (sparse, inside_too) = (
        map(np.asarray, jax.jit(jax.vmap(functools.partial(pay, reward)))(rows))
        for reward in ("dense", "sparse")
    )
    np.testing.assert_allclose(dense[:100], -5.0 * np.linalg.norm(shift, axis=-1), atol=1e-5)
    np.testing.assert_array_equal(inside, inside_too)
    np.testing.assert_array_equal(inside, dense >= -1.0)
    assert 20 < inside[:100].sum() < 80
    np.testing.assert_array_equal(sparse[inside], dense[inside])
    flat = -5.0 * np.linalg.norm(rows[:, 1:3], axis=-1)
    np.testing.assert_allclose(sparse[~inside], flat[~inside], rtol=1e-6)


def test_a_block_that_is_hit_moves_and_others_stay_put():
    run = record()
    assert run.start[AHEAD, 3] == pytest.approx(0.3)
    assert run.blocks()[AHEAD, -1, 0, 0] > 0.6
    assert run.blocks()[SIDEWAYS, -1, 0, 1] > 0.6
    for lane, moved in ((AHEAD, {0}), (OFF_CENTRE, {0}), (CHAIN, {0, 3}), (SIDEWAYS, {0})):
        way = np.linalg.norm(run.blocks()[lane, -1] - run.start[lane, 3:13].reshape(5, 2), axis=-1)
        assert set(np.flatnonzero(way > 1e-5)) == moved


def test_a_block_pushes_the_next_one_along():
    """The gripper itself never comes near to it."""
    run = record()
    reach = run.gripper()[CHAIN, :, 0] + FINGER + FINGER_RADIUS
    behind = run.blocks()[CHAIN, :, 3, 0] - BLOCK_RADIUS
    assert run.blocks()[CHAIN, -1, 3, 0] > 0.7
    assert (reach[:20] < behind[:20] + 0.06).all()


def test_the_fingers_hold_a_block_that_lies_off_centre():
    run = record()
    offset = run.blocks()[OFF_CENTRE, :20, 0] - run.gripper()[OFF_CENTRE, :20]
    angle = run.obs[OFF_CENTRE, :20, 2]
    aside = offset[:, 1] * np.cos(angle) - offset[:, 0] * np.sin(angle)
    assert (offset[:, 0] > 0.0).all()  # never past the fingers
    assert np.abs(aside[-5:]).max() < 0.02  # settled between them


def test_a_pushed_block_stops_once_it_is_let_go():
    run = record()
    speed = run.block_speeds()[AHEAD, :, 0]
    assert speed[19] > 0.5
    # The drag alone takes exp(-1.5 dt / mass) = 0.47 of it in a step.
    np.testing.assert_allclose(speed[22:27] / speed[21:26], 0.45, atol=0.05)
    assert speed[-1] < 1e-5


def test_energy_does_not_grow_when_nothing_acts():
    """The gripper coasts into the blocks, and they into each other."""
    run = record()
    inertia = np.array([0.25, 0.25, 0.04, *[BLOCK_MASS] * 10])
    energy = 0.5 * (inertia * np.square(run.obs[THROWN, 5:, 13:])).sum(axis=-1)  # [16, 45]
    assert (energy[:, 0] > 0.1).all()
    still = run.block_speeds()[THROWN, 5].max(axis=1) < 1e-3
    hit = run.block_speeds()[THROWN, 6:].max(axis=(1, 2)) > 0.3
    assert (still & hit).sum() >= 8
    assert (np.diff(energy, axis=1) <= 1e-6).all()


def overlaps(run):
    """How deep the deepest contact is [56, 50], m: of a finger with a block, of two blocks."""
    angle, blocks = run.obs[..., 2], run.blocks()
    left = FINGER * np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
    fingers = np.stack([run.gripper() + left, run.gripper() - left], axis=-2)
    finger_gaps = np.linalg.norm(fingers[..., :, None, :] - blocks[..., None, :, :], axis=-1)
    first, second = np.triu_indices(5, k=1)
    block_gaps = np.linalg.norm(blocks[..., first, :] - blocks[..., second, :], axis=-1)
    return FINGER_RADIUS + BLOCK_RADIUS - finger_gaps.min(axis=(-1, -2)), 2 * BLOCK_RADIUS - block_gaps.min(
        -1
    )


def test_bodies_do_not_sink_into_each_other():
    of_fingers, of_blocks = overlaps(record())
    assert of_fingers.max() > -1e-3 and of_blocks.max() > -1e-3  # they touch
    assert of_fingers.max() < 0.05 and of_blocks.max() < 0.05
    assert np.quantile(of_fingers, 0.99) < 0.02 and np.quantile(of_blocks, 0.99) < 0.02


@pytest.mark.parametrize("lanes", [TEST, HIDDEN], ids=["test", "hidden"])
def test_the_controller_pushes_the_block_to_its_goal_and_leaves_it_there(lanes):
    run, rows = record(), np.asarray(tasks())[lanes]
    assert run.success[lanes, -1].mean() >= 0.9
    block = run.blocks()[lanes][np.arange(16), -1, rows[:, 0].astype(int)]
    assert np.median(np.linalg.norm(block - rows[:, 1:3], axis=-1)) < 0.05
    assert run.success[lanes, 0].mean() < 0.3


def test_every_lane_has_one_block_and_the_goal_is_ahead_in_that_of_its_block():
    for split in ("train", "test", "hidden"):
        rows = np.asarray(draws(split, 500))
        np.testing.assert_array_equal(rows[:, 3:6], 0.0)
        blocks = rows[:, 6:].reshape(-1, 5, 2) + np.array([[0.2 * (b + 1), 0.0] for b in range(5)])
        assert 0.35 - 1e-6 <= blocks[..., 0].min() < 0.36 < 0.64 < blocks[..., 0].max() <= 0.65 + 1e-6
        lanes = np.floor((blocks[..., 1] + 0.5) / 0.2).astype(int)
        np.testing.assert_array_equal(np.sort(lanes, axis=1), np.tile(np.arange(5), (500, 1)))
        assert {tuple(row) for row in np.eye(5)[lanes].mean(axis=0).round(1)} == {(0.2,) * 5}  # shuffled
        gaps = np.linalg.norm(blocks[:, :, None] - blocks[:, None], axis=-1) + np.eye(5)
        assert gaps.min() > 2 * BLOCK_RADIUS
        block, goal = rows[:, 0].astype(int), rows[:, 1:3]
        assert set(block) == set(range(5))
        assert 0.75 - 1e-6 <= goal[:, 0].min() < 0.76 < 0.94 < goal[:, 0].max() <= 0.95 + 1e-6
        goal_lane = np.floor((goal[:, 1] + 0.5) / 0.2).astype(int)
        same = goal_lane == lanes[np.arange(500), block]
        assert not same.any() if split == "hidden" else same.all()
        assert set(goal_lane) == set(range(5))


def test_training_tasks_may_share_their_arrangements():
    """The observation then no longer tells which block matters, nor where it is to go."""
    rows = np.asarray(draws("train", 60, tasks_per_arrangement=25))
    pictures = {tuple(row[3:]) for row in rows}
    assert len(pictures) == 4
    for picture in pictures:
        tasks = rows[(rows[:, 3:] == picture).all(axis=1)]
        assert len(set(tasks[:, 0])) >= 4 and len(set(tasks[:, 1])) == len(tasks)
    assert {
        tuple(row[3:]) for row in np.asarray(draws("train", 60, seed=1, tasks_per_arrangement=25))
    } == pictures
    test = np.asarray(draws("test", 60, tasks_per_arrangement=25))
    assert len({tuple(row[3:]) for row in test}) == 60  # those to be tested on are new ones
    np.testing.assert_array_equal(test, draws("test", 60))


@pytest.mark.parametrize("wrong", [{"reward": "shaped"}, {"sparse_radius": 0.0}, {"backend": "positional"}])
def test_a_wrong_setting_is_refused(wrong):
    with pytest.raises(ValueError):
        pusher.Config(**wrong)


@pytest.mark.slow
def test_the_controller_solves_the_setting_of_maesn():
    """With its body and its 100 steps of 10 ms: the sparse return is well above the flat one.

    In the authors' model, in MuJoCo, with square blocks, the same controller has -209 and .87 on their tasks.
    """
    one = pusher.make(config.family_of("pusher@maesn").model_copy(update={"reward": "sparse"}))

    def episode(key, task):
        def one_step(state, _):
            new = one.step(state, one.controller(state, task), task)
            return new, (new.reward, new.success, new.obs)

        return jax.lax.scan(one_step, one.reset(key, task), None, one.horizon)[1]

    rows = draws("test", 64)
    run = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(9), 64), rows)
    reward, success, obs = map(np.asarray, run)
    flat = -5.0 * one.horizon * np.linalg.norm(rows[:, 1:3], axis=-1)
    assert success[:, -1].mean() >= 0.9
    assert reward.sum(axis=1).mean() > 0.45 * flat.mean()
    # No block gets into the palm, which reaches from y = -.1 to .1 m of the gripper.
    away = obs[..., 3:13].reshape(64, 100, 5, 2) - obs[..., None, :2]
    cos, sin = np.cos(obs[..., 2:3]), np.sin(obs[..., 2:3])
    ahead, aside = away[..., 0] * cos + away[..., 1] * sin, away[..., 1] * cos - away[..., 0] * sin
    assert np.hypot(ahead, np.maximum(np.abs(aside) - 0.1, 0.0)).min() > 0.05 - 0.02


@pytest.mark.slow
def test_random_forces_keep_it_finite():
    one = family()

    def episode(key, task):
        reset_key, action_key = jax.random.split(key)
        acts = jax.random.rademacher(action_key, (100, 3), dtype=jnp.float32)

        def one_step(state, action):
            new = one.step(state, action, task)
            return new, new.obs

        return jax.lax.scan(one_step, one.reset(reset_key, task), jnp.repeat(acts, 10, axis=0))[1]

    obs = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(10), 32), draws("train", 32))
    assert np.isfinite(obs).all() and np.abs(obs[..., 13:15]).max() < 4.0


@pytest.mark.slow
def test_mjx_behaves_alike():
    run, other = record(), record("mjx")
    np.testing.assert_allclose(other.gripper()[STILL], run.gripper()[STILL], atol=1e-4)
    for lane in (AHEAD, OFF_CENTRE, CHAIN, SIDEWAYS):
        np.testing.assert_allclose(other.blocks()[lane, -1], run.blocks()[lane, -1], atol=0.15)
    assert overlaps(other)[0].max() < 0.05
    assert other.success[TEST, -1].mean() >= 0.9
    assert other.success[HIDDEN, -1].mean() >= 0.9
