"""The sources of a run: the skills that it acts through, and the run from which it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from hmrl_cli import config
from hmrl_cli.config import recorded
from hmrl_cli.errors import InputError, shown, typed
from hmrl_cli.experiment import Experiment
from hmrl_cli.storage import checkpoints, exports, layout, places, pretrained, reader

# settings in which a run and the one that it continues may differ, because they affect no number
OF_THE_RUN = ("epochs", "checkpoint_every", "init_from", "continues")


class Recorded(NamedTuple):
    """A run's own record of a source that no longer exists."""

    experiment: Experiment


class Source(NamedTuple):
    """The skills of `hierarchy.skills`, or the run of `training.init_from`, after a check of integrity."""

    source: str  # the path, as the setting has it
    record: reader.Info | exports.Card | Recorded  # of the run, or of the export
    epoch: int
    arrays_sha256: str  # of an export: of the file of its arrays
    config_sha256: str  # of the file that holds the configuration: config.toml, or the card
    skills_from: Experiment | None = None  # that trained the skills which a parent acts through

    @property
    def experiment(self) -> Experiment:
        """The experiment that trained the arrays."""
        return self.record.experiment


class Sources(NamedTuple):
    """The sources of a run."""

    skills: Source | None  # that it acts through
    parent: Source | None  # the run from whose last checkpoint it starts


def resolve(
    command: str, preset: str, sets: Sequence[str] = (), flags: Mapping[str, Any] | None = None
) -> tuple[config.Resolved, Sources]:
    """The resolved experiment and its sources.  Needs no jax.

    Args:
        command, preset, sets, flags: see `config.resolve`.

    Raises:
        ConfigError: see `config.resolve`.
        InputError: see `open_sources`.
    """
    records: dict[str, reader.Info | exports.Card] = {}

    def learned_by(source: str) -> str:
        records[source] = _skills_record(source)
        return records[source].experiment.algorithm.name

    resolved = config.resolve(command, preset, sets, flags, learned_by=learned_by, ready=pretrained.names())
    return resolved, open_sources(resolved.experiment, records)


def of_run(path: Path) -> tuple[config.Resolved, Sources, config.Written]:
    """The settings, sources and config.toml of the run at a path, to continue it.  Needs no jax.

    Raises:
        ConfigError, InputError: the run cannot be read, or cannot go on.
    """
    written = reader.read_written(path, reader.read_provenance(path).get("plugins"))
    resolved = config.of_run(written.experiment, path / layout.CONFIG)
    return resolved, sources_of(path, written.experiment), written


def longer(path: Path, epochs: int) -> tuple[config.Resolved, Sources]:
    """A new run that continues the training of the run at a path, and its sources.  Needs no jax.

    Args:
        path: the run directory.
        epochs: number of further epochs.

    Raises:
        ConfigError: there would be too many epochs.
        InputError: the run cannot be read, or is not complete.
    """
    run = reader.read(path)
    settings = {
        "training.epochs": int(run.status.get("epoch", 0)) + epochs,
        "training.init_from": str(path),
        "training.continues": True,
    }
    resolved = config.of_run(run.experiment, path / layout.CONFIG, settings, f"--epochs +{epochs}")
    return resolved, Sources(skills_of(path, run.experiment), open_parent(resolved.experiment, run))


def open_sources(
    experiment: Experiment, records: Mapping[str, reader.Info | exports.Card] | None = None
) -> Sources:
    """Open the sources of an experiment.  Needs no jax.

    Args:
        experiment: how the run is to be trained.
        records: path of skills -> their record, if it was read already.

    Raises:
        InputError: see `open_skills` and `open_parent`.
    """
    return Sources(open_skills(experiment, records or {}), open_parent(experiment))


def sources_of(path: Path, experiment: Experiment) -> Sources:
    """The sources of the run at a path.  A source may be gone, as in `skills_of`.  Needs no jax.

    Raises:
        InputError: a source is needed or still there, and `open_sources` refuses it.
    """
    source = experiment.training.init_from
    record = _record_of_gone(path, "parent", source)
    # its arrays had the shapes of the run's own
    parent = _recorded(source, record, experiment) if source and record else open_parent(experiment)
    return Sources(skills_of(path, experiment), parent)


def skills_of(path: Path, experiment: Experiment) -> Source | None:
    """The skills that the run at a path acts through.  Needs no jax.

    A checkpoint of the run contains what was taken from its sources.  So if there is one, they may be gone.

    Raises:
        InputError: the skills are needed or still there, and `open_skills` refuses them.
    """
    source = experiment.hierarchy.skills if experiment.hierarchy else None
    record = _record_of_gone(path, "skills", source)
    if not source or not record:
        return open_skills(experiment)
    return _recorded(source, record, reader.recorded_skills(path, {"skills": record}))


def _record_of_gone(path: Path, name: str, source: str | None) -> Mapping[str, Any] | None:
    """The record of a source that is gone; None if the source exists or is still needed."""
    if not source or os.path.lexists(pretrained.place_of(source)):
        return None
    if not checkpoints.epochs(path / "checkpoints"):
        return None
    found: Mapping[str, Any] | None = reader.read_provenance(path).get(name)
    return found


def _recorded(source: str, record: Mapping[str, Any], experiment: Experiment) -> Source:
    """The source of a record in provenance.json."""
    hashes: list[Any] = [record.get(name) for name in ("arrays_sha256", "config_sha256")]
    return Source(source, Recorded(experiment), record["epoch"], *hashes)


def open_parent(experiment: Experiment, run: reader.Info | None = None) -> Source | None:
    """The run from whose last checkpoint an experiment starts; None where it starts anew.  Needs no jax.

    Args:
        experiment: that starts from it.
        run: the run that `training.init_from` names; None reads it.

    Raises:
        InputError: the run is damaged, has not ended, or is of another algorithm; or it cannot be continued.
    """
    source, algorithm = experiment.training.init_from, experiment.algorithm
    if source is None:
        return None
    # a run that diverged keeps its last finite checkpoint, and nothing could continue it
    ended = ("complete",) if experiment.training.continues else ("complete", "diverged")
    record = _ended(source, "training.init_from", algorithm.command, ended, run)
    theirs = record.experiment.algorithm.name
    if theirs != algorithm.name:
        raise InputError(f"training.init_from: {source} is a run of {theirs}; must be of {algorithm.name}")
    if experiment.training.continues:
        _check_continues(experiment, record, source)
    try:
        recorded.identity(record.experiment.algorithm)  # its code must be here
        return _intact(source, record)._replace(skills_from=reader.read_skills(record))
    except InputError as error:
        raise InputError(f"training.init_from: {error}") from None


def _check_continues(experiment: Experiment, parent: reader.Info, source: str) -> None:
    """Refuse settings with which a run would differ from a longer run of its parent."""
    ours = {name: getattr(experiment.training, name) for name in OF_THE_RUN}
    training = parent.experiment.training.model_copy(update=ours)
    different = config.difference(experiment, parent.experiment.model_copy(update={"training": training}))
    if different:
        raise InputError(f"{different}\nmust be as in {source} with training.continues")
    done, epochs = parent.status["epoch"], experiment.training.epochs
    if epochs <= done:
        raise InputError(f"training.epochs: found {epochs}; must be more than the {done} epochs of {source}")


def open_skills(
    experiment: Experiment, records: Mapping[str, reader.Info | exports.Card] = MappingProxyType({})
) -> Source | None:
    """The skills that an experiment acts through; None where it acts through none.  Needs no jax.

    Args:
        experiment: how the run is to be trained.
        records: path of skills -> their record, if it was read already.

    Raises:
        InputError: the skills are damaged, or not of a finished run on the same family.
    """
    if experiment.hierarchy is None:
        return None
    source = experiment.hierarchy.skills
    record = records.get(source) or _skills_record(source)
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


def _skills_record(source: str) -> reader.Info | exports.Card:
    """The record of skills in a run directory, in an export or in the package."""
    file = pretrained.path_of(source, "hierarchy.skills")
    if exports.is_export(file):
        return exports.read_card(file, "skills")
    return _ended(source, "hierarchy.skills", "pretrain-skills", ("complete",))


def _intact(source: str, record: reader.Info | exports.Card) -> Source:
    """The source of a record, after a check that its arrays are intact.

    Raises:
        InputError: the arrays are damaged.
    """
    if isinstance(record, exports.Card):
        exports.read_bytes(pretrained.path_of(source), record)
        return Source(source, record, record.epoch, record.sha256, record.card_sha256)
    epoch, digest = checkpoints.fingerprint(record.path / "checkpoints", record.last_epoch)
    return Source(source, record, epoch, digest, record.written.sha256)


def _no_parent(source: str, setting: str, command: str) -> InputError:
    """The error for a pretrained name in place of a run directory of a command.

    Raises:
        ConfigError: nothing pretrained has this name.
    """
    pretrained.path_of(source, setting)
    kind = pretrained.card(source.removeprefix(pretrained.PREFIX))["kind"]
    found = f"{setting}: found {shown(source)}, which is pretrained"
    if (kind == "skills") != (command == "pretrain-skills"):
        return InputError(f"{found} ({kind}); must be the run directory of a finished: hmrl {command}")
    place = places.RUNS / pretrained.run_name(source)
    return InputError(f"{found}; must be a run directory\nthat of hmrl eval {typed(source)} is {place}")


def _ended(
    source: str, setting: str, command: str, states: Sequence[str], run: reader.Info | None = None
) -> reader.Info:
    """The run of `command` in the directory that a setting names; it must have ended in one of `states`."""
    if pretrained.is_name(source):  # not pretrained skills, which `_skills_record` reads from their export
        raise _no_parent(source, setting, command)
    if not Path(source).is_dir():
        export = "; or what hmrl export made of it" if setting == "hierarchy.skills" else ""
        raise InputError(
            f"{setting}: found {shown(source)}, which is no directory{places.near(Path(source))}\n"
            f"must be the run directory of a finished: hmrl {command}{export}"
        )
    run = run or reader.read(Path(source))
    theirs = run.experiment.algorithm.command
    if theirs != command:
        raise InputError(f"{setting}: {source} is a run of {theirs}; must be one of {command}")
    state = run.status.get("state", "not started")
    if state not in states:
        remedies = {
            "running": "once its training has ended",
            "diverged": "to train it again: another --seed, or a smaller learning rate",
        }
        remedy = remedies.get(state, f"to finish it: hmrl resume {source}")
        raise InputError(f"{setting}: {source} is {state}; must be {' or '.join(states)}\n{remedy}")
    return run
