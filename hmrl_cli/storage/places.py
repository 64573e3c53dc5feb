"""Checks of the path of a run directory, and the removal of one that could not begin."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from hmrl_cli.errors import InputError, RunDirError, closest, typed
from hmrl_cli.storage import layout, outputs

RUNS = Path("runs")


def near(path: Path) -> str:
    """`; did you mean 'runs/x'?` for a path without a run; "" where no run has such a name."""
    named: dict[str, Path] = {}
    with contextlib.suppress(OSError, ValueError):  # a name that no file can have
        for folder in (path.parent, RUNS):
            named |= {file.parent.name: file.parent for file in sorted(folder.glob(f"*/{layout.CONFIG}"))}
    close = closest(path.name, named)
    return f"; did you mean {str(named[close])!r}?" if close else ""


def check_new(path: Path) -> None:
    """Refuse a path at which no new run can be created.

    Raises:
        RunDirError: the path exists, or lies in another run.
    """
    if os.path.lexists(path):
        raise Taken(path)
    around = outputs.run_around(path.parent)
    if around is not None:
        raise RunDirError(f"{path}: lies in the run {around}; must lie elsewhere, as with: --run-dir DIR")


def check_existing(path: Path) -> None:
    """Refuse a path at which no run can be resumed.

    Raises:
        InputError: a file of the run is no regular file.
        RunDirError: the path is no run directory.
    """
    if not path.is_dir():
        raise RunDirError(f"{path}: is not a run directory; to start a run: leave out --resume")
    if not layout.is_run(path) and _holds_more_than_a_beginning(path):
        raise RunDirError(f"{path}: holds no config.toml; must be a run directory, or a new name")
    for name in layout.FILES:
        if os.path.lexists(path / name) and not (path / name).is_file():
            raise InputError(f"{path / name}: is no regular file; must be that of a run")


class Taken(RunDirError):
    """A run directory exists already."""

    def __init__(self, path: Path) -> None:
        """Build the message for this path."""
        is_run = layout.is_run(path)
        going_on = f"to continue it: --resume, or hmrl resume {typed(path)}; " if is_run else ""
        super().__init__(
            f"{path}: exists, and a run is never overwritten\n{going_on}to start another: --name NAME"
        )


def take_back(path: Path) -> None:
    """Remove the directory of a run that could not begin, unless it holds a checkpoint or foreign files."""
    with contextlib.suppress(OSError):
        names = {entry.name for entry in path.iterdir()} - {left.name for left in half_written(path)}
        if names <= {*layout.BEFORE_CONFIG, layout.CONFIG} and not any((path / layout.CHECKPOINTS).glob("*")):
            shutil.rmtree(path)


def give_up(path: Path, error: BaseException) -> None:
    """Remove a new directory that could not be locked, unless another process has begun a run in it."""
    if not isinstance(error, RunDirError):
        take_back(path)


def _holds_more_than_a_beginning(path: Path) -> bool:
    """Whether a directory holds more than the files that a run writes before its config.toml."""
    names = {entry.name for entry in path.iterdir()} - {left.name for left in half_written(path)}
    return bool(names - layout.BEFORE_CONFIG)


def half_written(path: Path) -> list[Path]:
    """Temporary files that a killed process left while `files.write_bytes` replaced a file of the run."""
    return [left for name in layout.REPLACED for left in path.glob(f".{name}.*.tmp")]
