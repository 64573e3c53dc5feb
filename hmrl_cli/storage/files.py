"""Files that a killed process or a full disk leaves whole, and the lock of a run directory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hmrl_cli.errors import RunDirError, StorageError

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}


# what a file system says of a call that it does not have
NOT_SUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


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
