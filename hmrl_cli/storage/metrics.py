"""The metrics of a run, metrics.jsonl: one line for each epoch."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmrl_cli import reading
from hmrl_cli.errors import InputError, shown, typed
from hmrl_cli.lazy import np
from hmrl_cli.storage import files, layout


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The metrics of every epoch of a run directory.  An incomplete last line is left out.

    Raises:
        InputError: there is no metrics.jsonl, or a line of it is damaged.
    """
    found = []
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        with reading.open_file(path / layout.METRICS) as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    source = f"{path / 'metrics.jsonl'}: line {number}"
                    found.append(_metrics_of(line, source))
                    _check_numbers(found[-1], shapes, source)
    except OSError as error:
        raise InputError(f"{path}: metrics.jsonl cannot be read: {error.strerror}") from None
    return found


def epoch_of(line: bytes) -> int | None:
    """The epoch of a line of metrics.jsonl; None where the line is incomplete or damaged."""
    with contextlib.suppress(InputError):
        return int(_metrics_of(line, "")["epoch"]) if line.endswith(b"\n") else None
    return None


def _metrics_of(line: bytes, source: str) -> dict[str, Any]:
    metrics = reading.parse_json(line, source)
    epoch = metrics.get("epoch")
    if type(epoch) is not int or not 0 < epoch < 2**63:
        raise InputError(f"{source}: found {shown(epoch)} for 'epoch'; must be a positive integer")
    return metrics


def _check_numbers(metrics: Mapping[str, Any], shapes: dict[str, tuple[int, ...]], source: str) -> None:
    """Check that all values are numbers, of the shapes of earlier lines; new names extend `shapes`."""
    for name, value in metrics.items():
        try:
            array = np.asarray(value)
        except ValueError:  # lists of unequal lengths
            array = np.asarray(None)
        if array.dtype.kind not in "iuf" or array.shape != shapes.setdefault(name, array.shape):
            raise InputError(
                f"{source}: found {shown(value)} for {name!r}; "
                "must be numbers, as many in each line: copy the run again"
            )


class Metrics:
    """Appends to metrics.jsonl; for the process that trains."""

    def __init__(self) -> None:
        """The file is opened at the first line."""
        self._descriptor = -1

    @property
    def is_open(self) -> bool:
        """Whether a line has been written."""
        return self._descriptor >= 0

    def append(self, path: Path, epoch: int, values: Mapping[str, Any]) -> None:
        """Append one line: the epoch, and numpy arrays by name, as nested lists.

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
        """Force the appended lines to the disk.

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
    """Size in bytes of the lines up to an epoch.

    Raises:
        InputError: the file ends before the epoch, or a line before it is damaged.
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
    if last != epoch:  # cut nothing, because no copy of the lines after a damaged one may exist
        raise InputError(
            f"{path}: ends at epoch {last}, or the next line is damaged; the checkpoint is of {epoch}\n"
            f"to go on from an earlier one: rm -r {typed(path.parent / 'checkpoints' / str(epoch))}"
        )
    return size


def cut(path: Path, size: int) -> None:
    """Truncate a file to its first `size` bytes.

    Raises:
        OSError: the disk is broken.
    """
    if path.exists() and size < path.stat().st_size:
        os.truncate(path, size)
