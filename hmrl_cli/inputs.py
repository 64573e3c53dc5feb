"""Checks of files that a user names, with one message for each kind of error."""

from __future__ import annotations

import codecs
import stat
from collections.abc import Callable
from pathlib import Path

MAX_TEXT = 2**24  # bytes of a configuration
_KINDS: dict[str, Callable[[int], bool]] = {
    "a directory": stat.S_ISDIR,
    "a pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
    "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}
_MARKS = {
    "UTF-32": (
        codecs.BOM_UTF32_LE,
        codecs.BOM_UTF32_BE,
    ),  # first, because the mark of UTF-32 LE begins with that of UTF-16 LE
    "UTF-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}


def why_no_file(path: Path) -> str:
    """Why a path is no regular file, such as "is a directory"; "" for a regular file.

    The function does not open the path, because reading from a pipe or a device could block forever.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is a link to nothing" if path.is_symlink() else "does not exist"
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    except ValueError:  # the path contains NUL
        return "is no path"
    kinds = (f"is {name}" for name, is_one in _KINDS.items() if is_one(mode))
    return next(kinds, "") if not stat.S_ISREG(mode) else ""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Raises:
        ValueError: says why the file cannot be used, such as "is UTF-16; must be UTF-8".
    """
    return decoded(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """The bytes of a configuration file.

    Raises:
        ValueError: says why the file cannot be read, such as "is a directory".
    """
    if reason := why_no_file(path):
        raise ValueError(reason)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_TEXT:
        raise ValueError(f"holds more than {MAX_TEXT:,} bytes; must be smaller")
    return data


def decoded(data: bytes) -> str:
    """The text of a configuration in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: says why the bytes cannot be decoded, such as "is UTF-16; must be UTF-8".
    """
    for encoding, marks in _MARKS.items():
        if data.startswith(marks):
            raise ValueError(f"is {encoding}; must be UTF-8")
    if b"\0" in data:
        raise ValueError("holds NUL bytes, as no text does; must be UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise ValueError(
            f"is not UTF-8: byte {data[error.start]:#04x} in line {line}; must be UTF-8"
        ) from None
