"""The tasks of an evaluation: those of a split, or those in a user's file."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from hmrl_cli import inputs
from hmrl_cli.errors import ConfigError, InputError, one_line, shown
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.types import Split

if TYPE_CHECKING:
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, TaskFamily

MAX_TASK = 1e6  # no family's units are that small
MAX_NAME = 200  # bytes; file systems take 255, of which a result needs some
MAX_BYTES = 2**30  # of all arrays of a file, unpacked


def read_array(path: Path, name: str) -> Any:
    """The array `name` of numbers in a user's `.npz` file.

    Raises:
        InputError: the file holds no such array, is damaged or too large, or the array holds no numbers.
    """
    try:
        array = _read_array(path, name)
    except ValueError as error:
        raise InputError(f"{path}: {error}\nmust be written by numpy.savez(FILE, {name}=array)") from None
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: {name} has dtype {array.dtype}; must be numbers")
    return array


def _read_array(path: Path, name: str) -> Any:
    """The array; raises ValueError with the reason where there is none."""
    if reason := inputs.why_no_file(path):
        raise ValueError(reason)
    try:
        with path.open("rb") as raw:
            _check_is_archive(raw.read(8))
            with zipfile.ZipFile(raw) as archive:
                _check_members(archive, name)
                return _member(archive, name)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or error}") from None
    except zipfile.BadZipFile as error:
        raise ValueError(f"is damaged: {one_line(error)}") from None


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    try:
        with archive.open(f"{name}.npy") as member:
            return np.lib.format.read_array(member, allow_pickle=False)
    except (OSError, zipfile.BadZipFile):
        raise
    except Exception as error:  # a damaged member fails in a dozen ways
        if "Object arrays" in str(error):  # what numpy calls them
            reason = "holds Python objects, as of rows of different lengths; must hold numbers alone"
            raise ValueError(f"{name} {reason}") from None
        raise ValueError(f"is damaged: {name}: {one_line(error)[:100] or type(error).__name__}") from None


def _check_is_archive(beginning: bytes) -> None:
    """Raise ValueError where a file does not begin as an archive does."""
    if not beginning:
        raise ValueError("is empty")
    if beginning.startswith(b"\x93NUMPY"):
        raise ValueError("is an .npy file, of one array without a name; must be an .npz file")
    if beginning.startswith(b"\x80"):
        raise ValueError("is a pickle, which could run any program and is never loaded")
    if not beginning.startswith(b"PK"):
        raise ValueError("is no archive of arrays, which an .npz file is")


def _check_members(archive: zipfile.ZipFile, name: str) -> None:
    """Raise ValueError where an archive does not hold the array, or too much."""
    members = {member.filename: member for member in archive.infolist()}
    if sum(member.file_size for member in members.values()) > MAX_BYTES:
        raise ValueError(f"unpacks to more than {MAX_BYTES:,} bytes; must be smaller")
    if f"{name}.npy" not in members:
        arrays = [file.removesuffix(".npy") for file in members if file.endswith(".npy")]
        raise ValueError(f"holds no array {name!r}, only {shown(', '.join(arrays)) if arrays else 'nothing'}")
    if members[f"{name}.npy"].flag_bits & 1:
        raise ValueError("is encrypted")


def read_tasks(path: Path, family: TaskFamily) -> Array:
    """The array `tasks` in a user's `.npz` file, one task a row [num_tasks, task_size].

    Raises:
        InputError: the shape is wrong, or a row is not finite, not below 1e6 or no task of the family.
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


def tasks_of(family: TaskFamily, split: Split, budget: Evaluation, tasks_file: Path | None) -> Array:
    """The tasks in `tasks_file` if there is one, otherwise those of the split in the budget: [N, task_size].

    Raises:
        InputError: the file cannot be used.
    """
    if tasks_file is not None:
        return read_tasks(tasks_file, family)
    return sample_tasks(family, split, budget.num_tasks, budget.split_seed)


def check_split(split: str) -> None:
    """A ConfigError where there is no such split."""
    if split not in get_args(Split):
        raise ConfigError(f"split: found {shown(split)}; must be 'train', 'test' or 'hidden'")


def split_name(split: Split, tasks_file: Path | None) -> str:
    """The name of the tasks in a document: the split, or "tasks-NAME" for the file NAME.npz.

    Raises:
        InputError: the name of the file has more than 200 bytes, too many for the name of the result.
    """
    if tasks_file is None:
        check_split(split)
        return split
    size = len(os.fsencode(tasks_file.stem))
    if size > MAX_NAME:
        raise InputError(
            f"--tasks: found a name of {size} bytes; must be of {MAX_NAME} at most, for the result has it too"
        )
    return f"tasks-{tasks_file.stem}"
