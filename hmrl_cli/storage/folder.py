"""The directory of a run, as the one process that holds its lock writes into it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hmrl_cli.errors import StorageError
from hmrl_cli.storage import files, provenance
from hmrl_cli.storage.locks import Lock


def ignore_note(text: str) -> None:
    """For a library's user, who reads events.log."""


class Folder:
    """Writes files of a run, each once the path is known to lead to what was locked."""

    def __init__(self, path: Path, lock: Lock, note: Callable[[str], None]) -> None:
        """Of a directory whose lock is held; `note` gets what the user should know."""
        self.path = path
        self._lock = lock
        self._show = note

    def close(self) -> None:
        """Let go of the lock; closing twice does no harm."""
        self._lock.close()

    def check(self) -> None:
        """Refuse to write where the directory is no more.

        Raises:
            RunDirError: the path leads to another directory, or to none.
        """
        self._lock.check()

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A file of the run, once it is known to lie where the lock does.

        Raises:
            RunDirError: the directory is no more.
            StorageError: the disk is full or broken.
        """
        self.check()
        try:
            with files.writing(self.path / name) as path:
                yield path
        except StorageError:
            self.check()  # it may have failed because the directory went away meanwhile
            raise

    def write_json(self, name: str, value: Any) -> None:
        """Replace a file by a JSON document; raises as `writing`."""
        with self.writing(name) as path:
            files.write_json(path, value)

    def write_text(self, name: str, text: str) -> None:
        """Replace a file by a text; raises as `writing`."""
        with self.writing(name) as path:
            files.write_text(path, text)

    def event(self, text: str) -> None:
        """Append a line with the time to events.log; raises as `writing`."""
        line = f"{provenance.now()} {' '.join(text.split())}\n".encode(errors="replace")
        with self.writing("events.log") as path, path.open("ab", buffering=0) as file:
            files.write_all(file.fileno(), line)

    def note(self, text: str) -> None:
        """Tell the user, and write it down; raises as `writing`."""
        self._show(text)
        self.event(text)

    def note_what_is_lacking(self) -> None:
        """Tell which promises of a run its file system cannot keep; raises as `writing`."""
        with files.writing(self.path):
            lacking = files.lacks(self.path)
        for lack in lacking:
            self.note(f"the file system of {self.path} has no {lack}")
