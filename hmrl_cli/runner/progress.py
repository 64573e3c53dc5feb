"""The progress of a command, as `runner` sends it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Protocol


class Progress(Protocol):
    """Receives the progress of a command."""

    def phase(self, name: str) -> None:
        """A new phase begins, such as "compiling" or "training"."""

    def epoch(self, epoch: int, total: int, metrics: Mapping[str, Any], steps_per_second: float) -> None:
        """Epoch `epoch` of `total` has ended; the metrics are means over seeds."""

    def say(self, text: str) -> None:
        """A line of progress, which stays on the screen."""

    def note(self, text: str) -> None:
        """A fact that the user should know, shown even where progress is not."""

    def close(self) -> None:
        """The command has ended."""


class Silent:
    """Ignores all progress."""

    def phase(self, name: str) -> None:
        """Do nothing."""

    def epoch(self, epoch: int, total: int, metrics: Mapping[str, Any], steps_per_second: float) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Warns(Silent):
    """Ignores progress, and turns notes into Python warnings, for a caller of the library."""

    def note(self, text: str) -> None:
        """Issue a warning."""
        warnings.warn(text, stacklevel=2)
