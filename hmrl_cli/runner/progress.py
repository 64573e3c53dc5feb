"""The progress of a command, as `runner` sends it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Protocol

WHAT_MATTERS = ("success", "return", "reached", "accuracy", "loss")  # the order of an unnamed metric


class Progress(Protocol):
    """Receives the progress of a command."""

    def phase(self, name: str) -> None:
        """A new phase begins, such as "compiling" or "training"."""

    def epoch(self, epoch: int, total: int, metrics: Mapping[str, Any], steps_per_second: float) -> None:
        """Epoch `epoch` of `total` has ended; the metrics are means over seeds, the main one first."""

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


def by_importance(metrics: Mapping[str, Any], main: str) -> dict[str, Any]:
    """Metrics in the order in which they are shown: the main one, then those of usual names.

    Args:
        metrics: by name.
        main: name of the metric that tells how training goes; "" for none.
    """

    def place(name: str) -> int:
        if name == main:
            return -1
        return next((i for i, word in enumerate(WHAT_MATTERS) if word in name), len(WHAT_MATTERS))

    return {name: metrics[name] for name in sorted(metrics, key=place)}
