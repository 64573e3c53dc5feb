"""Running of a suite on this machine, by make.  A signal goes to every command."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from hmrl_cli.errors import MissingDependency, NotDone, RunDirError
from hmrl_cli.storage import files, outputs
from hmrl_cli.suite import makefile
from hmrl_cli.suite.cells import Cell
from hmrl_cli.suite.states import check_places, states

LOOK_EVERY = 0.1  # seconds
LOCK = ".lock"
ERRORS = "logs/make.log"  # what make itself complains of
# target, and its exit code or the signal that killed it, such as "Killed"
FAILED = re.compile(r"\*\*\* \[(?:[^]]*: )?([^]]+)\] (?:Error (\d+)|(.+))")
# variables by which an outer make would control this one, such as -B, which repeats all cells
OF_MAKE = ("MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", "MAKEOVERRIDES", "MAKEFILES", "MAKELEVEL")


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
        logs = {cell.name: _size(folder / makefile.log(cell.name)) for cell in cells}
        received = _make(folder, jobs, lock, stop)
        _check(cells, folder, received, logs)


@contextlib.contextmanager
def alone(
    folder: Path, note: Callable[[str], None], stop: Callable[[], int | None] = lambda: None
) -> Iterator[int]:
    """Hold the lock of a suite's folder, for this process and the commands that inherit it.

    Commands outlive a process that was killed.  This function waits for their ends, so that nothing is done
    twice.  The lock file contains their process group.

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
            note(f"{folder}: {_still_run(descriptor)}\nwaiting for their ends")
            while files.try_lock(descriptor, fcntl.LOCK_EX) is False:
                if number := stop():
                    raise _interrupted(number, _still_run(descriptor))
                time.sleep(LOOK_EVERY)
        _tell_group(descriptor, None)
        yield descriptor
    finally:
        os.close(descriptor)


def _tell_group(lock: int, group: int | None) -> None:
    """Write the machine and the process group of the commands into the lock file; nothing for None."""
    with contextlib.suppress(OSError):  # the text only helps a later start
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{socket.gethostname()} {group}".encode() if group else b"", 0)


def _still_run(lock: int) -> str:
    """A text on another start that still runs, with the way to stop it if it is on this machine."""
    text = "another start, or commands that it left, still run"
    host, _, group = os.pread(lock, 300, 0).decode(errors="replace").partition(" ")
    if host == socket.gethostname() and group.isdecimal() and int(group) > 1:
        with contextlib.suppress(OSError):
            os.killpg(int(group), 0)
            return f"{text}; to stop them: kill -- -{group}"
    return text


def hmrl() -> str:
    """The command of this installation, or that of the environment variable HMRL, as a shell reads it.

    With -P, a module in the working directory is not taken for one of the standard library.
    """
    return os.environ.get("HMRL") or shlex.join([sys.executable, "-P", "-m", "hmrl_cli"])


def _make(folder: Path, jobs: int, lock: int, stop: Callable[[], int | None]) -> int | None:
    """Run make to its end; return the signal that ended it, or None.

    Make's messages go to a file, because a pipe would break if this process died.
    """
    told_to_make = {"HMRL": hmrl(), "IN": shlex.quote(f"{folder}/")}  # as a shell reads them
    variables = [f"{name}={text.replace('$', '$$')}" for name, text in told_to_make.items()]
    command = ["make", "-k", f"-j{jobs}", *variables]
    environment = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    told = None
    with open(folder / ERRORS, "w") as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment | {"LANGUAGE": "C"},
            stdin=subprocess.DEVNULL,
            stdout=2,  # stdout is the result's
            stderr=errors,
            pass_fds=(lock,),
            process_group=0,
        )
        _tell_group(lock, process.pid)
        try:
            while process.poll() is None:
                if told is None and (told := stop()):
                    os.killpg(process.pid, signal.SIGTERM)
                time.sleep(LOOK_EVERY)
        except KeyboardInterrupt:  # the second Ctrl-C
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
            raise
    _tell_group(lock, None)
    return told or (-process.returncode if process.returncode < 0 else None)


def _check(cells: Sequence[Cell], folder: Path, received: int | None, logs: Mapping[str, int]) -> None:
    """Raise an error if a cell is not done; `logs` has the size of each log before this start."""
    found = states(cells, folder)
    left = [cell for cell in cells if found[cell.name].state != "done"]
    if not left:
        return
    counted = f"{len(left)} of {len(cells)} cells are not done"
    if received is not None:
        raise _interrupted(received, counted)
    first = next(cell for cell in left if all(found[name].state == "done" for name in cell.needs))
    file, of_make = folder / makefile.log(first.name), _lines(folder / ERRORS)
    ends = {target: end for target, *end in FAILED.findall("\n".join(of_make))}
    code, killed = ends.get(makefile.mark(first.name), ("", ""))
    said = f"ended by a signal: {killed}" if killed else _reason(_lines(file, logs[first.name]), of_make)
    error = NotDone(
        f"{counted}; the first one: {first.name}: {said}\nsee {file}; to try again: the same command"
    )
    error.exit_code = int(code or 75)
    raise error


def _reason(said: Sequence[str], of_make: Sequence[str]) -> str:
    """The reason why a cell failed: its last error, its last line, or the first message of its shell."""
    errors = [line for line in said if line.startswith("error:")]
    of_shell = [line for line in of_make if not line.startswith("make")]
    found = [*errors[-1:], *said[-1:], *of_shell[:1], "it wrote nothing"]
    return found[0].removeprefix("error: ")


def _interrupted(number: int, left: str) -> NotDone:
    """The error for a signal; `left` says what is not done."""
    error = NotDone(f"interrupted by {signal.Signals(number).name}; {left}\nto continue: the same command")
    error.exit_code = 130 if number == signal.SIGINT else 75
    return error


def _lines(file: Path, start: int = 0) -> list[str]:
    """The lines of a log from a byte on; none without a log."""
    try:
        return file.read_bytes()[start:].decode(errors="replace").splitlines()
    except OSError:
        return []


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
