"""A list of runs: what the small files of each run directory say, without jax."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hmrl_cli.errors import HmrlError, InputError, joined, one_line
from hmrl_cli.storage import checkpoints, evaluations, layout, reader

NOTHING = dict.fromkeys(
    ("epoch", "epochs", "command", "preset", "family", "algorithm", "skills", "init_from")
)


def runs(folder: Path, now: datetime.datetime) -> list[dict[str, Any]]:
    """All runs in a folder, at any depth, the youngest first.

    Hidden folders and the inside of runs are not searched.

    Args:
        folder: a folder of runs, or a run.
        now: the time from which ages count.

    Returns:
        for each run a JSON document of the keys "name" (its path in the folder), "run" (its path), "state",
        "age" (in seconds, since it was created), "epoch", "epochs", "command", "preset", "family",
        "algorithm", "seeds", "skills", "init_from", "evaluated" (names of documents in eval/), "outdated"
        (those of an earlier epoch than the newest checkpoint) and "problem".
        A run that cannot be read is "unreadable" and has a problem; its other values are None or empty.

    Raises:
        InputError: the folder is no directory.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is no directory; must be a folder of runs")
    described = [_described(path, problem, now) for path, problem in found(folder)]
    for run in described:
        inside = os.path.relpath(run["run"], folder)
        run["name"] = Path(run["run"]).absolute().name if inside == "." else inside
    return sorted(described, key=lambda run: (run["age"], run["name"]))


def found(folder: Path) -> Iterator[tuple[Path, str]]:
    """The run directories in a folder, each once, with the reason why one cannot be listed or ""."""
    waiting, seen = [folder], set()
    while waiting:
        path = waiting.pop()
        if (place := os.path.realpath(path)) in seen:
            continue
        seen.add(place)
        try:
            with os.scandir(path) as entries:
                inside = {entry.name: _is_folder(entry) for entry in entries}
        except OSError as error:
            yield path, f"{path}: cannot be listed: {error.strerror}"
            continue
        is_run = layout.seems_run(inside)
        if is_run or layout.CONFIG in inside:
            yield path, ""
        if not is_run:
            waiting += [path / name for name in inside if inside[name] and not name.startswith(".")]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder; a link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _described(path: Path, problem: str, now: datetime.datetime) -> dict[str, Any]:
    """The document of one run, without its name."""
    row: dict[str, Any] = {"name": "", "run": str(path), "state": "unreadable", "age": 0.0}
    row |= {**NOTHING, "seeds": [], "evaluated": [], "outdated": [], "problem": problem or None}
    try:
        row["age"] = _seconds_since(path.stat().st_mtime, now)
        if not problem:
            row |= _read(reader.read(path, code=False), now)
    except (HmrlError, OSError) as error:
        row["problem"] = joined(error) if isinstance(error, HmrlError) else one_line(error)
    return row


def _read(run: reader.Info, now: datetime.datetime) -> dict[str, Any]:
    """What the files of a run say."""
    experiment, status = run.experiment, run.status
    training, hierarchy = experiment.training, experiment.hierarchy
    documents = evaluations.files_of(run.path)
    newest = next(iter(checkpoints.epochs(run.path / "checkpoints")), 0)
    return {
        "state": status.get("state") or "unknown",
        "age": _age(run, now),
        "epoch": status.get("epoch"),
        "epochs": training.epochs,
        # the class of a plugin's settings, which has the command, may be gone
        "command": run.provenance.get("command") or experiment.algorithm.command,
        "preset": run.provenance.get("preset"),
        "family": experiment.family.name,
        "algorithm": experiment.algorithm.name,
        "seeds": list(training.seeds),
        "skills": hierarchy.skills if hierarchy else None,
        "init_from": training.init_from,
        "evaluated": [file.stem for file in documents],
        "outdated": [file.stem for file in documents if evaluations.epoch_of(file, newest) < newest],
    }


def _age(run: reader.Info, now: datetime.datetime) -> float:
    """Seconds since a run was created, by its provenance or else by its configuration."""
    try:
        created = datetime.datetime.fromisoformat(run.provenance["created"])
        return _seconds_since(created.timestamp(), now)
    except (KeyError, TypeError, ValueError, OverflowError):
        return _seconds_since((run.path / layout.CONFIG).stat().st_mtime, now)


def _seconds_since(then: float, now: datetime.datetime) -> float:
    return max(0.0, round(now.timestamp() - then, 1))
