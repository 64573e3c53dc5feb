"""Files that a killed process or a full disk leaves whole, and the lock of a run directory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hmrl_cli.errors import RunDirError, StorageError

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}
# what a file system says of a call that it does not have
NOT_SUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
PATIENCE = 5  # tries to lock, for a reader that looks whether a run is locked holds its lock for a moment


def file_sha256(path: Path) -> str:
    """SHA-256 of the content of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Force a file or the entries of a folder to the disk, where its file system can do that.

    Raises:
        OSError: the disk is full or broken.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        force(descriptor)
    finally:
        os.close(descriptor)


def force(descriptor: int) -> bool:
    """Whether an open file or folder could be forced to the disk."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        return False
    return True


def try_lock(descriptor: int, operation: int) -> bool | None:
    """Whether `flock` gave the lock at once; None where the file system has no locks.

    Raises:
        OSError: the disk is broken.
    """
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in {*NOT_SUPPORTED, errno.EBADF, errno.EISDIR}:  # NFS says so of a folder
            raise
        return None
    return True


def lacks(folder: Path) -> list[str]:
    """What the file system of a folder does not have, of what a run's promises rest on.

    Raises:
        OSError: the disk is full or broken.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        locks = try_lock(file.fileno(), fcntl.LOCK_EX)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        forces = force(descriptor)
    finally:
        os.close(descriptor)
    found = {
        "locks, so start no second process on the run": locks,
        "forcing of folders to the disk, so a power cut may cost epochs": forces,
    }
    return [lack for lack, there in found.items() if not there]


def write_json(path: Path, value: Any) -> None:
    """Replace a file by a JSON document, as a whole or not at all.

    Raises:
        StorageError: the disk is full or broken.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text, as a whole or not at all.

    Raises:
        StorageError: the disk is full or broken.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file by other bytes, as a whole or not at all.

    Its folder is not made: a run that was moved would be begun anew where it was.

    Raises:
        StorageError: the disk is full or broken.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                force(file.fileno())
            temporary.replace(path)
            sync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_all(descriptor: int, data: bytes) -> None:
    """Write to a descriptor, which may take less than all at a time."""
    while data:
        data = data[os.write(descriptor, data) :]


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """An error of the system is a StorageError that names the file."""
    try:
        yield path
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def creating(path: Path) -> Iterator[None]:
    """An error of the system is a RunDirError, or a StorageError where the disk is full or broken."""
    try:
        yield
    except OSError as error:
        kind = StorageError if error.errno in DISK_ERRORS else RunDirError
        raise kind(f"{path}: cannot be created: {error.strerror or error}") from error


def check_writable(path: Path) -> None:
    """Refuse a run into which no evaluation can be written.

    Raises:
        StorageError: it is one.
    """
    for folder in (path, path / "eval"):
        if os.path.lexists(folder) and not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise StorageError(f"{folder}: cannot be written to, and the result has its place there")


class Lock:
    """The right to write to a run directory, as long as it stays where it is."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Of the directory, and its lock file, open and locked; use `take_lock`."""
        self._path, self._descriptor = path, descriptor

    def check(self) -> None:
        """Refuse to write where the directory is no more, for writes follow the path and the lock does not.

        Raises:
            RunDirError: the path leads to another directory, or to none.
            StorageError: the disk is broken.
        """
        file = self._path / "lock"
        in_place = False
        with writing(file), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            in_place = os.path.samestat(os.stat(file), os.fstat(self._descriptor))
        if not in_place:
            raise RunDirError(
                f"{self._path}: was moved, removed or replaced while it was written to\n"
                "nothing is written to what is there now; to go on: --resume, with --run-dir where it is"
            )

    def close(self) -> None:
        """Let go of the lock; closing twice does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


@contextlib.contextmanager
def held(path: Path) -> Iterator[Lock]:
    """Nobody else writes to the run directory meanwhile.

    Raises:
        RunDirError: somebody does already, or it cannot be locked.
    """
    lock = take_lock(path, "to read it: once that has ended")
    try:
        yield lock
    finally:
        lock.close()


def take_lock(path: Path, instead: str = "to start another run: --name NAME") -> Lock:
    """Lock a run directory; the system lets go of the lock when the process ends, however it ends.

    Where the file system has no locks, it is as if nobody else had locked it; see `lacks`.

    `instead` tells what else to do where another process has locked it.

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
    """Whether no other process keeps the lock; see `PATIENCE`."""
    for _ in range(PATIENCE):
        if try_lock(descriptor, fcntl.LOCK_EX) is not False:
            return True
        time.sleep(0.05)
    return False


def is_locked(path: Path) -> bool:
    """Whether a process may be writing to the run directory; true where that cannot be told."""
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
