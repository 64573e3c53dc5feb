"""Metrics for TensorBoard, written by the thread that trains.

SummaryWriter of tensorboardX writes in a thread of its own.  A full disk ends that thread, and the next write
would wait for it for ever.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Board:
    """A new event file.  TensorBoard then ignores earlier files of the folder from `first_epoch` on.

    Every method raises OSError where the disk is full or broken.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        """Create the file, and its folder if need be."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"  # what TensorBoard looks for
        self._writer = RecordWriter(str(folder / name))
        now = time.time()
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        self._write(Event(wall_time=now, step=first_epoch, session_log=SessionLog(status=SessionLog.START)))

    def add(self, epoch: int, values: Mapping[str, Any]) -> None:
        """Write the metrics of an epoch, numpy arrays [] or [S, ...], one curve for each number."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in values.items():
            for index, number in enumerate(value.reshape(-1)):
                curve = scalar(name if value.ndim == 0 else f"{name}/{index}", number)
                self._write(Event(wall_time=time.time(), step=epoch, summary=curve))

    def flush(self) -> None:
        """Write all events to the file."""
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())
