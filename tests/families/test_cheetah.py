"""The half-cheetah families: rewards against formulas, the gaits, the physics and the hurdles.

Three programs are compiled: two where nothing but x moves, for the rewards, and one with hurdles and real
physics, which every other test reads the record of.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.environment.rollout import advance
from hmrl_cli.errors import ConfigError
from hmrl_cli.families import _cheetah, _physics, cheetah_hurdles, half_cheetah_dir, half_cheetah_vel
from tests.families.test_contract import energy

pytestmark = pytest.mark.xdist_group("cheetah")  # one process, which compiles `record` once

FAMILIES = {
    "half_cheetah_vel": half_cheetah_vel,
    "half_cheetah_dir": half_cheetah_dir,
    "cheetah_hurdles": cheetah_hurdles,
}
TOP_SPEED = 40.0  # m/s, of the stub
WALKS = 8  # lanes of each role


def make(name, **settings):
    return FAMILIES[name].make(FAMILIES[name].Config(**settings))


def draws(family, split, number=200):
    keys = jax.random.split(jax.random.key(0), number)
    return np.asarray(jax.vmap(lambda key: family.sample(key, split))(keys))


class Sliding(NamedTuple):
    q: jax.Array
    qd: jax.Array


def sliding(xml, *, backend, dt, substeps):
    """Stands for the physics where only the reward matters: x moves as the first motor says."""

    def step(state, control):
        return state._replace(q=state.q.at[0].add(TOP_SPEED * dt * control(state)[0]))

    return _physics.Physics(Sliding, step, jnp.zeros(9), 9, 6, dt, (), lambda state: jnp.zeros((1, 7)))


def paid(name, task, actions, **settings):
    """The start, the places x [T], rewards [T] and successes [T] of an episode of the stub."""
    family = make(name, **settings)
    start = family.reset(jax.random.key(0), jnp.array([task]))

    def one_step(state, action):
        new = advance(family, state, action, jnp.array([task]))
        return new, (new.obs[0], new.reward, new.success)

    return start, *map(np.asarray, jax.lax.scan(one_step, start, jnp.asarray(actions))[1])


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(_physics, "load", sliding)


def noise(size, scale=1.5):
    return np.asarray(scale * jax.random.normal(jax.random.key(5), (size, 6)))


def effort(actions):
    return np.square(np.clip(actions, -1, 1)).sum(axis=-1)


@pytest.mark.parametrize("reward", ["dense", "sparse"])
def test_reward_of_speeds(stub, reward):
    actions = noise(200) * ([0.05] + 5 * [1.0])
    _, _, rewards, successes = paid("half_cheetah_vel", 1.2, actions, reward=reward, tolerance=0.7)
    error = np.abs(TOP_SPEED * np.clip(actions[:, 0], -1, 1) - 1.2)
    earned = -error if reward == "dense" else np.maximum(0.7 - error, 0)
    np.testing.assert_allclose(rewards, earned - 0.05 * effort(actions), atol=1e-3)
    within = error <= 0.7
    assert 10 < within.sum() < 190
    kept = [within[: t + 1][-20:].all() and t >= 19 for t in range(200)]
    np.testing.assert_array_equal(successes, kept)
    assert not successes.any()  # by chance the speed is met now and then, and not kept


def test_a_speed_is_a_success_once_it_is_kept_for_a_second(stub):
    at_speed = np.full((60, 6), 1.2 / TOP_SPEED) * np.eye(6)[0]
    at_speed[[5, 40], 0] = 1.0
    for dt, steps in ((0.05, 20), (0.025, 40)):
        successes = paid("half_cheetah_vel", 1.2, at_speed, dt=dt)[3]
        np.testing.assert_array_equal(np.flatnonzero(successes), np.arange(5 + steps, 40))
    short = paid("half_cheetah_vel", 1.2, at_speed[:5], horizon=4)[3]
    np.testing.assert_array_equal(short, [False, False, False, True, True])


@pytest.mark.parametrize("reward", ["dense", "sparse"])
@pytest.mark.parametrize("direction", [-1.0, 1.0])
def test_reward_of_directions(stub, reward, direction):
    actions = noise(200) + direction * np.eye(6)[0] / 10
    _, places, rewards, successes = paid("half_cheetah_dir", direction, actions, reward=reward)
    speed = direction * TOP_SPEED * np.clip(actions[:, 0], -1, 1)
    far = direction * places >= 5.0
    earned = np.where(far | (reward == "dense"), speed, 0.0)
    np.testing.assert_allclose(rewards, earned - 0.05 * effort(actions), atol=1e-3)
    np.testing.assert_array_equal(successes, far)
    assert 10 < far.sum() < 190


def test_every_hurdle_is_passed_once(stub):
    ahead, back = np.eye(6)[:1] / 2, -np.eye(6)[:1] / 2  # 1 m
    actions = np.concatenate([4 * [ahead], 6 * [back], 9 * [ahead]]).reshape(-1, 6)
    start, places, rewards, successes = paid("cheetah_hurdles", 1.5, actions, reward="sparse")
    assert abs(start.obs[0]) <= 0.1 and abs(start.body.physics.q[0] + 1.5) <= 0.1
    passed = np.maximum.accumulate(np.floor((places - 1.5 - 0.75) / 3).clip(-1) + 1)
    np.testing.assert_array_equal(rewards, np.diff(passed, prepend=0))
    np.testing.assert_array_equal(successes, passed >= 2)
    assert rewards.sum() == 2

    dense = paid("cheetah_hurdles", 1.5, actions, reward="dense", control_cost=0.1)[2]
    onward = np.where(rewards == 1, 1.0, TOP_SPEED * 0.05 / 3 * actions[:, 0])
    np.testing.assert_allclose(dense, onward - 0.1 * effort(actions), atol=1e-5)


def test_hurdles_end(stub):
    forever = np.eye(6)[np.zeros(15, int)]
    _, places, rewards, successes = paid("cheetah_hurdles", 1.5, forever, reward="sparse")
    assert places[-1] > 25 and rewards.sum() == cheetah_hurdles.HURDLES and successes[-1]


@pytest.mark.parametrize(
    ("name", "trained", "hidden"),
    [("half_cheetah_vel", (0.0, 2.0), (2.0, 3.0)), ("cheetah_hurdles", (1.0, 2.0), (2.0, 3.0))],
)
def test_hidden_tasks_lie_above_those_of_training(stub, name, trained, hidden):
    for split, (low, high) in {"train": trained, "test": trained, "hidden": hidden}.items():
        tasks = draws(make(name), split)
        assert (tasks >= low).all() and (tasks <= high).all()
        assert tasks.mean() == pytest.approx((low + high) / 2, abs=0.1 * (high - low))


def test_both_directions_leave_none_for_the_hidden_split(stub):
    both, forward = make("half_cheetah_dir"), make("half_cheetah_dir", directions="forward")
    for split in ("train", "test"):
        assert set(draws(both, split).ravel()) == {-1.0, 1.0}
        assert set(draws(forward, split).ravel()) == {1.0}
    assert set(draws(forward, "hidden").ravel()) == {-1.0}
    with pytest.raises(ConfigError, match="found 'both', which leaves no direction out"):
        both.sample(jax.random.key(0), "hidden")


def test_goals_of_the_scenes(stub):
    for name, task, expected in (
        ("half_cheetah_vel", 1.5, [0, 0, 0, 0.3]),
        ("half_cheetah_dir", -1.0, [-5, 0, 0, 0.5]),
        ("cheetah_hurdles", 1.5, [3.75, 0, 0, 0.25]),
    ):
        family, row = make(name), jnp.array([task])
        goals = family.scene.goals(family.reset(jax.random.key(0), row), row)
        np.testing.assert_allclose(goals, [expected], atol=1e-6)


class Record(NamedTuple):
    """[roles, WALKS, 200, ...] of every step among hurdles."""

    task: np.ndarray  # [WALKS] m to the first hurdle
    obs: np.ndarray
    reward: np.ndarray  # sparse
    success: np.ndarray
    energy: np.ndarray  # [..., 2] kinetic and potential, J


ROLES = LEAP, WALK, STILL, RETREAT, PACE = range(5)
SPEED = 1.5  # m/s, of PACE


@functools.cache
def record() -> Record:
    """Episodes of hurdles; RETREAT and PACE stay away from them, behind a start far in front."""
    family = make("cheetah_hurdles", reward="sparse")

    def episode(key, role, distance):
        task = jnp.where(role == PACE, 100.0, distance)[None]

        def one_step(state, _):
            actions = [
                family.controller(state, task),
                _cheetah.run(state, _cheetah.STEADY, 0.3),
                jnp.zeros(6),
                _cheetah.run(state, _cheetah.BACKWARD),
                _cheetah.keep_pace(state, jnp.float32(SPEED), "spring"),
            ]
            new = advance(family, state, jnp.stack(actions)[role], task)
            return new, (new.obs, new.reward, new.success, energy(new.body))

        return jax.lax.scan(one_step, family.reset(key, task), None, family.horizon)[1]

    keys = jax.random.split(jax.random.key(0), (len(ROLES), WALKS))
    distances = jnp.linspace(1.0, 3.0, WALKS)
    roles = jax.vmap(jax.vmap(episode, in_axes=(0, None, 0)), in_axes=(0, 0, None))
    return Record(*map(np.asarray, (distances, *jax.jit(roles)(keys, jnp.array(ROLES), distances))))


@pytest.mark.slow
def test_doing_nothing_earns_nothing_at_hurdles():
    np.testing.assert_array_equal(record().reward[STILL], 0.0)


@pytest.mark.slow
def test_leaping_passes_hurdles():
    run = record()
    assert run.success[LEAP, :, -1].mean() >= 0.8
    assert (run.reward[LEAP].sum(axis=-1) >= 2).mean() >= 0.8
    assert set(run.reward[LEAP].ravel()) == {0.0, 1.0}


@pytest.mark.slow
def test_walking_ends_at_the_first_hurdle():
    run = record()
    before = run.task[:, None] - run.obs[WALK, ..., 0]  # m from the torso's middle to the hurdle
    assert before.min() > 0.3
    assert (before[:, 100:] < 0.8).all()  # and gets as far as that


@pytest.mark.slow
def test_gaits_run_back_and_at_a_speed():
    run = record()
    assert (run.obs[RETREAT, :, -1, 0] < -5.0).all()
    speeds = np.diff(run.obs[PACE, ..., 0], axis=1)[:, 20:] / 0.05
    assert np.mean(np.abs(speeds - SPEED) <= 0.5) >= 0.9


@pytest.mark.slow
def test_a_fall_loses_energy_and_ends_at_rest_on_the_floor():
    run = record()
    total = run.energy[STILL].sum(axis=-1)
    assert (total.max(axis=-1) <= total[:, 0] + 1.0).all()
    assert run.energy[STILL, :, 100:, 0].max() < 1.0
    height = 0.7 + run.obs[STILL, :, 100:, 1]
    assert height.min() > 0.15 and height.max() < 0.4
    assert np.ptp(run.obs[STILL, :, 100:, 0], axis=-1).max() < 0.5  # does not slide away


@pytest.mark.slow
def test_running_stays_above_the_floor():
    run = record()
    assert np.isfinite(run.obs).all()
    assert (0.7 + run.obs[..., 1]).min() > 0.0


def test_a_backend_that_does_not_suit_the_body_is_refused():
    with pytest.raises(ValueError, match="'spring', 'mjx' or 'positional'"):
        half_cheetah_vel.Config(backend="generalized")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["mjx", "positional"])
def test_other_backends_stay_finite_and_near_the_floor(backend):
    family = make("half_cheetah_vel", backend=backend, substeps=5)

    def episode(key, guided):
        def one_step(state, action):
            action = jnp.where(guided, family.controller(state, jnp.ones(1)), action)
            new = family.step(state, action, jnp.ones(1))
            return new, (new.obs, new.body.physics.q)

        reset_key, key = jax.random.split(key)
        actions = jax.random.rademacher(key, (200, 6), jnp.float32)
        return jax.lax.scan(one_step, family.reset(reset_key, jnp.ones(1)), actions)[1]

    keys = jax.random.split(jax.random.key(0), 8)
    obs, raw = map(np.asarray, jax.jit(jax.vmap(episode))(keys, jnp.arange(8) >= 4))
    assert np.isfinite(raw).all()
    assert (0.7 + obs[..., 1]).min() > -0.1 and (0.7 + obs[..., 1]).max() < 3.0
    if backend == "mjx":  # which has a gait of its own
        assert np.mean(np.abs(np.diff(obs[4:, 20:, 0], axis=1) / 0.05 - 1.0) <= 0.5) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["spring", "mjx"])
def test_each_direction_has_a_gait_that_is_fast(backend):
    family = make("half_cheetah_dir", backend=backend, substeps=5)

    def episode(key, task):
        def one_step(state, _):
            new = family.step(state, family.controller(state, task), task)
            return new, new.reward

        return jax.lax.scan(one_step, family.reset(key, task), None, family.horizon)[1].sum()

    tasks = jnp.repeat(jnp.array([[1.0], [-1.0]]), 6, axis=0)
    returns = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(0), 12), tasks).reshape(2, 6)
    assert (returns.mean(axis=1) > 600).all()  # gaits of spring return 215 under mjx


@pytest.mark.slow
def test_the_body_under_mjx_moves_as_gyms_under_mujoco():
    """From states of a random walk, one control step of both, under equal torques."""
    mujoco, envs = pytest.importorskip("mujoco"), pytest.importorskip("gymnasium.envs")
    model = mujoco.MjModel.from_xml_path(f"{envs.__path__[0]}/mujoco/assets/half_cheetah.xml")
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    q, qd, actions, after = [], [], rng.uniform(-1.0, 1.0, (200, 6)), []
    for action in actions:
        q.append(data.qpos.copy())
        qd.append(data.qvel.copy())
        data.ctrl[:] = action
        for _ in range(5):
            mujoco.mj_step(model, data)
        after.append(np.concatenate([data.qpos, data.qvel]))

    physics = _physics.load(_cheetah._xml("", "mjx"), backend="mjx", dt=0.05, substeps=5)
    step = jax.jit(jax.vmap(lambda q, qd, a: physics.step(physics.init(q, qd), lambda _: a)))
    ours = step(*(jnp.array(x, jnp.float32) for x in (q, qd, actions)))
    error = np.abs(np.concatenate([ours.q, ours.qd], axis=1) - np.array(after)).max(
        axis=1
    )  # m, m/s, rad, rad/s
    assert np.median(error) < 1e-3
    assert np.quantile(error, 0.9) < 0.05
