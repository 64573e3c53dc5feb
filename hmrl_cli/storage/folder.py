"""Writing into a run directory, by the process that has its lock."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hmrl_cli.errors import StorageError
from hmrl_cli.storage import files, layout, provenance
from hmrl_cli.storage.locks import Lock


def ignore_note(text: str) -> None:
    """The default of `note`: events.log has the text as well."""


class Folder:
    """Writes files of a run, each after a check that the path still leads to the locked directory."""

    def __init__(self, path: Path, lock: Lock, note: Callable[[str], None]) -> None:
        """`lock` is that of the directory; `note` is called with what the user should know."""
        self.path = path
        self._lock = lock
        self._show = note

    def close(self) -> None:
        """Release the lock; closing twice does no harm."""
        self._lock.close()

    def check(self) -> None:
        """Check that the path leads to the locked directory.

        Raises:
            RunDirError: the directory was moved, removed or replaced.
        """
        self._lock.check()

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """The path of a file of the run, for writing.

        Raises:
            RunDirError: the directory was moved, removed or replaced.
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
        with self.writing(layout.EVENTS) as path, path.open("ab", buffering=0) as file:
            files.write_all(file.fileno(), line)

    def note(self, text: str) -> None:
        """Show the user a text, and append it to events.log; raises as `writing`."""
        self._show(text)
        self.event(text)

    def note_what_is_lacking(self) -> None:
        """Note the calls that a run needs and its file system lacks; raises as `writing`."""
        with files.writing(self.path):
            lacking = files.lacks(self.path)
        for lack in lacking:
            self.note(f"the file system of {self.path} has no {lack}")
