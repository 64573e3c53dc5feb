"""A run on disk; the only module that writes one.

config.toml       the resolved configuration: running it again repeats the run
provenance.json   versions, devices, cores, seeds, command line, the skills the run stands on
skills.toml       how these were trained
metrics.jsonl     one line per epoch, the source of truth; nothing in it depends on the clock
tb/               the same for TensorBoard
checkpoints/      see checkpoints.py
status.json       state and epoch, replaced as a whole
events.log        what happened when
lock              held (flock) by the one process that writes
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import hmrl_cli
from hmrl_cli import checkpoints, config, exports
from hmrl_cli.board import Board
from hmrl_cli.errors import ConfigError, Diverged, InputError, RunDirError, StorageError, shown
from hmrl_cli.lazy import jax, np

RUNS = Path("runs")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}
_BEFORE_CONFIG = {"lock", "provenance.json", "skills.toml", "status.json", "events.log", "checkpoints"}


class Info(NamedTuple):
    """What a run directory tells to a reader."""

    path: Path
    experiment: config.Experiment
    status: Mapping[str, Any]  # {"state", "epoch", "epochs", ...}
    provenance: Mapping[str, Any]


def _tell_nobody(text: str) -> None:
    """For a library's user, who reads events.log."""


class RunDir:
    """A run directory that this process alone writes to; a context manager.

    Leaving the context by an exception writes the state: "diverged" after `Diverged`, otherwise
    "interrupted", for such a run can be resumed.
    """

    def __init__(
        self,
        path: Path,
        experiment: config.Experiment,
        config_hash: str,
        lock: int,
        tell: Callable[[str], None] = _tell_nobody,
    ) -> None:
        """Of a directory whose lock is held; use `create`, `resume` or `open_run`."""
        self.path = path
        self.experiment = experiment
        self._config_hash = config_hash
        self._tell = tell
        self._lock = lock
        self._metrics: int | None = None
        self._board: Board | None = None
        self._board_works = True
        self.epoch = int(self.status.get("epoch", 0))

    @classmethod
    def create(cls, path: Path, resolved: config.Resolved, argv: Sequence[str] = ()) -> RunDir:
        """A new run directory.

        Raises:
            RunDirError: it exists, or cannot be created.
            StorageError: the disk is full or broken.
        """
        with _creating(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.mkdir()
            except FileExistsError:
                raise taken(path) from None
            checkpoints.sync(path.parent)
        return cls._start(path, resolved, argv, _take_lock(path))

    @classmethod
    def resume(
        cls,
        path: Path,
        resolved: config.Resolved,
        argv: Sequence[str] = (),
        tell: Callable[[str], None] = _tell_nobody,
    ) -> RunDir:
        """An existing run directory, of the same configuration; `tell` gets what the user should know.

        Raises:
            ConfigError: the run has another configuration.
            InputError: the skills the run stands on have changed.
            RunDirError: it is not a run directory, or another process writes to it.
        """
        if not path.is_dir():
            raise RunDirError(f"{path}: is not a run directory; to start a run: leave out --resume")
        if not (path / "config.toml").is_file() and _holds_more_than_a_beginning(path):
            raise RunDirError(f"{path}: holds no config.toml; must be a run directory, or a new name")
        lock = _take_lock(path)
        try:
            for stale in _half_written(path):
                stale.unlink(missing_ok=True)
            if not (path / "config.toml").is_file():
                return cls._start(path, resolved, argv, lock)  # killed before it had begun
            different = config.difference(resolved.experiment, _load_config(path / "config.toml"))
            if different:
                raise ConfigError(
                    f"{different}\nto resume: the same settings; to start another run: --name NAME"
                )
            run = cls(path, resolved.experiment, _config_hash(path), lock, tell)
            run._compare_provenance(resolved, argv)
        except BaseException:
            os.close(lock)
            raise
        return run

    @classmethod
    def _start(cls, path: Path, resolved: config.Resolved, argv: Sequence[str], lock: int) -> RunDir:
        """Fill a new directory; config.toml, which makes it a run, comes last."""
        try:
            with _creating(path):
                (path / "checkpoints").mkdir(exist_ok=True)
                write_json(path / "provenance.json", provenance(resolved, argv))
                hierarchy = resolved.experiment.hierarchy
                if hierarchy:  # evaluation rebuilds the skills from this, wherever their run went
                    write_text(path / "skills.toml", config.to_toml(trained_as(hierarchy.skills)))
                run = cls(path, resolved.experiment, config.config_hash(resolved.experiment), lock)
                run._write_status("running")
                run.event(f"created by hmrl {hmrl_cli.__version__}")
                write_text(path / "config.toml", config.to_toml(resolved.experiment))
        except BaseException:
            os.close(lock)
            raise
        return run

    def _compare_provenance(self, resolved: config.Resolved, argv: Sequence[str]) -> None:
        """Note what could keep the resumed run from being exact; refuse other skills."""
        before, now = _read_json(self.path / "provenance.json"), provenance(resolved, argv)
        if _identity(before.get("skills")) != _identity(now["skills"]):
            raise InputError(
                f"hierarchy.skills: {now['skills']['run']} has changed since this run began\n"
                "must be the skills it began with; to start another run: --name NAME"
            )
        changed = [key for key in ("versions", "machine") if before.get(key) != now[key]]
        if changed:
            details = ", ".join(
                f"{name} {shown(before.get(key, {}).get(name))} -> {shown(value)}"
                for key in changed
                for name, value in now[key].items()
                if before.get(key, {}).get(name) != value
            )
            note = f"resumed in another environment, results may differ in the last bits: {details}"
            self._tell(note)
            self.event(note)

    def __enter__(self) -> RunDir:
        """The run itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write how it ended, and let go of the lock."""
        try:
            if error is not None:
                # What went wrong matters more than that it could not be written down.
                with contextlib.suppress(StorageError):
                    self._write_status("diverged" if isinstance(error, Diverged) else "interrupted")
                    self.event(f"stopped: {type(error).__name__}: {error}")
        finally:
            self.close()

    def close(self) -> None:
        """Close the files and let go of the lock; closing twice does no harm."""
        if self._board is not None:
            with contextlib.suppress(OSError):  # TensorBoard is never a reason to fail
                self._board.close()
        for descriptor in (self._metrics, self._lock):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self._board, self._metrics, self._lock = None, None, -1

    @property
    def status(self) -> dict[str, Any]:
        """Content of status.json."""
        return _read_json(self.path / "status.json")

    @property
    def is_complete(self) -> bool:
        """Whether the run has been trained to its end."""
        return self.status.get("state") == "complete"

    def record(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Append the metrics of an epoch, the first of which is 1; a value may have a leading seed axis.

        Raises:
            Diverged: a metric is not finite.
            StorageError: the disk is full or broken.
        """
        values = {name: np.asarray(value) for name, value in sorted(metrics.items())}
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise Diverged(f"metric {name}", epoch)
        plain = {name: value.tolist() for name, value in values.items()}
        line = json.dumps({"epoch": epoch, **plain}, allow_nan=False).encode() + b"\n"
        with _writing(self.path / "metrics.jsonl") as path:
            if self._metrics is None:
                self._metrics = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
                checkpoints.sync(path.parent)
            _write_all(self._metrics, line)
        self._on_board(epoch, lambda board: board.add(epoch, values))

    def _on_board(self, epoch: int, do: Callable[[Board], None]) -> None:
        if not self._board_works:
            return
        try:
            self._board = self._board or Board(self.path / "tb", epoch)
            do(self._board)
        except Exception as error:  # TensorBoard is never a reason to fail
            self._board_works = False
            self.event(f"no TensorBoard from epoch {epoch} on: {error}")

    def event(self, text: str) -> None:
        """Append a line with the time to events.log.

        Raises:
            StorageError: the disk is full or broken.
        """
        line = f"{_now()} {' '.join(text.split())}\n".encode(errors="replace")
        with _writing(self.path / "events.log") as path, path.open("ab", buffering=0) as file:
            _write_all(file.fileno(), line)

    def save(self, epoch: int, tree: Any) -> None:
        """Write the checkpoint after `epoch` epochs; `tree` is a pytree of arrays, without typed keys.

        Raises:
            StorageError: the disk is full or broken.
        """
        if self._metrics is not None:  # the lines a checkpoint stands on must outlive it
            with _writing(self.path / "metrics.jsonl"):
                os.fsync(self._metrics)
            self._on_board(epoch, Board.flush)
        checkpoints.save(self.path / "checkpoints", epoch, tree, self._config_hash)
        self.epoch = epoch
        self._write_status("running")

    def load(self, template: Any) -> checkpoints.Checkpoint | None:
        """The newest intact checkpoint, or None; metrics beyond it are cut, and the user is told of damage.

        Raises:
            InputError: no checkpoint can be used, or metrics.jsonl lacks lines.
            StorageError: the disk is broken.
        """
        found = checkpoints.load(self.path / "checkpoints", template, self._config_hash)
        self.epoch = found.epoch if found else 0
        self._cut_metrics()
        self.event(f"resumed from checkpoint {self.epoch}" if found else "resumed from the start")
        if found and found.note:
            self._tell(found.note)
            self.event(found.note)
            for epoch in checkpoints.epochs(self.path / "checkpoints"):
                if epoch > found.epoch:
                    self._set_aside(epoch)
        self._write_status("running")
        return found

    def _set_aside(self, epoch: int) -> None:
        """Rename a damaged checkpoint, so that it never counts as one of the two that are kept."""
        folder = self.path / "checkpoints"
        target = folder / f"{epoch}.damaged-{datetime.datetime.now():%Y%m%d%H%M%S%f}"
        with _writing(target):
            (folder / str(epoch)).rename(target)

    def _cut_metrics(self) -> None:
        """Drop the lines after `self.epoch`, a torn last one too."""
        path = self.path / "metrics.jsonl"
        last, size = 0, 0
        with _writing(path):
            if path.exists():
                with path.open("rb") as file:
                    for line in file:
                        epoch = _epoch_of(line)
                        if epoch is None or epoch > self.epoch:
                            break
                        last, size = epoch, size + len(line)
        if last != self.epoch:  # nothing is cut then: what comes after a damaged line may be all there is
            raise InputError(
                f"{path}: ends at epoch {last}, or the next line is damaged\n"
                f"must reach epoch {self.epoch}, as the checkpoint does"
            )
        with _writing(path):
            if path.exists() and size < path.stat().st_size:
                os.truncate(path, size)

    def complete(self, summary: Mapping[str, Any]) -> None:
        """Mark the run as trained to its end.

        Raises:
            StorageError: the disk is full or broken.
        """
        self.event("complete")
        self._write_status("complete", summary=dict(summary))

    def _write_status(self, state: str, **more: Any) -> None:
        status = {
            "schema": 1,
            "state": state,
            "epoch": self.epoch,
            "epochs": self.experiment.training.epochs,
            "pid": os.getpid(),
            "updated": _now(),
            **more,
        }
        write_json(self.path / "status.json", status)


# Which directory.


def open_run(
    resolved: config.Resolved,
    path: Path | None,
    resume: bool,
    argv: Sequence[str] = (),
    tell: Callable[[str], None] = _tell_nobody,
) -> RunDir:
    """Create or resume the run directory of a command.

    Args:
        resolved: what to run.
        path: the directory; None chooses `runs/PRESET-seedN`, with -2, -3, ... when that is taken.
        resume: continue the directory if it exists; with no path, the newest of that name and an
            equal configuration.
        argv: the command line, for the record.
        tell: is called with what the user should know.

    Raises:
        ConfigError, InputError, RunDirError, StorageError: see `RunDir`.
    """
    if path is not None:
        if resume and os.path.lexists(path):
            return RunDir.resume(path, resolved, argv, tell)
        return RunDir.create(path, resolved, argv)
    name = auto_name(resolved)
    if resume:
        earlier = _newest_equal(name, resolved.experiment)
        if earlier is not None:
            return RunDir.resume(earlier, resolved, argv, tell)
    number = 1
    while os.path.lexists(RUNS / (name if number == 1 else f"{name}-{number}")):
        number += 1
    return RunDir.create(RUNS / (name if number == 1 else f"{name}-{number}"), resolved, argv)


def taken(path: Path) -> RunDirError:
    """That a run directory exists already."""
    return RunDirError(
        f"{path}: exists, and a run is never overwritten\n"
        "to continue it: --resume; to start another: --name NAME"
    )


def named(name: str) -> Path:
    """The directory of `--name`.

    Raises:
        ConfigError: the name is not one.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"--name: found {shown(name)}; must be 1 to 100 letters, digits, '.', '_' or '-', "
            "the first a letter or digit"
        )
    return RUNS / name


def auto_name(resolved: config.Resolved) -> str:
    """`ant_goal-hmrl-seed0` for the preset `ant_goal/hmrl`; the config.toml of a run lends its run's name."""
    base = resolved.preset
    if base.endswith(".toml"):
        path = Path(base).absolute()
        base = re.sub(r"-seed\d+(-\d+)?$", "", path.parent.name) if path.name == "config.toml" else path.stem
    base = re.sub(r"[^A-Za-z0-9._-]", "-", base.replace("/", "-")).lstrip("._-")[:80] or "run"
    return f"{base}-seed{resolved.experiment.training.seed}"


def _newest_equal(name: str, experiment: config.Experiment) -> Path | None:
    pattern = re.compile(re.escape(name) + r"(-\d+)?")
    files = [file for file in RUNS.glob(f"{name}*/config.toml") if pattern.fullmatch(file.parent.name)]
    for file in sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        with contextlib.suppress(ConfigError):  # of another version of hmrl: not equal
            if config.load(file) == experiment:
                return file.parent
    return None


# Reading.


def _load_config(file: Path) -> config.Experiment:
    try:
        return config.load(file)
    except ConfigError as error:
        raise InputError(str(error)) from None


def _config_hash(path: Path) -> str:
    try:
        return config.file_hash(path / "config.toml")
    except ConfigError as error:
        raise InputError(str(error)) from None


def read(path: Path) -> Info:
    """What a run directory tells; a run that was killed has the state "killed".  Needs no jax.

    Raises:
        InputError: it is not a run directory, or its configuration is not valid here.
    """
    if not (path / "config.toml").is_file():
        raise InputError(f"{path}: holds no config.toml; must be a run directory (see: ls runs)")
    experiment = _load_config(path / "config.toml")
    status = _read_json(path / "status.json")
    if status.get("state") == "running" and not _is_locked(path):
        status["state"] = "killed"
    return Info(path, experiment, status, _read_json(path / "provenance.json"))


def read_skills(path: Path) -> config.Experiment | None:
    """How the skills were trained that a run acts through; None where it acts through none.

    Raises:
        InputError: it cannot be read, or is not what the run began with.
    """
    info = read(path)
    if info.experiment.hierarchy is None:
        return None
    trained = _load_config(path / "skills.toml")
    expected = (info.provenance.get("skills") or {}).get("config_hash")  # older runs have none
    if expected and config.file_hash(path / "skills.toml") != expected:
        raise InputError(f"{path / 'skills.toml'}: is not of the skills that this run began with")
    return trained


def read_checkpoint(path: Path, template: Any) -> checkpoints.Checkpoint:
    """The newest intact checkpoint of a run, which may still be training; nothing is written.

    Raises:
        InputError: there is none, or it does not fit the template.
    """
    found = checkpoints.load(path / "checkpoints", template, _config_hash(path))
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
            return [json.loads(line) for line in file if _epoch_of(line) is not None]
    except OSError as error:
        raise InputError(f"{path}: metrics.jsonl cannot be read: {error.strerror}") from None


def check_skills(experiment: config.Experiment) -> None:
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


def trained_as(skills: str) -> config.Experiment:
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


# Provenance.


def provenance(resolved: config.Resolved, argv: Sequence[str]) -> dict[str, Any]:
    """Everything outside the configuration that a result can depend on; initialises jax."""
    training, hierarchy = resolved.experiment.training, resolved.experiment.hierarchy
    return {
        "schema": 1,
        "created": _now(),
        "argv": list(argv),
        "command": resolved.command,
        "preset": resolved.preset,
        "origins": dict(resolved.origins),
        "config_hash": config.config_hash(resolved.experiment),
        "seeds": list(range(training.seed, training.seed + training.num_seeds)),
        "versions": versions(),
        "machine": machine(),
        "git": git_commit(),
        "skills": _skills_fingerprint(hierarchy.skills) if hierarchy else None,
    }


def versions() -> dict[str, str]:
    """Of the libraries that a result can depend on."""
    libraries = ("jax", "jaxlib", "brax", "flax", "optax", "numpy")
    versions = {name: importlib.metadata.version(name) for name in libraries}
    return {"hmrl": hmrl_cli.__version__, "python": platform.python_version(), **versions}


def machine() -> dict[str, Any]:
    """What of the machine a result can depend on; initialises jax."""
    # Bits of a result depend on the number of cores, for sums are then taken in another order.
    affinity = getattr(os, "sched_getaffinity", lambda _: ())(0)
    return {
        "platform": platform.platform(),
        "devices": [f"{device.platform}:{device.device_kind}" for device in jax.devices()],
        "cores": os.cpu_count(),
        "affinity": sorted(affinity),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def git_commit() -> str | None:
    """Commit of the checkout the package runs from; None when it is installed."""
    root = Path(hmrl_cli.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    return None


def _identity(skills: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    """What makes skills the same, whatever version recorded them."""
    return tuple(skills.get(name) for name in ("epoch", "arrays_sha256", "config_sha256")) if skills else None


def _skills_fingerprint(skills: str) -> dict[str, Any]:
    if exports.is_export(skills):
        card = exports.read_card(Path(skills), "skills")
        return {
            "run": skills,
            "epoch": card.epoch,
            "arrays_sha256": card.sha256,
            "config_sha256": checkpoints.file_sha256(exports.card_path(Path(skills))),
            "config_hash": config.config_hash(card.experiment),
        }
    epoch, digest = checkpoints.fingerprint(Path(skills) / "checkpoints")
    return {
        "run": skills,
        "epoch": epoch,
        "arrays_sha256": digest,
        "config_sha256": checkpoints.file_sha256(Path(skills) / "config.toml"),
        "config_hash": config.config_hash(read(Path(skills)).experiment),
    }


# Files.


def write_json(path: Path, value: Any) -> None:
    """Replace a file by a JSON document, as a whole or not at all.

    Raises:
        StorageError: the disk is full or broken.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text, as a whole or not at all.

    Raises:
        StorageError: the disk is full or broken.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file by other bytes, as a whole or not at all.

    Raises:
        StorageError: the disk is full or broken.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            checkpoints.sync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def check_writable(path: Path) -> None:
    """Refuse a run whose permissions let no evaluation be written into it.

    Raises:
        StorageError: it is one.
    """
    for folder in (path, path / "eval"):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise StorageError(f"{folder}: cannot be written to, and the result has its place there")


def _holds_more_than_a_beginning(path: Path) -> bool:
    """Whether there is something that no run leaves which was killed before it had a config.toml."""
    names = {entry.name for entry in path.iterdir()} - {left.name for left in _half_written(path)}
    return bool(names - _BEFORE_CONFIG)


def _half_written(path: Path) -> list[Path]:
    """What a killed process left of the files that only the holder of the lock replaces."""
    names = ("config.toml", "provenance.json", "status.json", "skills.toml")
    return [left for name in names for left in path.glob(f".{name}.*.tmp")]


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _read_json(path: Path) -> dict[str, Any]:
    """Content of a file that is only ever replaced as a whole; empty when there is none."""
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else {}
    return {}


def _epoch_of(line: bytes) -> int | None:
    """Epoch of a line of metrics.jsonl; None when the line is torn."""
    if line.endswith(b"\n"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return int(json.loads(line)["epoch"])
    return None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def _creating(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = StorageError if error.errno in _DISK_ERRORS else RunDirError
        raise kind(f"{path}: cannot be created: {error.strerror or error}") from error


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Nobody else writes to the run directory meanwhile.

    Raises:
        RunDirError: somebody does already, or it cannot be locked.
    """
    lock = _take_lock(path, "to read it: once that has ended")
    try:
        yield
    finally:
        os.close(lock)


def _take_lock(path: Path, instead: str = "to start another run: --name NAME") -> int:
    """Lock a run directory; the system lets go of the lock when the process ends, however it ends.

    `instead` tells what else to do where another process has locked it.
    """
    with _creating(path / "lock"):
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise RunDirError(f"{path}: process {holder or '?'} is writing to it\n{instead}") from None
    except OSError as error:
        os.close(descriptor)
        raise StorageError(f"{path / 'lock'}: cannot be written: {error.strerror}") from error
    return descriptor


def _is_locked(path: Path) -> bool:
    with contextlib.suppress(OSError), (path / "lock").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
