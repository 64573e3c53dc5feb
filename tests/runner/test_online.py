"""Episodes from outside the simulator: a point of Gymnasium is adapted to as the simulator's point is."""

import numpy as np
import pytest

import hmrl_cli
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.runner import assembly
from hmrl_cli.storage import reader
from tests.trainings import resolve, train

gymnasium = pytest.importorskip("gymnasium")
pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once

RADIUS = 0.1


class Point(gymnasium.Env):
    """The family `point` as an environment of Gymnasium, in numpy."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, goal, reward, horizon):
        self.goal, self.dense, self.horizon = np.asarray(goal), reward == "dense", horizon

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = np.zeros(2, np.float32), 0
        return self.place, {}

    def step(self, action):
        self.place += np.float32(0.1) * action  # in place, as the buffer of a sensor
        self.steps += 1
        offset = self.place - self.goal
        distance = np.linalg.norm(offset)
        reward = -distance if self.dense else max(RADIUS - distance, 0.0)
        terminated = self.dense and bool((np.abs(offset) < 0.01).all())
        return self.place, reward, terminated, self.steps == self.horizon, {"success": distance <= RADIUS}


def adapt_to(env, adapter):
    """Mean returns and successes [K + 1] of the episodes of each batch."""
    outcomes = []
    while adapter.episodes < adapter.num_episodes:
        adapter.reset()
        obs, _ = env.reset()
        returned, over = 0.0, False
        while not over:
            action = adapter.act(obs)
            obs, reward, terminated, truncated, info = env.step(action)
            over = terminated or truncated
            adapter.observe(obs, action, reward, over)
            returned += reward
        outcomes.append((returned, info["success"]))
    assert all(program._cache_size() <= 1 for program in adapter._programs)
    return np.array(outcomes, float).reshape(-1, adapter.episodes_per_update, 2).mean(axis=1).T


def outside(run, reward, task, source=None, **settings):
    """What `adapt_to` gives for a test task, by a run or by another source of it."""
    family = assembly.make_family(reader.read(run).experiment.family, reward)
    goal = sample_tasks(family, "test", task + 1)[task]
    adapter = hmrl_cli.adapt(source or run, task=task, reward=reward, **settings)
    return adapt_to(Point(goal, reward, family.horizon), adapter)


def inside(run, reward, task, **settings):
    """The same of the simulator's evaluation."""
    found = hmrl_cli.evaluate(run, reward=reward, num_tasks=task + 1, **settings)["per_task"]
    return np.array([found[name][0][task] for name in ("return", "success")])


def test_a_point_of_gymnasium_is_adapted_to_as_the_simulator_s_point_is(runs):
    """The random draws are the same, so the episodes are, too; the updates make them differ."""
    settings = {"reward": "dense", "task": 1, "adapt_steps": 2, "episodes": 3}
    found = outside(runs / "maesn", **settings)
    np.testing.assert_allclose(found, inside(runs / "maesn", **settings), rtol=1e-4)


def test_what_does_not_fit_is_named_and_an_aborted_episode_is_forgotten(runs):
    adapter = hmrl_cli.adapt(runs / "maml", reward="dense", adapt_steps=1, episodes=1)
    assert (adapter.num_episodes, adapter.horizon) == (2, 6)
    place = np.zeros(2)
    with pytest.raises(InputError, match="observe: no action awaits its reward; must call act first"):
        adapter.observe(place, place, 0.0, False)
    with pytest.raises(InputError, match=r"act: obs: found shape \(3,\); must be \(2,\)"):
        adapter.act(np.zeros(3))
    first = adapter.act(place)
    with pytest.raises(InputError, match="the last action has no reward yet; must call observe first"):
        adapter.act(place)
    for wrong, problem in (
        ((place, place, float("nan"), False), "observe: reward: found nan; must be finite"),
        ((place, place, "much", False), "observe: reward: found 'much'; must be numbers"),
        ((place, np.zeros(1), 0.0, False), r"observe: action: found shape \(1,\); must be \(2,\)"),
        ((place + np.inf, place, 0.0, False), "observe: obs: found .*; must be finite"),
    ):
        with pytest.raises(InputError, match=problem):
            adapter.observe(*wrong)
    adapter.observe(place, 0.5 * first, 0.0, False)  # another action than that of the learner
    np.testing.assert_array_equal(adapter._now.steps[0].action, 0.5 * first)
    adapter.act(place)
    adapter.reset()
    np.testing.assert_array_equal(adapter.act(place), first)
    adapter.observe(place, first, -1.0, True)
    assert (adapter.episodes, adapter.updates) == (1, 1)
    with pytest.raises(InputError, match="act: the episode is over; must call reset before the next one"):
        adapter.act(place)
    for _ in range(2):  # past the last update it goes on acting
        adapter.reset()
        for _ in range(adapter.horizon):
            adapter.observe(place, adapter.act(place), -1.0, False)
    assert (adapter.episodes, adapter.updates) == (3, 1)


def test_what_does_not_adapt_is_refused(runs):
    with pytest.raises(ConfigError, match="is a run of skills, which do not adapt"):
        hmrl_cli.adapt(runs / "diayn")
    with pytest.raises(InputError, match="found seed 2; must be from 0 to 1"):
        hmrl_cli.adapt(runs / "maml", seed=2)
    with pytest.raises(ConfigError, match="no_such: unknown argument"):
        hmrl_cli.adapt(runs / "maml", no_such=1)
    with pytest.raises(ConfigError, match="reward: found 'shaped'; must be 'dense' or 'sparse'"):
        hmrl_cli.adapt(runs / "maml", reward="shaped")
    with pytest.raises(ConfigError, match="task: found -1; must be a whole number from 0 to 4294967295"):
        hmrl_cli.adapt(runs / "maml", task=-1)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["gradient", "refit"])
def test_through_skills_and_by_an_export(runs, tmp_path, rule):
    settings = {"reward": "dense", "task": 0, "adapt_steps": 2, "episodes": 2, "rule": rule}
    hmrl_cli.export(runs / "hmrl", tmp_path / "hmrl.safetensors")
    found = outside(runs / "hmrl", source=tmp_path / "hmrl.safetensors", **settings)
    np.testing.assert_allclose(found, inside(runs / "hmrl", **settings), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["first_explore", "maml", "pearl", "ppo", "rl2", "sac", "varibad"])
def test_every_learner_adapts_as_in_the_simulator(tmp_path, algorithm):
    train(tmp_path / "run", resolve(algorithm))
    # whose evaluation is a mean over trials
    episodes = 1 if algorithm in ("first_explore", "rl2", "varibad") else 3
    settings = {"reward": "dense", "task": 1, "adapt_steps": 2, "episodes": episodes}
    found, expected = outside(tmp_path / "run", **settings), inside(tmp_path / "run", **settings)
    if algorithm == "first_explore":  # an evaluation omits the exploring episodes before the last one
        found, expected = found[:, -1], expected[:, -1]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.slow
def test_a_search_finds_the_goal_as_in_the_simulator(tmp_path):
    skills = hmrl_cli.pretrain_skills("point/vgcrl", "training.num_seeds=1", run_dir=tmp_path / "skills")
    run = hmrl_cli.meta_train(
        "point/skill_prior", "training.num_seeds=1", skills=skills, run_dir=tmp_path / "run"
    )
    settings = {"reward": "sparse", "task": 1}
    found, expected = outside(run, **settings), inside(run, **settings)
    assert found[1][0] == 0 and found[1][-1] == 1  # success
    # between them an evaluation counts the episodes alone that repeat the best guess
    np.testing.assert_allclose(found[:, [0, -1]], expected[:, [0, -1]], rtol=1e-2, atol=1e-3)
