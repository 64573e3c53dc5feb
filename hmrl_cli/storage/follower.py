"""The run in a process other than process 0, which alone reads and writes the run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.experiment import Experiment
from hmrl_cli.storage import upstream


class Follower:
    """A stand-in with the part of `RunDir`'s interface that training needs; it writes nothing."""

    path = Path()
    is_complete = False

    def __init__(self, experiment: Experiment, sources: upstream.Sources) -> None:
        """`experiment` is what to run, and `sources` what it stands on."""
        self.experiment, self.sources = experiment, sources
        self.status: Mapping[str, Any] = {}
        self.epoch = 0  # of the last checkpoint

    def __enter__(self) -> Follower:
        """The run itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    def adopt(self, metrics: Sequence[Mapping[str, Any]]) -> None:
        """Count the epochs of the parent."""
        self.epoch = len(metrics)

    def record(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Do nothing."""

    def save(self, epoch: int, tree: Any) -> None:
        """Count the epochs of the checkpoint."""
        self.epoch = epoch

    def event(self, text: str) -> None:
        """Do nothing."""

    def complete(self, summary: Mapping[str, Any]) -> None:
        """Do nothing."""
