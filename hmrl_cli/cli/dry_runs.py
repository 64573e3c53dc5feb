"""The plan of a training as a table for a reader, with units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hmrl_cli.cli.output import as_cell
from hmrl_cli.cli.progress import duration, quantity, three_digits
from hmrl_cli.experiment import Training

UNITS = ((" KiB", 2**10), (" MiB", 2**20), (" GiB", 2**30), (" TiB", 2**40))
NAMES = {  # of keys, where another name says more
    "steps": "steps of a seed",
    "total_steps": "steps of all seeds",
    "state_bytes": "state",
    "buffer_bytes": "replay buffers in it",
    "batch_bytes": "batch of an update",
    "device_bytes": "memory of a device",
    "checkpoint_bytes": "checkpoint",
    "disk_bytes": "room on the disk",
    "seconds": "time",
}
ELSEWHERE = ("device_limit_bytes", "steps_per_second", "measured")  # in the text of another key


def rows(plan: Mapping[str, Any], training: Training) -> list[tuple[str, str]]:
    """Name and value of what a plan of a training tells; what does not exist is left out."""
    texts = {key: _text(key, value, plan) for key, value in plan.items() if key not in ELSEWHERE}
    if "updates" in texts:
        texts["updates"] += f" ({training.epochs:,} epochs of {training.updates_per_epoch:,})"
    return [(NAMES.get(key, key.replace("_", " ")), text) for key, text in texts.items() if text]


def size(count: float) -> str:
    """Bytes as text of three digits, such as `12.3 MiB`; below 1024 as they are."""
    return f"{count:.0f} bytes" if count < UNITS[0][1] else three_digits(count, UNITS)


def _text(key: str, value: Any, plan: Mapping[str, Any]) -> str:
    if key == "seconds":
        return _time(value, plan)
    if key == "device_bytes":
        return f"at least {size(value)} of {size(plan['device_limit_bytes'])}"
    if key.endswith("_bytes"):
        return size(value) if value else ""
    return f"{value:,}" if isinstance(value, int) else as_cell(value)


def _time(seconds: float | None, plan: Mapping[str, Any]) -> str:
    if seconds is None:
        return "not known: no run of this learner on this machine is there to tell"
    measured = plan["measured"]
    seeds = f"{measured['seeds']} seed{'s' if measured['seeds'] > 1 else ''}"
    settings = "the same settings" if measured["same_settings"] else "other settings"
    as_in = f"as in {measured['run']} ({seeds}, {settings})"
    return f"{duration(seconds)} and compilation, at {quantity(plan['steps_per_second'])} steps/s {as_in}"
