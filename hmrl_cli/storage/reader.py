"""Reading runs: configuration, state, metrics and checkpoint of a run directory; nothing is written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pydantic

from hmrl_cli import config, reading
from hmrl_cli.errors import ConfigError, InputError, shown
from hmrl_cli.schema import Experiment
from hmrl_cli.storage import checkpoints, exports
from hmrl_cli.storage.locks import is_locked

SCHEMA = 1


State = Literal["running", "interrupted", "diverged", "complete", "killed"]


Number = Annotated[int, pydantic.Field(ge=0, lt=2**63)]


class _Status(reading.Form):
    """What is looked at of status.json."""

    state: State | None = None
    epoch: Number = 0
    epochs: Number = 0
    summary: dict[str, Any] = pydantic.Field(default_factory=dict)


class _SkillsIdentity(reading.Form):
    """What is looked at of the skills in provenance.json."""

    epoch: Number
    arrays_sha256: str
    config_sha256: str | None = None
    config_hash: str | None = None


class _Provenance(reading.Form):
    """What is looked at of provenance.json."""

    origins: dict[str, str] = pydantic.Field(default_factory=dict)
    versions: dict[str, Any] = pydantic.Field(default_factory=dict)
    machine: dict[str, Any] = pydantic.Field(default_factory=dict)
    skills: _SkillsIdentity | None = None


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
    status = read_status(path)
    if status.get("state") == "running" and not is_locked(path):
        status = read_status(path)  # it may have ended between the two looks
        if status.get("state") == "running":
            status["state"] = "killed"
    return Info(path, experiment, status, read_provenance(path))


def read_status(path: Path) -> dict[str, Any]:
    """Content of status.json, as it was written; empty where there is none.

    Raises:
        InputError: it is damaged, or of another version.
    """
    status = _read(path / "status.json", _Status)
    if status.get("state") == "complete" and "epoch" not in status:
        raise InputError(f"{path / 'status.json'}: holds no 'epoch'; it is damaged, or of another version")
    return status


def read_provenance(path: Path) -> dict[str, Any]:
    """Content of provenance.json; empty where there is none.

    Raises:
        InputError: it is damaged, or of another version.
    """
    return _read(path / "provenance.json", _Provenance)


def _read(file: Path, form: type[reading.Form]) -> dict[str, Any]:
    if not os.path.lexists(file):  # of a run of which only results were kept
        return {}
    found = reading.read_json(file)
    reading.check(found, form, SCHEMA, str(file))
    return found


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


def last_epoch(path: Path) -> int | None:
    """The epoch whose checkpoint is the result of a run that is complete; None where the run is not.

    Raises:
        InputError: its status is damaged.
    """
    status = read_status(path)
    return int(status["epoch"]) if status.get("state") == "complete" else None


def read_checkpoint(path: Path, template: Any, only: int | None = None) -> checkpoints.Checkpoint:
    """The newest intact checkpoint of a run, or that of `only` this epoch; nothing is written.

    Raises:
        InputError: there is none, or it does not fit the template.
    """
    found = checkpoints.load(path / "checkpoints", template, config_hash(path), only)
    if found is None:
        raise InputError(f"{path}: has no checkpoint yet; must be a run that has reached one")
    return found


def check_skills(experiment: Experiment) -> None:
    """Refuse skills that are not of a finished run on the same family, or damaged, before jax is imported.

    Raises:
        InputError: names what is wrong with `hierarchy.skills`.
    """
    if experiment.hierarchy is None:
        return
    skills = experiment.hierarchy.skills
    if not exports.is_export(skills):
        _check_finished(skills)
    trained = trained_as(skills)
    theirs, ours = (e.family.name for e in (trained, experiment))
    if theirs != ours:
        raise InputError(f"hierarchy.skills: {skills} are skills of family {theirs!r}; must be of {ours!r}")
    try:
        fingerprint_of_skills(skills)
    except InputError as error:
        raise InputError(f"hierarchy.skills: {error}") from None


def fingerprint_of_skills(skills: str) -> tuple[int, str]:
    """Epoch and SHA-256 of the arrays of finished skills, once these are known to be intact.

    Raises:
        InputError: they are damaged.
    """
    if exports.is_export(skills):
        card = exports.read_card(Path(skills), "skills")
        exports.read_bytes(Path(skills), card)
        return card.epoch, card.sha256
    return checkpoints.fingerprint(Path(skills) / "checkpoints", last_epoch(Path(skills)))


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
    command = info.experiment.algorithm.command
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
