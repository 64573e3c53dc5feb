"""Files that a killed process or a full disk leaves whole, and the lock of a run directory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hmrl_cli.errors import RunDirError, StorageError

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}


def file_sha256(path: Path) -> str:
    """SHA-256 of the content of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Force a file or the entries of a folder to the disk.

    Raises:
        OSError: the disk is full or broken.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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

    Raises:
        StorageError: the disk is full or broken.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def read_json(path: Path) -> dict[str, Any]:
    """Content of a file that is only ever replaced as a whole; empty when there is none."""
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else {}
    return {}


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
    """Refuse a run whose permissions let no evaluation be written into it.

    Raises:
        StorageError: it is one.
    """
    for folder in (path, path / "eval"):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise StorageError(f"{folder}: cannot be written to, and the result has its place there")


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Nobody else writes to the run directory meanwhile.

    Raises:
        RunDirError: somebody does already, or it cannot be locked.
    """
    lock = take_lock(path, "to read it: once that has ended")
    try:
        yield
    finally:
        os.close(lock)


def take_lock(path: Path, instead: str = "to start another run: --name NAME") -> int:
    """Lock a run directory; the system lets go of the lock when the process ends, however it ends.

    `instead` tells what else to do where another process has locked it.
    """
    with creating(path / "lock"):
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise RunDirError(f"{path}: process {holder or '?'} is writing to it\n{instead}") from None
    except OSError as error:
        os.close(descriptor)
        raise StorageError(f"{path / 'lock'}: cannot be written: {error.strerror}") from error
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether a process writes to the run directory."""
    with contextlib.suppress(OSError), (path / "lock").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
