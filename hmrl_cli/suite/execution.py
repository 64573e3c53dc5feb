"""Running of a suite on this machine, by make.  A signal goes to every command."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hmrl_cli.errors import MissingDependency, NotDone, RunDirError
from hmrl_cli.storage import files, outputs
from hmrl_cli.suite import makefile
from hmrl_cli.suite.cells import Cell
from hmrl_cli.suite.states import check_places, states

LOOK_EVERY = 0.1  # seconds
LOCK = ".lock"
ERRORS = "logs/make.log"  # what make itself complains of
FAILED = re.compile(r"\*\*\* \[(?:[^]]*: )?([^]]+)\] Error (\d+)")  # target and exit code


def run(
    cells: Sequence[Cell],
    folder: Path,
    jobs: int,
    note: Callable[[str], None],
    stop: Callable[[], int | None] = lambda: None,
) -> None:
    """Run every cell of a suite that is not done.

    Args:
        cells: all cells of the suite.
        folder: its folder, which is created.
        jobs: how many commands run at a time.
        note: is called with what the user should know.
        stop: returns the number of a signal that asked to stop, or None.  Every command is told, and writes
            its checkpoint.

    Raises:
        MissingDependency: there is no make.
        RunDirError: a run of other settings has the place of a cell.
        NotDone: a cell failed, or a signal came.
        StorageError: the folder cannot be written to.
    """
    if shutil.which("make") is None:
        raise MissingDependency("make: is not installed; must be GNU make, as of the package make")
    with alone(folder, note, stop) as lock:
        found = states(cells, folder)
        check_places(found, folder)
        makefile.write(cells, found, folder)
        if all(state.state == "done" for state in found.values()):
            return
        received = _make(folder, jobs, lock, stop)
        _check(cells, folder, received)


@contextlib.contextmanager
def alone(
    folder: Path, note: Callable[[str], None], stop: Callable[[], int | None] = lambda: None
) -> Iterator[int]:
    """The lock of a suite's folder, for this process and the commands that inherit it.

    Commands outlive a process that was killed.  What they do is not done twice, so this waits for their ends.

    Raises:
        NotDone: a signal came while this waited.
        RunDirError: the folder holds something else, or lies in a run.
        StorageError: the folder cannot be created or written to.
    """
    if run := outputs.run_around(folder):
        raise RunDirError(f"{folder}: lies in the run {run}; must lie elsewhere, as with: --out FOLDER")
    with files.writing(folder):
        there = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
        if LOCK not in there and not there <= {"skills", "meta"}:  # which typed commands may have made
            raise RunDirError(f"{folder}: holds other files; must be a new folder, as with: --out FOLDER")
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if files.try_lock(descriptor, fcntl.LOCK_EX) is False:
            note(f"{folder}: commands of an earlier start still run; waiting for their ends")
            while files.try_lock(descriptor, fcntl.LOCK_EX) is False:
                if number := stop():
                    raise _interrupted(number, "commands of an earlier start still run")
                time.sleep(LOOK_EVERY)
        yield descriptor
    finally:
        os.close(descriptor)


def hmrl() -> str:
    """The command of this installation, or that of the environment variable HMRL, as a shell reads it."""
    return os.environ.get("HMRL") or shlex.join([sys.executable, "-m", "hmrl_cli"])


def _make(folder: Path, jobs: int, lock: int, stop: Callable[[], int | None]) -> int | None:
    """Run make to its end; the signal that ended it, if one did.

    What make says of its commands goes to a file, which no death of this process breaks.
    """
    told_to_make = {"HMRL": hmrl(), "IN": shlex.quote(f"{folder}/")}  # as a shell reads them
    variables = [f"{name}={text.replace('$', '$$')}" for name, text in told_to_make.items()]
    command = ["make", "-k", f"-j{jobs}", *variables]
    told = None
    with open(folder / ERRORS, "w") as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"LANGUAGE": "C"},
            stdin=subprocess.DEVNULL,
            stdout=2,  # stdout is the result's
            stderr=errors,
            pass_fds=(lock,),
            process_group=0,
        )
        try:
            while process.poll() is None:
                if told is None and (told := stop()):
                    os.killpg(process.pid, signal.SIGTERM)
                time.sleep(LOOK_EVERY)
        except KeyboardInterrupt:  # the second Ctrl-C
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
            raise
    return told or (-process.returncode if process.returncode < 0 else None)


def _check(cells: Sequence[Cell], folder: Path, received: int | None) -> None:
    """Raise an error if a cell is not done."""
    found = states(cells, folder)
    left = [cell for cell in cells if found[cell.name].state != "done"]
    if not left:
        return
    counted = f"{len(left)} of {len(cells)} cells are not done"
    if received is not None:
        raise _interrupted(received, counted)
    first = next(cell for cell in left if all(found[name].state == "done" for name in cell.needs))
    file = folder / makefile.log(first.name)
    said = _last_line(file) or _last_line(folder / ERRORS)
    error = NotDone(
        f"{counted}; the first one: {first.name}: {said}\nsee {file}; to try again: the same command"
    )
    codes = dict(FAILED.findall((folder / ERRORS).read_text(errors="replace")))
    error.exit_code = int(codes.get(makefile.mark(first.name), 75))  # without a code, a signal killed it
    raise error


def _interrupted(number: int, left: str) -> NotDone:
    """The error for a signal; `left` says what is not done."""
    error = NotDone(f"interrupted by {signal.Signals(number).name}; {left}\nto continue: the same command")
    error.exit_code = 130 if number == signal.SIGINT else 75
    return error


def _last_line(file: Path) -> str:
    """The last error in a log, or its last line; "" without a log."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or [""])[-1].removeprefix("error: ")
