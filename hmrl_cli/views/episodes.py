"""Episodes of a family by one step at a time, as the environments of other libraries run them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli import config
from hmrl_cli.environment.rollout import advance
from hmrl_cli.errors import ConfigError, shown
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.lazy import KEYS, jax, jnp, np
from hmrl_cli.runner.assembly import make_family
from hmrl_cli.runner.tasks import check_split
from hmrl_cli.schema import Strict
from hmrl_cli.types import EnvState, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Reward, Split, Task

MOST_TASKS = 10_000  # of a split, as in `evaluation.num_tasks`


class Running(NamedTuple):
    """An episode at one step."""

    state: EnvState
    task: Array  # [task_size]
    steps: Array  # [] int32  so far
    seed: Array  # uint32  a random key as an array; the next episode starts by it


class Episodes(NamedTuple):
    """The episodes of a family."""

    family: TaskFamily
    split: Split
    task: Array | None  # [task_size] of every episode; None: each episode draws one from the split
    backend: str  # the simulator of the physics; "none" where the settings name none

    def start(self, key: Key, task: Array | None = None) -> Running:
        """Start an episode; `task` applies to this episode only."""
        task_key, reset_key, next_key = jax.random.split(key, 3)
        if task is None:
            task = self.family.sample(task_key, self.split) if self.task is None else self.task
        state = self.family.reset(reset_key, task)
        return Running(state, task, jnp.int32(0), jax.random.key_data(next_key))

    def step(self, now: Running, action: Array) -> Running:
        """The next step."""
        return now._replace(state=advance(self.family, now.state, action, now.task), steps=now.steps + 1)

    def restart(self, now: Running) -> Running:
        """The first step of the episode after this one."""
        return self.start(jax.random.wrap_key_data(now.seed, impl=KEYS))

    def ended(self, now: Running) -> tuple[Array, Array]:
        """Whether the environment has ended the episode [], and whether its horizon has []."""
        return now.state.done, (now.steps >= self.family.horizon) & ~now.state.done


def open_episodes(
    family: str | Path | TaskFamily | Any, reward: Reward | None, split: Split, task: int | Task | None
) -> Episodes:
    """The episodes of a family.

    Args:
        family: a name, a path of a file or a preset; or the `Config` of a family; or a family.
        reward: "dense" or "sparse"; None keeps the configured one.  A family that is made has its own.
        split: "train", "test" or "hidden".
        task: the number of a task, from 0, as `hmrl eval` numbers those of a split; or a task [task_size];
            None: each episode draws one.

    Raises:
        ConfigError: there is no such family, reward, split or task.
    """
    check_split(split)
    settings = config.family_of(str(family)) if isinstance(family, str | Path) else family
    if not isinstance(settings, TaskFamily | Strict):
        raise ConfigError(f"family: found {shown(family)}; must be a name, a path, a Config or a TaskFamily")
    made = settings if isinstance(settings, TaskFamily) else make_family(settings, reward)
    named = None if task is None else task_of(made, split, task)
    return Episodes(made, split, named, getattr(settings, "backend", "none"))


def task_of(family: TaskFamily, split: Split, task: int | Task) -> Array:
    """The task [task_size] that a number or a vector names; a ConfigError where it names none."""
    if isinstance(task, int | np.integer):
        if not 0 <= task < MOST_TASKS:
            raise ConfigError(f"task: found {task}; must be from 0 to {MOST_TASKS - 1}")
        return sample_tasks(family, split, task + 1)[task]
    try:
        vector = np.asarray(task, np.float32)
    except (TypeError, ValueError):
        raise ConfigError(f"task: found {shown(task)}; must be a number or a vector") from None
    is_task = vector.shape == (family.task_size,) and np.isfinite(vector).all()
    if not is_task or (family.is_task is not None and not family.is_task(jnp.asarray(vector))):
        raise ConfigError(f"task: found {shown(task)}; must be a task of {family.name} [{family.task_size}]")
    return jnp.asarray(vector)
