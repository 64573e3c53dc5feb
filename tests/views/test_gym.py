"""Families as environments of Gymnasium, by its own checker; skipped where it is not installed."""

import sys

import numpy as np
import pytest

import hmrl_cli
import hmrl_cli.views
from hmrl_cli.config import plugins
from hmrl_cli.errors import ConfigError, MissingDependency
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.families import point
from hmrl_cli.runner.assembly import make_family
from tests import toys

NAMES = plugins.names("families")

FEW = {"half_cheetah_dir"}  # families of so few tasks that two draws may be alike

# neither is a fault: an observation has no bounds, and a space of rare values may be sampled alike
pytestmark = pytest.mark.filterwarnings("ignore:.*infinity:UserWarning")


@pytest.fixture(scope="module")
def gymnasium():
    return pytest.importorskip("gymnasium")


def heavy(name):
    return pytest.param(name, marks=[] if name == "point" else pytest.mark.slow)


@pytest.mark.parametrize("name", [heavy(name) for name in NAMES])
def test_a_family_passes_the_checker(gymnasium, name):
    from gymnasium.utils.env_checker import check_env

    made = gymnasium.make(f"hmrl_cli.views.gym:hmrl/{name}-v0", reward="sparse")
    check_env(made.unwrapped)
    made.reset(seed=0)
    made.step(made.action_space.sample())  # within the wrappers of `make`, which check each step


@pytest.mark.parametrize("name", [heavy(name) for name in NAMES])
def test_episodes_side_by_side_are_those_of_one_environment(gymnasium, name):
    """Each keeps Gymnasium's rules of an automatic reset: the next step, without a reward."""
    from gymnasium.vector import AutoresetMode

    envs = gymnasium.make_vec(f"hmrl_cli.views.gym:hmrl/{name}-v0", num_envs=2, split="test")
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    horizon = envs.unwrapped._episodes.family.horizon
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(3)]

    def run(seed):
        obs, info = envs.reset(seed=seed)
        steps = [envs.step(action) for action in actions]
        return [obs, *(step[0] for step in steps)], [step[1] for step in steps], info["task"]

    first, again, other = run(1), run(1), run(2)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert name in FEW or not (np.array_equal(first[2], other[2]) or np.array_equal(*first[2]))
    assert first[0][0] in envs.observation_space and first[0][0].dtype == np.float32
    _, _, task = run(1)
    for _ in range(horizon - 3):
        obs, reward, terminated, truncated, info = envs.step(actions[0])
    assert (terminated | truncated).all() and terminated.dtype == truncated.dtype == bool
    assert reward.shape == (2,) and (info["task"] == task).all()
    obs, reward, terminated, truncated, info = envs.step(actions[0])
    assert not (terminated | truncated).any() and not reward.any()
    assert name in FEW or (info["task"] != task).any()
    single = gymnasium.make(f"hmrl_cli.views.gym:hmrl/{name}-v0", split="test").unwrapped
    assert obs.shape == (2, *single.observation_space.shape)


def test_a_task_is_that_of_an_evaluation_and_stays(gymnasium):
    family = make_family(point.Config(reward="dense", horizon=3))
    tasks = np.asarray(sample_tasks(family, "hidden", 3))
    env = hmrl_cli.gym_env(family, split="hidden", task=2)
    for seed in range(2):
        np.testing.assert_array_equal(env.reset(seed=seed)[1]["task"], tasks[2])
    np.testing.assert_array_equal(env.reset(options={"task": [0.1, 0.0]})[1]["task"], np.float32([0.1, 0.0]))
    obs, reward, terminated, truncated, info = env.step([1.0, 0.0])
    np.testing.assert_allclose(obs, [0.1, 0.0])
    assert (reward, terminated, truncated) == (0.0, True, False) and info["success"] and info["reached"]
    np.testing.assert_array_equal(env.reset()[1]["task"], tasks[2])
    assert [env.step([0.0, 0.0])[2:4] for _ in range(3)] == [(False, False)] * 2 + [(False, True)]


def test_a_reset_side_by_side_may_name_the_task_too(gymnasium):
    envs = hmrl_cli.gym_vector_env(point.Config(horizon=3), 2)
    drawn, named = (envs.reset(seed=0, options=options)[1]["task"] for options in (None, {"task": [1, 0]}))
    assert (named == [1, 0]).all() and not (drawn == named).any()
    with pytest.raises(ConfigError, match="num_envs: found '4'; must be a whole number"):
        hmrl_cli.gym_vector_env("point", "4")


@pytest.mark.parametrize("action", [np.zeros(3), 0.0])
def test_an_action_of_another_shape_is_refused(gymnasium, action):
    env = hmrl_cli.gym_env("point")
    env.reset(seed=0)
    with pytest.raises(ConfigError, match=r"action: found an array of \(3?,?\); must be of \(2,\)"):
        env.step(action)


def test_integers_are_actions_too(gymnasium):
    env = hmrl_cli.gym_env(toys.corridor())
    assert env.action_space == gymnasium.spaces.Discrete(2)
    env.reset(seed=0)
    assert env.step(1)[0].argmax() == 3


def test_without_gymnasium_the_command_to_install_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "hmrl_cli.views.gym", raising=False)
    monkeypatch.delattr(hmrl_cli.views, "gym", raising=False)
    with pytest.raises(MissingDependency, match=r"in a checkout: pip install '.\[gym\]'"):
        hmrl_cli.gym_env("point")


@pytest.mark.slow
def test_ppo_of_stable_baselines_solves_point(gymnasium):
    """The observation does not show the goal, which stays the same."""
    sb3 = pytest.importorskip("stable_baselines3")
    pytest.importorskip("torch").set_num_threads(1)  # threads would wait for each other's cores
    env = hmrl_cli.gym_env(point.Config(horizon=20), reward="dense", split="test", task=0)
    agent = sb3.PPO(
        "MlpPolicy", env, seed=0, device="cpu", n_steps=256, n_epochs=5, learning_rate=3e-3, gamma=0.9
    )

    def episode():
        obs, info = env.reset(seed=1)
        returned, over = 0.0, False
        while not over:
            obs, reward, terminated, truncated, info = env.step(agent.predict(obs, deterministic=True)[0])
            returned, over = returned + reward, terminated or truncated
        return returned, info["success"]

    before = episode()
    agent.learn(8_000)
    after = episode()
    print(before, after)
    assert not before[1] and after[1] and after[0] > 0.5 * before[0]
