"""The documents of evaluations in a run: one file for each way to adapt and each budget.

eval/SPLIT-REWARD.json                      the run's own way and budget
eval/SPLIT-REWARD-PROTOCOL.json             a named way to adapt
eval/SPLIT-REWARD[-PROTOCOL]-KEY=VALUE.json with other settings; a hash where that would be long
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hmrl_cli.config.layers import leaves
from hmrl_cli.errors import InputError, typed
from hmrl_cli.reading import read_bytes, read_json
from hmrl_cli.schema import Evaluation, Relabel
from hmrl_cli.storage import files

BEGINNING = 4096  # bytes, in which a document tells its epoch
MAX_STEM = 100  # bytes of a name that says its settings


def stem(split: str, reward: str, protocol: str | None, changed: Mapping[str, Any]) -> str:
    """The name of a document without its suffix, such as "test-sparse-explore-episodes=50".

    Args:
        split: as in the document.
        reward: "sparse" or "dense".
        protocol: the named way to adapt; None: the run's own.
        changed: settings that differ from those of the run and its protocol: dotted path -> value.
    """
    return with_changes("-".join([split, reward, *([protocol] if protocol else [])]), changed)


def with_changes(name: str, changed: Mapping[str, Any]) -> str:
    """A name followed by the settings that were changed, or their hash where that would be long."""
    told = "-".join([name, *(f"{key}={_text(value)}" for key, value in changed.items())])
    return told if told == name or len(os.fsencode(told)) <= MAX_STEM else f"{name}-{_digest(changed)}"


def files_of(run: Path) -> list[Path]:
    """The documents of a run; raises OSError if this user may not read their folder."""
    folder = run / "eval"
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return [folder / name for name in names if name.endswith(".json")]


def epoch_of(file: Path, unknown: int) -> int:
    """The epoch in the first bytes of a document; `unknown` if it is not there."""
    with contextlib.suppress(InputError):
        told = re.search(rb'^ "epoch": (\d+),$', read_bytes(file, BEGINNING), re.MULTILINE)
        return int(told[1]) if told else unknown
    return unknown


def parsed(stem: str) -> tuple[str, str, str] | None:
    """Split, reward and way of the name of a document, without its suffix; None for any other name.

    The way "" is the run's own, with its own budget.
    """
    told = re.fullmatch(r"(.+)-(sparse|dense)(?:-(.+))?", stem)
    return (told[1], told[2], told[3] or "") if told else None


def write(file: Path, document: Mapping[str, Any], note: Callable[[str], None]) -> None:
    """Write a document in place of one with equal settings.

    A document with other settings, as of an earlier version, is renamed first.

    Args:
        file: the place, whose folder may be missing.
        document: the document.
        note: receives a message on what was renamed.

    Raises:
        StorageError: the disk is full or broken.
    """
    with files.writing(file.parent) as folder:
        folder.mkdir(exist_ok=True)
    settings, other = _digest(_settings(document)), None
    with contextlib.suppress(InputError, KeyError, TypeError, AttributeError):  # none, or a damaged one
        other = _digest(_settings(read_json(file)))
    if other not in (None, settings):
        kept = file.with_name(f"{file.stem}-{other}.json")
        with files.writing(kept):
            file.replace(kept)
        note(f"{file}: had other settings or tasks; it is now {kept.name}")
    files.write_json(file, document)


def check_not_later(file: Path, epoch: int, run: Path) -> None:
    """Refuse to replace the evaluation of a later epoch, whose checkpoint is damaged.

    Raises:
        InputError: names the document and the remedy.
    """
    try:
        there = read_json(file).get("epoch")
    except InputError:  # none, or a damaged one
        return
    if isinstance(there, int) and there > epoch:
        raise InputError(
            f"{file}: is of epoch {there}, whose checkpoint is damaged or gone; the newest is {epoch}\n"
            f"to restore it: hmrl resume {typed(run)}; to replace the evaluation: remove it"
        )


def _settings(document: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by which two evaluations count as equal.

    A setting newer than a document has its default, or the value that reproduces earlier versions.
    A `least_gain` does not count, because it may be calibrated.
    """
    budget = {key: document[key] for key in ("num_tasks", "steps", "episodes", "tasks_sha256")}
    before = {f"relabel.{name}": value for name, value in Relabel.before.items()}
    usual = dict(leaves(Evaluation().model_dump())) | before
    return usual | document["adaptation"] | {"least_gain": None} | budget


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _digest(settings: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of a hash."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
