"""The lock of a run directory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from hmrl_cli.errors import RunDirError
from hmrl_cli.storage.files import creating, try_lock, writing

PATIENCE = 5  # attempts, because `is_locked` in another process has the lock for a moment


class Lock:
    """The right to write to a run directory, while the directory stays at its path."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """`descriptor` is that of the lock file, open and locked; use `take_lock`."""
        self._path, self._descriptor = path, descriptor

    def check(self) -> None:
        """Check that the path leads to the locked directory.  Writes follow the path, but the lock does not.

        Raises:
            RunDirError: the directory was moved, removed or replaced.
            StorageError: the disk is broken.
        """
        file = self._path / "lock"
        in_place = False
        with writing(file), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            in_place = os.path.samestat(os.stat(file), os.fstat(self._descriptor))
        if not in_place:
            raise RunDirError(
                f"{self._path}: was moved, removed or replaced while it was written to\n"
                "nothing is written to what is there now; to go on: hmrl resume, where it is now"
            )

    def close(self) -> None:
        """Release the lock; closing twice does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


@contextlib.contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """Lock a run directory, so that no other process writes to it meanwhile.

    Raises:
        RunDirError: another process has locked it, or it cannot be locked.
    """
    lock = take_lock(path, "to read it: once that has ended")
    try:
        yield lock
    finally:
        lock.close()


def take_lock(path: Path, instead: str = "to start another run: --name NAME") -> Lock:
    """Lock a run directory.  The system releases the lock at the end of the process, whatever ends it.

    A file system without locks gives the lock to every process; see `files.lacks`.

    Args:
        path: the run directory.
        instead: what to do where another process has locked it, for the message.

    Raises:
        RunDirError: another process has locked it, or the lock cannot be created.
        StorageError: the disk is full or broken.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with creating(path / "lock"):
        descriptor = os.open(path / "lock", flags, 0o644)
    lock = Lock(path, descriptor)
    try:
        with writing(path / "lock"):
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RunDirError(f"{path / 'lock'}: is no regular file; must be that of a run")
            if not _locked_after_a_while(descriptor):
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                raise RunDirError(f"{path}: process {holder or '?'} is writing to it\n{instead}")
            lock.check()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        lock.close()
        raise
    return lock


def _locked_after_a_while(descriptor: int) -> bool:
    """Whether the lock was given within `PATIENCE` attempts."""
    for _ in range(PATIENCE):
        if try_lock(descriptor, fcntl.LOCK_EX) is not False:
            return True
        time.sleep(0.05)
    return False


def is_locked(path: Path) -> bool:
    """Whether a process may be writing to the run directory; true where that is unknown."""
    try:
        descriptor = os.open(path / "lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENXIO)
    try:
        return try_lock(descriptor, fcntl.LOCK_SH) is not True
    except OSError:
        return True
    finally:
        os.close(descriptor)
