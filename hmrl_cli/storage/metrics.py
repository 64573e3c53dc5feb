"""metrics.jsonl: one line per epoch."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmrl_cli import reading
from hmrl_cli.errors import InputError, shown
from hmrl_cli.storage import files


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl of a run directory, whole ones: the last may be half written.

    Raises:
        InputError: there is no such file, or a line of it is damaged.
    """
    found = []
    try:
        with reading.open_file(path / "metrics.jsonl") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    found.append(_metrics_of(line, f"{path / 'metrics.jsonl'}: line {number}"))
    except OSError as error:
        raise InputError(f"{path}: metrics.jsonl cannot be read: {error.strerror}") from None
    return found


def epoch_of(line: bytes) -> int | None:
    """Epoch of a line of metrics.jsonl; None when the line is torn or damaged."""
    with contextlib.suppress(InputError):
        return int(_metrics_of(line, "")["epoch"]) if line.endswith(b"\n") else None
    return None


def _metrics_of(line: bytes, source: str) -> dict[str, Any]:
    metrics = reading.parse_json(line, source)
    epoch = metrics.get("epoch")
    if type(epoch) is not int or not 0 < epoch < 2**63:
        raise InputError(f"{source}: found {shown(epoch)} for 'epoch'; must be a positive integer")
    return metrics


class Metrics:
    """The file, as the process that trains appends to it."""

    def __init__(self) -> None:
        """Nothing is open before the first line."""
        self._descriptor = -1

    @property
    def is_open(self) -> bool:
        """Whether a line has been written."""
        return self._descriptor >= 0

    def append(self, path: Path, epoch: int, values: Mapping[str, Any]) -> None:
        """One line: the epoch, and arrays by name.

        Raises:
            OSError: the disk is full or broken.
        """
        plain = {name: value.tolist() for name, value in values.items()}
        line = json.dumps({"epoch": epoch, **plain}, allow_nan=False).encode() + b"\n"
        if not self.is_open:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o644)
            files.sync(path.parent)
        files.write_all(self._descriptor, line)

    def force(self) -> None:
        """Force what was appended to the disk.

        Raises:
            OSError: the disk is full or broken.
        """
        files.force(self._descriptor)

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        if self.is_open:
            os.close(self._descriptor)
        self._descriptor = -1


def size_until(path: Path, epoch: int) -> int:
    """Bytes of the lines up to an epoch, without a torn last one.

    Raises:
        InputError: the file does not reach the epoch.
        StorageError: the disk is broken.
    """
    last, size = 0, 0
    with files.writing(path):
        if path.exists():
            with reading.open_file(path) as file:
                for line in file:
                    found = epoch_of(line)
                    if found is None or found > epoch:
                        break
                    last, size = found, size + len(line)
    if last != epoch:  # nothing is cut then: what comes after a damaged line may be all there is
        raise InputError(
            f"{path}: ends at epoch {last}, or the next line is damaged\n"
            f"must reach epoch {epoch}, as the checkpoint does"
        )
    return size


def cut(path: Path, size: int) -> None:
    """Keep the first `size` bytes.

    Raises:
        OSError: the disk is broken.
    """
    if path.exists() and size < path.stat().st_size:
        os.truncate(path, size)
