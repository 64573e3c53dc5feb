"""Metrics for TensorBoard, written by the thread that trains.

tensorboardX's SummaryWriter hands events to a thread of its own.  A full disk ends that thread, and whoever
writes next waits for it for good.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Board:
    """An event file in a folder, which hides what earlier ones say of `first_epoch` and later ones.

    Every method raises OSError where the disk is full or broken.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        """Begin a file; the folder is made if there is none."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"  # what TensorBoard looks for
        self._writer = RecordWriter(str(folder / name))
        now = time.time()
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        self._write(Event(wall_time=now, step=first_epoch, session_log=SessionLog(status=SessionLog.START)))

    def add(self, epoch: int, values: Mapping[str, Any]) -> None:
        """Write the metrics of an epoch, numpy arrays [] or [seed, ...], a curve for each number."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in values.items():
            for index, number in enumerate(value.reshape(-1)):
                curve = scalar(name if value.ndim == 0 else f"{name}/{index}", number)
                self._write(Event(wall_time=time.time(), step=epoch, summary=curve))

    def flush(self) -> None:
        """Let a reader see all there is so far."""
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())
