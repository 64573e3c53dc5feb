"""Reading a run directory: configuration, status, provenance, skills and checkpoint.  Nothing is written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pydantic

from hmrl_cli import config, reading
from hmrl_cli.config import recorded
from hmrl_cli.errors import ConfigError, InputError, typed
from hmrl_cli.experiment import Experiment
from hmrl_cli.storage import checkpoints, layout
from hmrl_cli.storage.locks import is_locked
from hmrl_cli.storage.places import near

State = Literal["running", "interrupted", "diverged", "complete", "killed"]


Number = Annotated[int, pydantic.Field(ge=0, lt=2**63)]


class _Status(reading.Form):
    """The keys of status.json that are checked."""

    state: State | None = None
    epoch: Number = 0
    epochs: Number = 0
    summary: dict[str, Any] = pydantic.Field(default_factory=dict)


class _Identity(reading.Form):
    """The keys of the skills, or of the parent, in provenance.json that are checked."""

    epoch: Number
    arrays_sha256: str
    config_sha256: str | None = None
    config_hash: str | None = None
    plugins: dict[str, dict[str, str]] = pydantic.Field(default_factory=dict)


class _Provenance(reading.Form):
    """The keys of provenance.json that are checked."""

    command: str | None = None
    origins: dict[str, str] = pydantic.Field(default_factory=dict)
    versions: dict[str, Any] = pydantic.Field(default_factory=dict)
    machine: dict[str, Any] = pydantic.Field(default_factory=dict)
    plugins: dict[str, dict[str, str]] = pydantic.Field(default_factory=dict)
    skills: _Identity | None = None
    parent: _Identity | None = None


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


def read(path: Path, *, code: bool = True) -> Info:
    """Read the configuration, the status and the provenance of a run.  Needs no jax.

    A run whose process was killed has the state "killed".  If the code of a plugin cannot be used,
    or may not be run, its settings can only be read; see `config.recorded`.

    Args:
        path: the run directory.
        code: whether to run the code of plugins that are files.  Commands that only read need none.

    Raises:
        InputError: the path is no run directory, one of the files is not valid in this version, or the
            configuration is not the one that the run was created with.
    """
    provenance = read_provenance(path)
    written = read_written(path, provenance.get("plugins") if code else None)
    if provenance.get("config_hash", written.config_hash) != written.config_hash:
        raise InputError(f"{path / 'config.toml'}: was edited; must be as it was when the run began")
    status = read_status(path)
    if status.get("state") == "running" and not is_locked(path):
        status = read_status(path)  # the run may have ended between the two checks
        if status.get("state") == "running":
            status["state"] = "killed"
    return Info(path, written, status, provenance)


def check_different(paths: Sequence[Path]) -> None:
    """Refuse a run that is given twice.

    Raises:
        ConfigError: names it, and its other name.
    """
    first: dict[str, Path] = {}
    for path in paths:
        place = os.path.realpath(path)
        if before := first.get(place):
            other = "" if str(before) == str(path) else f", also as {before}"
            raise ConfigError(f"RUN_DIR: found {path} twice{other}; must be different runs")
        first[place] = path


def read_written(path: Path, plugins: recorded.Records | None = None) -> config.Written:
    """The content of the config.toml of a run.

    Args:
        path: the run directory.
        plugins: see `read_config`.

    Raises:
        InputError: the path is no run directory, or the configuration is not valid in this version.
    """
    if not path.exists():
        raise InputError(
            f"{path}: does not exist{near(path) or '; must be a run directory'} (see: hmrl runs)"
        )
    if not layout.is_run(path):
        raise InputError(f"{path}: holds no config.toml; must be a run directory (see: hmrl runs)")
    return read_config(path / layout.CONFIG, plugins)


def read_status(path: Path) -> dict[str, Any]:
    """The content of status.json; empty where there is no such file.

    Raises:
        InputError: the file is damaged, or of another version.
    """
    file = path / layout.STATUS
    try:
        status = _read(file, _Status)
        if status.get("state") == "complete" and "epoch" not in status:
            raise InputError(f"{file}: holds no 'epoch'; it is damaged, or of another version")
    except InputError as error:
        raise InputError(f"{error}\nto write it anew: remove it, then: hmrl resume {typed(path)}") from None
    return status


def read_provenance(path: Path) -> dict[str, Any]:
    """The content of provenance.json; empty where there is no such file.

    Raises:
        InputError: the file is damaged, or of another version.
    """
    return _read(path / layout.PROVENANCE, _Provenance)


def _read(file: Path, form: type[reading.Form]) -> dict[str, Any]:
    if not os.path.lexists(file):  # of a run of which only results were kept
        return {}
    found = reading.read_json(file)
    reading.check(found, form, layout.SCHEMA, str(file))
    return found


def read_skills(run: Info) -> Experiment | None:
    """The experiment that trained the skills of a run; None if the run acts through no skills.

    Raises:
        InputError: skills.toml cannot be read, or is not of the skills that the run began with.
    """
    return None if run.experiment.hierarchy is None else recorded_skills(run.path, run.provenance)


def recorded_skills(path: Path, provenance: Mapping[str, Any]) -> Experiment:
    """The content of skills.toml in a run directory, after a check against the hash in the provenance.

    Raises:
        InputError: it cannot be read, or is not of the skills that the run began with.
    """
    file, kept = path / layout.SKILLS, provenance.get("skills") or {}
    found = read_config(file, kept.get("plugins"))
    expected = kept.get("config_hash")  # older runs have none
    if expected and found.config_hash != expected:
        raise InputError(f"{file}: is not of the skills that this run began with")
    return found.experiment


def last_epoch(status: Mapping[str, Any]) -> int | None:
    """The epoch whose checkpoint is the result of a complete run; None if the run is not complete."""
    return int(status["epoch"]) if status.get("state") == "complete" else None


def read_checkpoint(run: Info, template: Any, only: int | None = None) -> checkpoints.Checkpoint:
    """The newest intact checkpoint of a run, or that of the epoch `only`.  Nothing is written.

    Raises:
        InputError: there is no intact checkpoint, or it does not fit the template.
    """
    found = checkpoints.load(run.path / "checkpoints", template, run.written.config_hash, only)
    if found is None:
        remedies = {
            "running": "its training has not reached the first one",
            "diverged": "to try again: another --seed, or a smaller learning rate",
            "complete": "its checkpoints were removed; to have them: train it again",
        }
        remedy = remedies.get(run.status.get("state", ""), f"to go on: hmrl resume {typed(run.path)}")
        raise InputError(f"{run.path}: has no checkpoint yet; must be a run that has reached one\n{remedy}")
    return found


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
