"""Comparison of evaluated runs: a row for each evaluation, and paired differences."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from hmrl_cli.config import protocols
from hmrl_cli.errors import InputError, did_you_mean, shown
from hmrl_cli.evaluation import document as documents
from hmrl_cli.reading import read_json
from hmrl_cli.report.differences import difference, row
from hmrl_cli.storage import checkpoints
from hmrl_cli.storage.evaluations import way_of

# What runs must share to be compared: key of the document -> beginning of the message.
BUDGET = {
    "family": "its family is",
    "tasks_sha256": "its tasks are",
    "flat": "its reference lines are",
    "steps": "its updates are",
    "episodes": "its episodes are",
}


def evaluations(path: Path, protocol: str | None = None) -> list[dict[str, Any]]:
    """The evaluation documents of a run by one protocol: the test split first, then by file name.

    Args:
        path: the run directory.
        protocol: what file names say after split and reward; None: the run's own way and budget, or another
            budget where the run has only that.

    Raises:
        InputError: a document is damaged, or of an older checkpoint than the newest of the run.
    """
    found = []
    newest = _newest(path)
    there = sorted((path / "eval").glob("*.json"))
    wanted = protocol or _usual({way_of(file) for file in there})
    for file in (file for file in there if way_of(file) == wanted):
        try:
            document = documents.read(file)
        except InputError as error:
            raise InputError(f"{error}\nto write it anew: hmrl eval {path}") from None
        if newest and newest != (document["epoch"], document["arrays_sha256"] or newest[1]):
            split = document["split"]
            tasks = "--tasks FILE" if split.startswith("tasks-") else f"--split {split}"
            how = _options(document["protocol"])
            raise InputError(
                f"{file}: is of epoch {document['epoch']}, and not of the newest checkpoint, {newest[0]}\n"
                f"to write it anew: hmrl eval {path} {tasks} --reward {document['reward']}{how}"
            )
        found.append(document)
    return sorted(found, key=lambda document: document["split"] != "test")


def _usual(ways: Set[str]) -> str:
    """The run's own way, "", or the only one that there is, if that is no protocol."""
    if len(ways) == 1 and next(iter(ways)).partition("-")[0] not in protocols.files():
        return next(iter(ways))
    return ""


def _newest(path: Path) -> tuple[int, str] | None:
    """Epoch and SHA-256 of the newest intact checkpoint; None where there is none, as in an archive."""
    with contextlib.suppress(InputError):
        return checkpoints.fingerprint(path / "checkpoints")
    return None


def _options(asked: Mapping[str, Any]) -> str:
    """The options of `hmrl eval` that a document's part "protocol" stands for."""
    name = f" --protocol {asked['name']}" if asked["name"] else ""
    return name + "".join(f" --set evaluation.{key}={value}" for key, value in asked["changed"].items())


def none_there(path: Path, protocol: str | None) -> InputError:
    """The error for a run without an evaluation by a protocol, with the names of those that it has."""
    if (path / "skills.json").is_file():
        return InputError(f"{path}: is a run of skills, which do not adapt; must be one of meta-train")
    others = sorted({way_of(file) for file in (path / "eval").glob("*.json")} - {""})
    what, first = " by its own settings" if others else "", f"; first: hmrl eval {path}"
    if protocol in protocols.files():
        what, first = f" by {shown(protocol)}", f"{first} --protocol {protocol}"
    elif protocol:
        what, first = f" by {shown(protocol)}{did_you_mean(protocol, {*others, *protocols.files()})}", ""
    message = f"{path}: holds no evaluation{what}{first}"
    return InputError(f"{message}\nit has, with --protocol: {', '.join(others)}" if others else message)


def compare(run_paths: Sequence[Path], protocol: str | None = None) -> dict[str, Any]:
    """Compare evaluated runs after the last update, and the first run with each of the others.

    A difference is one of means over seeds and tasks, paired by task.  Seeds are paired as well where both
    runs act through the same skills.

    Args:
        run_paths: the run directories.
        protocol: see `evaluations`.

    Returns:
        a JSON document: `rows`, one for each run and evaluation, and `differences`.

    Raises:
        InputError: a run has no evaluation, or two evaluations differ in a key of `BUDGET`.
    """
    runs = [(name, evaluations(path, protocol)) for name, path in named_runs(run_paths)]
    for path, (_, found) in zip(run_paths, runs, strict=True):
        if not found:
            raise none_there(path, protocol)
    _check_alike([(path, one) for path, (_, found) in zip(run_paths, runs, strict=True) for one in found])
    (first, ours), libraries = runs[0], [_library(path) for path in run_paths]
    differences = [
        {"run": first, "minus": name, "split": one["split"], "reward": one["reward"]}
        | difference(one, other, same_skills=library is not None and library == libraries[0])
        for (name, theirs), library in zip(runs[1:], libraries[1:], strict=True)
        for one in ours
        for other in theirs
        if protocol_of(one) == protocol_of(other) and one["per_task"] and other["per_task"]
    ]
    rows = [row(name, document) for name, found in runs for document in found]
    return {"schema": 1, "rows": rows, "differences": differences}


def protocol_of(document: Mapping[str, Any]) -> tuple[str, str]:
    """Split and reward, which evaluations must share to be compared."""
    return document["split"], document["reward"]


def _check_alike(evaluated: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """Refuse documents of one split and reward that differ in a key of `BUDGET`."""
    first: dict[tuple[str, str], Mapping[str, Any]] = {}
    for path, document in evaluated:
        expected = first.setdefault(protocol_of(document), document)
        for name in BUDGET:
            if document[name] != expected[name]:
                raise InputError(
                    f"{path}: {'-'.join(protocol_of(document))}: {BUDGET[name]} not those of the other runs\n"
                    "must be evaluated alike: family, --tasks, --num-tasks, --adapt-steps, --episodes"
                )


def named_runs(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Name and path of every run.  The name is that of the directory; its path where names are equal."""
    names = [path.resolve().name for path in paths]
    return [
        (name if names.count(name) == 1 else str(path), path) for name, path in zip(names, paths, strict=True)
    ]


def _library(path: Path) -> str | None:
    """SHA-256 of the skills that a run acts through; None where it is unknown, or there are none."""
    file = path / "provenance.json"
    skills = read_json(file).get("skills") if file.is_file() else None
    digest = skills.get("arrays_sha256") if isinstance(skills, dict) else None
    return digest if isinstance(digest, str) else None
