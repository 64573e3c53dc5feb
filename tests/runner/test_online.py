"""Episodes from outside the simulator: a point in plain numpy is adapted to as the simulator's point is."""

import shutil

import jax
import numpy as np
import pytest

import hmrl_cli
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.runner import assembly
from hmrl_cli.storage import reader
from tests.trainings import resolve, train

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


class Point:
    """The family `point` as an environment of Gymnasium, in numpy."""

    def __init__(self, goal, reward, horizon, radius=0.1):
        self.goal, self.dense, self.horizon, self.radius = (
            np.asarray(goal),
            reward == "dense",
            horizon,
            radius,
        )

    def reset(self):
        self.place, self.steps = np.zeros(2, np.float32), 0
        return self.place, {}

    def step(self, action):
        self.place = self.place + np.float32(0.1) * np.clip(action, -1, 1)
        self.steps += 1
        offset = self.place - self.goal
        distance = np.linalg.norm(offset)
        reward = -distance if self.dense else max(self.radius - distance, 0.0)
        terminated = self.dense and bool((np.abs(offset) < 0.01).all())
        return (
            self.place,
            reward,
            terminated,
            self.steps == self.horizon,
            {"success": distance <= self.radius},
        )


def adapt_to(env, adapter, episodes):
    """Returns and successes of the episodes."""
    returned, success = np.zeros(episodes), np.zeros(episodes, bool)
    for episode in range(episodes):
        adapter.reset()
        obs, _ = env.reset()
        done = False
        while not done:
            action = adapter.act(obs)
            obs, reward, terminated, truncated, info = env.step(action)
            done = terminated or truncated
            adapter.observe(obs, action, reward, done)
            returned[episode] += reward
        success[episode] = info["success"]
    return returned, success


def both(run, task, reward, counted=slice(None), **settings):
    """Mean returns and successes [K + 1] of a task by the simulator's evaluation, and of the numpy point."""
    document = hmrl_cli.evaluate(run, reward=reward, num_tasks=task + 1, **settings)["per_task"]
    family = assembly.make_family(reader.read(run).experiment.family, reward)
    goal = sample_tasks(family, "test", task + 1)[task]
    adapter = hmrl_cli.adapt(run, task=task, reward=reward, **settings)
    outcomes = adapt_to(Point(goal, reward, family.horizon), adapter, adapter.num_episodes)
    batches = (x.reshape(-1, adapter.episodes_per_update)[:, counted].mean(axis=1) for x in outcomes)
    assert all(program._cache_size() <= 1 for program in adapter._programs)
    return [document[name][0][task] for name in ("return", "success")], list(batches)
