"""The tasks of an evaluation."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

from hmrl_cli.environment.rollout import draw_tasks
from hmrl_cli.lazy import jax, np, root_key

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Split, TaskFamily


def sample_tasks(family: TaskFamily, split: Split, num_tasks: int, seed: int = 0) -> Array:
    """Tasks of a split [num_tasks, task_size]; equal for every run with the same `seed`."""
    key = jax.random.fold_in(root_key(seed), zlib.crc32(split.encode()))
    return draw_tasks(key, family, num_tasks, split)


def tasks_digest(tasks: Array) -> str:
    """sha256 of the tasks' bytes; evaluations with equal digests used the same tasks."""
    return hashlib.sha256(np.asarray(tasks, np.float32).tobytes()).hexdigest()
