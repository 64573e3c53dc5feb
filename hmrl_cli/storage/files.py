"""Atomic writes, forced to the disk, and calls that a file system may lack."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hmrl_cli.errors import RunDirError, StorageError
from hmrl_cli.reading import AWAY

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, *AWAY}


# the errors of calls that a file system does not have
NOT_SUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


def file_sha256(path: Path) -> str:
    """SHA-256 of the content of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(entry: Path) -> None:
    """Remove a folder with its content, or a file.

    Raises:
        OSError: the system refuses.
    """
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


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
    """Force an open file or folder to the disk; returns whether its file system can do that.

    Raises:
        OSError: the disk is full or broken.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        return False
    return True


def try_lock(descriptor: int, operation: int) -> bool | None:
    """Lock a file without waiting: True if locked, False if another process has it, None without locks.

    Args:
        descriptor: of the file.
        operation: LOCK_EX or LOCK_SH of `fcntl`.

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
    """The calls that a run needs and the file system of a folder lacks, in words for a message.

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
    """Replace a file by a JSON document, atomically.

    Raises:
        StorageError: the disk is full or broken.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text in UTF-8, atomically.

    Raises:
        StorageError: the disk is full or broken.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace the content of a file, atomically.

    The folder must exist.  If it was created here, a run that was moved would begin again in its old place.

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
    """Write all bytes, in as many calls as the system needs.

    Raises:
        OSError: the disk is full or broken.
    """
    while data:
        data = data[os.write(descriptor, data) :]


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Turn an OSError into a StorageError that names the file.

    Raises:
        StorageError: the system raised an error.
    """
    try:
        yield path
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def creating(path: Path) -> Iterator[None]:
    """Turn an OSError into an error of the run directory or of the disk.

    Raises:
        RunDirError: the system refuses to create `path`.
        StorageError: the disk is full or broken.
    """
    try:
        yield
    except OSError as error:
        kind = StorageError if error.errno in DISK_ERRORS else RunDirError
        raise kind(f"{path}: cannot be created: {error.strerror or error}") from error


def check_writable(path: Path) -> None:
    """Refuse a run directory that an evaluation cannot be written into.

    Raises:
        StorageError: the permission is missing.
    """
    for folder in (path, path / "eval"):
        if os.path.lexists(folder) and not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise StorageError(f"{folder}: cannot be written to, and the result has its place there")
