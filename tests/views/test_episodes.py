"""Episodes of a family, one step at a time."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.errors import ConfigError
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.views.episodes import open_episodes
from tests import toys


def test_an_episode_ends_early_or_at_its_horizon_and_the_next_one_differs():
    episodes = open_episodes(toys.walker(5, ends=True), None, "test", None)
    start, step, restart = map(jax.jit, (episodes.start, episodes.step, episodes.restart))

    def ends(x):
        now, found = start(jax.random.key(0)), []
        for _ in range(5):
            now = step(now, jnp.array([x, 0.0]))
            found.append(tuple(map(bool, episodes.ended(now))))
        return now, found

    now, found = ends(0.0)
    assert found == [(False, False)] * 4 + [(False, True)]
    assert ends(1.0)[1] == [(False, False)] * 3 + [(True, False)] * 2
    new = restart(now)
    assert new.steps == 0 and (new.task != now.task).any() and (restart(new).task != new.task).any()
    other = jnp.array([0.0, 2.0])
    np.testing.assert_array_equal(episodes.start(jax.random.key(1), other).task, other)


def test_a_number_names_the_task_of_an_evaluation():
    family = toys.walker()
    tasks = sample_tasks(family, "hidden", 3)
    np.testing.assert_array_equal(open_episodes(family, None, "hidden", 2).task, tasks[2])
    np.testing.assert_array_equal(open_episodes(family, None, "hidden", [0.5, 0]).task, [0.5, 0.0])


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"family": None}, "family: found None; must be a name, a path, a Config or a TaskFamily"),
        ({"family": Path("nowhere.py")}, r"found 'nowhere.py', which does not exist"),
        ({"family": "pint"}, r"family: found 'pint'; did you mean 'point'\?"),
        ({"reward": "shaped"}, "reward: found 'shaped'; must be 'dense' or 'sparse'"),
        ({"split": "all"}, "split: found 'all'; must be 'train', 'test' or 'hidden'"),
        ({"task": [1.0]}, r"task: found \[1.0\]; must be a task of point \[2\]"),
        ({"task": "first"}, "task: found 'first'; must be a number or a vector"),
        ({"task": -1}, "task: found -1; must be from 0 to 9999"),
        ({"task": 2**32}, "task: found 4294967296; must be from 0 to 9999"),
    ],
)
def test_what_is_wrong_is_named(settings, problem):
    with pytest.raises(ConfigError, match=problem):
        open_episodes(**{"family": "point", "reward": None, "split": "train", "task": None, **settings})
