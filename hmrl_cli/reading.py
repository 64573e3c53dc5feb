"""Reading of files that another version or another program may have written.

A file is read, or refused with an error that names the file.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pydantic

from hmrl_cli.errors import InputError, StorageError, one_line, shown
from hmrl_cli.inputs import why_no_file

MAX_DEPTH = 64  # levels of nesting; no document of this package has more than 8
AWAY = {errno.ESTALE, errno.ETIMEDOUT}  # the errors of a network share that does not answer
MAX_BYTES = 2**28  # of a JSON document


class Form(pydantic.BaseModel):
    """Base of the checked part of a document; a newer version may write further keys."""

    model_config = pydantic.ConfigDict(strict=True, extra="allow")


def open_file(path: Path) -> BinaryIO:
    """A regular file, open for reading.  A pipe is refused without waiting for its writer.

    Raises:
        OSError: the path cannot be opened, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, limit: int = -1) -> bytes:
    """The content of a regular file, or its first `limit` bytes if `limit` is not negative.

    Raises:
        InputError: the file cannot be read.
        StorageError: the disk is broken.
    """
    try:
        with open_file(path) as file:
            return file.read(limit)
    except OSError as error:
        kind = StorageError if error.errno in {errno.EIO, *AWAY} else InputError
        raise kind(f"{path}: cannot be read: {why_no_file(path) or error.strerror}") from None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        InputError: the file cannot be read, or `parse_json` refuses its content.
        StorageError: the disk is broken.
    """
    return parse_json(read_bytes(path, MAX_BYTES + 1), str(path))


def parse_json(data: bytes, source: str) -> dict[str, Any]:
    """A JSON object with finite numbers and at most `MAX_DEPTH` levels of nesting.

    Args:
        data: UTF-8 text.
        source: the name of the data in messages.

    Raises:
        InputError: the data is something else.
    """
    if len(data) > MAX_BYTES:
        raise InputError(f"{source}: holds more than {MAX_BYTES:,} bytes; must be smaller")
    try:
        value = json.loads(data.decode(), parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise InputError(f"{source}: is nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{source}: is no valid JSON: {one_line(error)[:200]}") from None
    if not isinstance(value, dict):
        raise InputError(f"{source}: found {shown(value)}; must be a JSON object")
    if is_deep(value):
        raise InputError(f"{source}: is nested too deeply")
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{shown(text)} is too large a number")
    return value


def is_deep(value: Any) -> bool:
    """Whether mappings and lists are nested deeper than `MAX_DEPTH`, found without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
            if isinstance(inner, Mapping | list)
        ]
        if not level:
            return False
    return True


def check(value: Mapping[str, Any], form: type[Form], schema: int, source: str) -> None:
    """Refuse a document with another schema number, or with types that differ from its form.

    Args:
        value: the document.
        form: the keys and types to check.
        schema: the expected number under "schema"; a document without the key passes.
        source: the name of the document in messages.

    Raises:
        InputError: names the source and the key.
    """
    found = value.get("schema", schema)
    if type(found) is not int or found != schema:
        raise InputError(f"{source}: found schema {shown(found)}; must be {schema}, by this version of hmrl")
    try:
        form.model_validate(value)
    except pydantic.ValidationError as error:
        detail = error.errors()[0]
        key = shown(".".join(map(str, detail["loc"])))
        if detail["type"] == "missing":
            raise InputError(f"{source}: holds no {key}; it is damaged, or of another version") from None
        wanted = one_line(detail["msg"]).removeprefix("Input should be ")
        raise InputError(f"{source}: {key}: found {shown(detail['input'])}; must be {wanted}") from None
