"""The families by name, and one test for each."""

import functools
import importlib
from typing import Any

import numpy as np
import pytest

from hmrl_cli.config import plugins
from hmrl_cli.types import TaskFamily

NAMES = plugins.names("families")
REWARDS = ["dense", "sparse"]
KINEMATIC = ["point", "sparse_point"]
PHYSICS = [name for name in NAMES if name not in KINEMATIC]
SAME_BODY = ["ant_dir", "ant_maze", "ant_vel", "ant_waypoint", "cheetah_hurdles", "half_cheetah_dir"]
# their physics is the slowest; what they have of their own is in test_pusher.py and test_cheetah.py
DEAR = ["pusher", "half_cheetah_vel"]
BODIES = [name for name in PHYSICS if name not in SAME_BODY]  # one family for each


def each(names, slow=()) -> Any:
    """One test for every family; all tests of a family in one process, which compiles it once."""
    marks = {n: [pytest.mark.xdist_group(n), *([pytest.mark.slow] if n in slow else [])] for n in names}
    return pytest.mark.parametrize("name", [pytest.param(n, marks=marks[n]) for n in names])


def make(name: str, **settings: Any) -> TaskFamily:
    module = importlib.import_module(f"hmrl_cli.families.{name}")
    return module.make(module.Config(**settings))


@functools.cache
def family(name: str, reward: str = "dense") -> TaskFamily:
    return make(name, reward=reward)


def norm(x):
    return np.linalg.norm(x, axis=-1)


COUNTED = ["ant_waypoint", "cheetah_hurdles"]  # what is earned there depends on the steps before
