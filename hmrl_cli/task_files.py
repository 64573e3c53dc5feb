"""The tasks that something is evaluated on: those of a split, or of a user's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli import evaluation
from hmrl_cli.errors import InputError
from hmrl_cli.lazy import jax, jnp, np

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Split, TaskFamily

MAX_TASK = 1e6  # no family's units are that small
MAX_BYTES = 2**30  # of all arrays of a file, unpacked


def read_array(path: Path, name: str) -> Any:
    """An array of numbers from a user's `.npz` file.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    wanted = f"must be written by numpy.savez(FILE, {name}=array)"
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            if sum(member.file_size for member in file.zip.infolist()) > MAX_BYTES:
                raise InputError(f"{path}: unpacks to more than {MAX_BYTES:,} bytes; must be smaller")
            names = list(file)
            array = file[name] if name in names else None
    except InputError:
        raise
    except Exception as error:  # a damaged archive fails in a dozen ways, none of them ours
        raise InputError(f"{path}: cannot be read as .npz ({type(error).__name__})\n{wanted}") from None
    if array is None:
        raise InputError(f"{path}: holds no array {name!r}, only {', '.join(names) or 'nothing'}\n{wanted}")
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise InputError(f"{path}: {name} has dtype {getattr(array, 'dtype', 'none')}; must be numbers")
    return array


def read_tasks(path: Path, family: TaskFamily) -> Array:
    """Tasks of a user's `.npz` file, array `tasks`, one row each: [num_tasks, task_size].

    Raises:
        InputError: names the file, and the row or the shape that is wrong.
    """
    tasks = read_array(path, "tasks")
    if tasks.ndim != 2 or tasks.shape[1] != family.task_size or not len(tasks):
        raise InputError(
            f"{path}: tasks has shape {tasks.shape}; must be (number of tasks, {family.task_size})"
        )
    # NaN is not less than anything, and the least integer has no absolute value among integers
    bad = ~(np.abs(tasks.astype(np.float64)) < MAX_TASK).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{path}: row {row} of tasks is {tasks[row].tolist()}; must be finite, below {MAX_TASK:g}"
        )
    tasks = jnp.asarray(tasks, jnp.float32)
    if family.is_task and not (fits := jax.vmap(family.is_task)(tasks)).all():
        row = int(fits.argmin())
        raise InputError(f"{path}: row {row} of tasks is {tasks[row].tolist()}, no task of {family.name}")
    return tasks


def tasks_of(family: TaskFamily, split: Split, num_tasks: int, tasks_file: Path | None) -> Array:
    """The rows of `tasks_file` if one is given, `num_tasks` of the split otherwise: [N, task_size]."""
    if tasks_file is not None:
        return read_tasks(tasks_file, family)
    return evaluation.sample_tasks(family, split, num_tasks)


def split_name(split: Split, tasks_file: Path | None) -> str:
    """What a document calls its tasks; the prefix keeps a user's file apart from the splits."""
    return f"tasks-{tasks_file.stem}" if tasks_file else split
