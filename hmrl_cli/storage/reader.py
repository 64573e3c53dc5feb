"""Reading a run directory: configuration, status, provenance, skills and checkpoint.  Nothing is written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pydantic

from hmrl_cli import config, reading
from hmrl_cli.config import recorded
from hmrl_cli.errors import ConfigError, InputError, shown
from hmrl_cli.schema import Experiment
from hmrl_cli.storage import checkpoints, exports
from hmrl_cli.storage.locks import is_locked

SCHEMA = 1


State = Literal["running", "interrupted", "diverged", "complete", "killed"]


Number = Annotated[int, pydantic.Field(ge=0, lt=2**63)]


class _Status(reading.Form):
    """The keys of status.json that are checked."""

    state: State | None = None
    epoch: Number = 0
    epochs: Number = 0
    summary: dict[str, Any] = pydantic.Field(default_factory=dict)


class _SkillsIdentity(reading.Form):
    """The keys of the skills in provenance.json that are checked."""

    epoch: Number
    arrays_sha256: str
    config_sha256: str | None = None
    config_hash: str | None = None
    plugins: dict[str, dict[str, str]] = pydantic.Field(default_factory=dict)


class _Provenance(reading.Form):
    """The keys of provenance.json that are checked."""

    origins: dict[str, str] = pydantic.Field(default_factory=dict)
    versions: dict[str, Any] = pydantic.Field(default_factory=dict)
    machine: dict[str, Any] = pydantic.Field(default_factory=dict)
    plugins: dict[str, dict[str, str]] = pydantic.Field(default_factory=dict)
    skills: _SkillsIdentity | None = None


class Info(NamedTuple):
    """What the files of a run directory say, each read once."""

    path: Path
    written: config.Written  # config.toml
    status: Mapping[str, Any]  # status.json, {"state", "epoch", "epochs", ...}
    provenance: Mapping[str, Any]  # provenance.json

    @property
    def experiment(self) -> Experiment:
        """The configuration of the run."""
        return self.written.experiment

    @property
    def last_epoch(self) -> int | None:
        """The epoch whose checkpoint is the result of a complete run; None where the run is not complete."""
        return last_epoch(self.status)


class Skills(NamedTuple):
    """The skills that `hierarchy.skills` names, once their files are known to be intact."""

    source: str  # as `hierarchy.skills` has it
    record: Info | exports.Card  # of the run, or of the export
    epoch: int
    arrays_sha256: str  # of an export: of the file of its arrays
    config_sha256: str  # of the file that holds their configuration: config.toml, or the card

    @property
    def experiment(self) -> Experiment:
        """How the skills were trained."""
        return self.record.experiment


def read(path: Path, *, code: bool = True) -> Info:
    """Read the configuration, the status and the provenance of a run.  Needs no jax.

    A run whose process was killed has the state "killed".  A plugin whose code cannot be used, or may not be
    run, has settings that can be read alone; see `config.recorded`.

    Args:
        path: the run directory.
        code: whether to run the code of plugins that are files, which a command needs that acts.

    Raises:
        InputError: the path is no run directory, or one of the files is not valid in this version.
    """
    if not (path / "config.toml").is_file():
        raise InputError(f"{path}: holds no config.toml; must be a run directory (see: ls runs)")
    provenance = read_provenance(path)
    written = read_config(path / "config.toml", provenance.get("plugins") if code else None)
    status = read_status(path)
    if status.get("state") == "running" and not is_locked(path):
        status = read_status(path)  # it may have ended between the two looks
        if status.get("state") == "running":
            status["state"] = "killed"
    return Info(path, written, status, provenance)


def read_status(path: Path) -> dict[str, Any]:
    """The content of status.json; empty where there is no such file.

    Raises:
        InputError: the file is damaged, or of another version.
    """
    status = _read(path / "status.json", _Status)
    if status.get("state") == "complete" and "epoch" not in status:
        raise InputError(f"{path / 'status.json'}: holds no 'epoch'; it is damaged, or of another version")
    return status


def read_provenance(path: Path) -> dict[str, Any]:
    """The content of provenance.json; empty where there is no such file.

    Raises:
        InputError: the file is damaged, or of another version.
    """
    return _read(path / "provenance.json", _Provenance)


def _read(file: Path, form: type[reading.Form]) -> dict[str, Any]:
    if not os.path.lexists(file):  # of a run of which only results were kept
        return {}
    found = reading.read_json(file)
    reading.check(found, form, SCHEMA, str(file))
    return found


def read_skills(run: Info) -> Experiment | None:
    """How the skills were trained that a run acts through; None where it acts through none.

    Raises:
        InputError: skills.toml cannot be read, or is not of the skills that the run began with.
    """
    if run.experiment.hierarchy is None:
        return None
    file, kept = run.path / "skills.toml", run.provenance.get("skills") or {}
    found = read_config(file, kept.get("plugins"))
    expected = kept.get("config_hash")  # older runs have none
    if expected and found.config_hash != expected:
        raise InputError(f"{file}: is not of the skills that this run began with")
    return found.experiment


def last_epoch(status: Mapping[str, Any]) -> int | None:
    """The epoch whose checkpoint is the result of a complete run; None where `status` is of another."""
    return int(status["epoch"]) if status.get("state") == "complete" else None


def read_checkpoint(run: Info, template: Any, only: int | None = None) -> checkpoints.Checkpoint:
    """The newest intact checkpoint of a run, or that of the epoch `only`.  Nothing is written.

    Raises:
        InputError: there is no intact checkpoint, or it does not fit the template.
    """
    found = checkpoints.load(run.path / "checkpoints", template, run.written.config_hash, only)
    if found is None:
        raise InputError(f"{run.path}: has no checkpoint yet; must be a run that has reached one")
    return found


def open_skills(experiment: Experiment) -> Skills | None:
    """The skills that an experiment acts through; None where it acts through none.  Needs no jax.

    Raises:
        InputError: the skills are damaged, or not of a finished run on the same family.
    """
    if experiment.hierarchy is None:
        return None
    source = experiment.hierarchy.skills
    record = exports.read_card(Path(source), "skills") if exports.is_export(source) else _finished(source)
    theirs, ours = record.experiment.family, experiment.family
    try:
        if recorded.identity(theirs) != recorded.identity(ours):
            names = [repr(one.name) for one in (theirs, ours)]
            equal = ", as it is now" if names[0] == names[1] else ""
            raise InputError(f"{source} are skills of family {names[0]}; must be of {names[1]}{equal}")
        recorded.identity(record.experiment.algorithm)  # its code must be here
        return _intact(source, record)
    except InputError as error:
        raise InputError(f"hierarchy.skills: {error}") from None


def _intact(source: str, record: Info | exports.Card) -> Skills:
    """The skills of a record, once their arrays are known to be intact.

    Raises:
        InputError: the arrays are damaged.
    """
    if isinstance(record, exports.Card):
        exports.read_bytes(Path(source), record)
        return Skills(source, record, record.epoch, record.sha256, record.card_sha256)
    epoch, digest = checkpoints.fingerprint(record.path / "checkpoints", record.last_epoch)
    return Skills(source, record, epoch, digest, record.written.sha256)


def _finished(source: str) -> Info:
    """The run of pretrain-skills in a directory, once it is complete."""
    if not Path(source).is_dir():
        raise InputError(
            f"hierarchy.skills: found {shown(source)}, which is no directory\n"
            "must be the run directory of a finished: hmrl pretrain-skills; or what hmrl export made of it"
        )
    run = read(Path(source))
    command = run.experiment.algorithm.command
    if command != "pretrain-skills":
        raise InputError(f"hierarchy.skills: {source} is a run of {command}; must be one of pretrain-skills")
    if run.status.get("state") != "complete":
        raise InputError(
            f"hierarchy.skills: {source} is {run.status.get('state', 'not started')}; must be complete\n"
            "to finish it: the command that began it, with --resume"
        )
    return run


def read_config(file: Path, plugins: recorded.Records | None = None) -> config.Written:
    """The configuration in a file of a run.

    Args:
        file: config.toml or skills.toml.
        plugins: what the run keeps of its plugins; None runs the code of no plugin's file.

    Raises:
        InputError: the configuration is not valid in this version.
    """
    try:
        return config.read(file, plugins)
    except ConfigError as error:
        raise InputError(str(error)) from None
