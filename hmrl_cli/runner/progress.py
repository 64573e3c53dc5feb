"""What a deed tells of how it goes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Protocol


class Progress(Protocol):
    """Told what a command is doing."""

    def phase(self, name: str) -> None:
        """A new phase begins, as in "compiling", "training", "evaluating"."""

    def epoch(self, epoch: int, total: int, metrics: Mapping[str, Any], steps_per_second: float) -> None:
        """An epoch of `total` is done; a few of the metrics are shown."""

    def say(self, text: str) -> None:
        """How it goes, as a line that stays on the screen."""

    def note(self, text: str) -> None:
        """Something the user should know, however little of the progress is wanted."""

    def close(self) -> None:
        """Nothing more will come."""


class Silent:
    """Shows nothing."""

    def phase(self, name: str) -> None:
        """Show nothing."""

    def epoch(self, epoch: int, total: int, metrics: Mapping[str, Any], steps_per_second: float) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


class Warns(Silent):
    """For a caller of the library: notes are Python's warnings."""

    def note(self, text: str) -> None:
        """One warning."""
        warnings.warn(text, stacklevel=2)
