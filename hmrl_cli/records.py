"""Reading runs: configuration, state, metrics and checkpoint of a run directory; nothing is written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hmrl_cli import checkpoints, config, exports, files
from hmrl_cli.errors import ConfigError, InputError, shown
from hmrl_cli.schema import Experiment


class Info(NamedTuple):
    """What a run directory tells to a reader."""

    path: Path
    experiment: Experiment
    status: Mapping[str, Any]  # {"state", "epoch", "epochs", ...}
    provenance: Mapping[str, Any]


def read(path: Path) -> Info:
    """What a run directory tells; a run that was killed has the state "killed".  Needs no jax.

    Raises:
        InputError: it is not a run directory, or its configuration is not valid here.
    """
    if not (path / "config.toml").is_file():
        raise InputError(f"{path}: holds no config.toml; must be a run directory (see: ls runs)")
    experiment = load_config(path / "config.toml")
    status = files.read_json(path / "status.json")
    if status.get("state") == "running" and not files.is_locked(path):
        status["state"] = "killed"
    return Info(path, experiment, status, files.read_json(path / "provenance.json"))


def read_skills(path: Path) -> Experiment | None:
    """How the skills were trained that a run acts through; None where it acts through none.

    Raises:
        InputError: it cannot be read, or is not what the run began with.
    """
    info = read(path)
    if info.experiment.hierarchy is None:
        return None
    trained = load_config(path / "skills.toml")
    expected = (info.provenance.get("skills") or {}).get("config_hash")  # older runs have none
    if expected and config.file_hash(path / "skills.toml") != expected:
        raise InputError(f"{path / 'skills.toml'}: is not of the skills that this run began with")
    return trained


def read_checkpoint(path: Path, template: Any) -> checkpoints.Checkpoint:
    """The newest intact checkpoint of a run, which may still be training; nothing is written.

    Raises:
        InputError: there is none, or it does not fit the template.
    """
    found = checkpoints.load(path / "checkpoints", template, config_hash(path))
    if found is None:
        raise InputError(f"{path}: has no checkpoint yet; must be a run that has reached one")
    return found


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl of a run directory; a torn last line is left out.

    Raises:
        InputError: there is no such file.
    """
    try:
        with (path / "metrics.jsonl").open("rb") as file:
            return [json.loads(line) for line in file if epoch_of(line) is not None]
    except OSError as error:
        raise InputError(f"{path}: metrics.jsonl cannot be read: {error.strerror}") from None


def epoch_of(line: bytes) -> int | None:
    """Epoch of a line of metrics.jsonl; None when the line is torn."""
    if line.endswith(b"\n"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return int(json.loads(line)["epoch"])
    return None


def check_skills(experiment: Experiment) -> None:
    """Refuse skills that are not those of a finished run on the same family, before jax is imported.

    Raises:
        InputError: names what is wrong with `hierarchy.skills`.
    """
    if experiment.hierarchy is None:
        return
    skills = experiment.hierarchy.skills
    if not exports.is_export(skills):
        _check_finished(skills)
    trained = trained_as(skills)
    theirs, ours = (getattr(e.family, "name", None) for e in (trained, experiment))
    if theirs != ours:
        raise InputError(f"hierarchy.skills: {skills} are skills of family {theirs!r}; must be of {ours!r}")


def trained_as(skills: str) -> Experiment:
    """How the skills were trained that `hierarchy.skills` names.

    Raises:
        InputError: it is neither a run directory nor an export of skills.
    """
    if exports.is_export(skills):
        return exports.read_card(Path(skills), "skills").experiment
    return read(Path(skills)).experiment


def _check_finished(skills: str) -> None:
    if not Path(skills).is_dir():
        raise InputError(
            f"hierarchy.skills: found {shown(skills)}, which is no directory\n"
            "must be the run directory of a finished: hmrl pretrain-skills; or what hmrl export made of it"
        )
    info = read(Path(skills))
    command = getattr(info.experiment.algorithm, "command", None)
    if command != "pretrain-skills":
        raise InputError(f"hierarchy.skills: {skills} is a run of {command}; must be one of pretrain-skills")
    if info.status.get("state") != "complete":
        raise InputError(
            f"hierarchy.skills: {skills} is {info.status.get('state', 'not started')}; must be complete\n"
            "to finish it: the command that began it, with --resume"
        )


def load_config(file: Path) -> Experiment:
    """The configuration in a file of a run.

    Raises:
        InputError: it is not valid here.
    """
    try:
        return config.load(file)
    except ConfigError as error:
        raise InputError(str(error)) from None


def config_hash(path: Path) -> str:
    """Hash of a run's config.toml, which its checkpoints name.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return config.file_hash(path / "config.toml")
    except ConfigError as error:
        raise InputError(str(error)) from None
