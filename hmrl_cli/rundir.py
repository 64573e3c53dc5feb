"""A run on disk, as the one process that trains it writes it.  Reading it: records.py.

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
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import hmrl_cli
from hmrl_cli import checkpoints, config, files, outputs, provenance, reading, records
from hmrl_cli.board import Board
from hmrl_cli.errors import (
    ConfigError,
    Diverged,
    HmrlError,
    InputError,
    Interrupted,
    RunDirError,
    StorageError,
    shown,
)
from hmrl_cli.lazy import np
from hmrl_cli.schema import Experiment

RUNS = Path("runs")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BEFORE_CONFIG = {"lock", "provenance.json", "skills.toml", "status.json", "events.log", "checkpoints"}
_FILES = ("config.toml", "provenance.json", "skills.toml", "metrics.jsonl", "status.json", "events.log")


def _tell_nobody(text: str) -> None:
    """For a library's user, who reads events.log."""


class RunDir:
    """A run directory that this process alone writes to; a context manager.

    Leaving the context by an exception writes the state: "diverged" after `Diverged`, otherwise
    "interrupted", for such a run can be resumed.  A directory that could not even begin is taken back.

    Every write is preceded by a look whether the path still leads to the directory that was locked.
    """

    def __init__(
        self,
        path: Path,
        experiment: Experiment,
        config_hash: str,
        lock: files.Lock,
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
        self._is_new = False
        self.epoch = int(self.status.get("epoch", 0))

    @classmethod
    def create(
        cls,
        path: Path,
        resolved: config.Resolved,
        argv: Sequence[str] = (),
        tell: Callable[[str], None] = _tell_nobody,
    ) -> RunDir:
        """A new run directory; `tell` gets what the user should know.

        Raises:
            RunDirError: it exists, lies in another run, or cannot be created.
            StorageError: the disk is full or broken.
        """
        check_new(path)
        with files.creating(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.mkdir()
            except FileExistsError:
                raise taken(path) from None
        try:
            with files.creating(path):
                files.sync(path.parent)
            lock = files.take_lock(path)
        except BaseException:
            _take_back(path)
            raise
        try:
            run = cls._start(path, resolved, argv, lock, tell)
        except BaseException:
            with contextlib.suppress(HmrlError):
                lock.check()  # another one may be there now
                _take_back(path)
            lock.close()
            raise
        run._is_new = True
        return run

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
        for name in _FILES:
            if os.path.lexists(path / name) and not (path / name).is_file():
                raise InputError(f"{path / name}: is no regular file; must be that of a run")
        lock = files.take_lock(path)
        try:
            for stale in _half_written(path):
                stale.unlink(missing_ok=True)
            if not (path / "config.toml").is_file():
                return cls._start(path, resolved, argv, lock, tell)  # killed before it had begun
            different = config.difference(resolved.experiment, records.load_config(path / "config.toml"))
            if different:
                raise ConfigError(
                    f"{different}\nto resume: the same settings; to start another run: --name NAME"
                )
            run = cls(path, resolved.experiment, records.config_hash(path), lock, tell)
            run._compare_provenance(resolved, argv)
            run._note_what_is_lacking()
        except BaseException:
            lock.close()
            raise
        return run

    @classmethod
    def _start(
        cls,
        path: Path,
        resolved: config.Resolved,
        argv: Sequence[str],
        lock: files.Lock,
        tell: Callable[[str], None],
    ) -> RunDir:
        """Fill a new directory; config.toml, which makes it a run, comes last."""
        experiment = resolved.experiment
        run = cls(path, experiment, config.config_hash(experiment), lock, tell)
        with files.creating(path):
            (path / "checkpoints").mkdir(exist_ok=True)
        run._write_json("provenance.json", provenance.collect(resolved, argv))
        if experiment.hierarchy:  # evaluation rebuilds the skills from this, wherever their run went
            trained_as = records.trained_as(experiment.hierarchy.skills)
            run._write_text("skills.toml", config.to_toml(trained_as))
        run._write_status("running")
        run.event(f"created by hmrl {hmrl_cli.__version__}")
        run._note_what_is_lacking()
        run._write_text("config.toml", config.to_toml(experiment))
        return run

    def _note_what_is_lacking(self) -> None:
        """Tell which promises of a run its file system cannot keep."""
        with files.writing(self.path):
            lacking = files.lacks(self.path)
        for lack in lacking:
            note = f"the file system of {self.path} has no {lack}"
            self._tell(note)
            self.event(note)

    def _compare_provenance(self, resolved: config.Resolved, argv: Sequence[str]) -> None:
        """Note what could keep the resumed run from being exact; refuse other skills."""
        before, now = records.read_provenance(self.path), provenance.collect(resolved, argv)
        if provenance.identity(before.get("skills")) != provenance.identity(now["skills"]):
            raise InputError(
                f"hierarchy.skills: {now['skills']['run']} has changed since this run began\n"
                "must be the skills it began with; to start another run: --name NAME"
            )
        changed = provenance.changes(before, now)
        if changed:
            note = f"resumed in another environment, results may differ: {changed}"
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
                with contextlib.suppress(HmrlError):
                    if self._could_not_begin(error):
                        self.check()
                        _take_back(self.path)
                    else:
                        self._write_status("diverged" if isinstance(error, Diverged) else "interrupted")
                        self.event(f"stopped: {type(error).__name__}: {error}")
        finally:
            self.close()

    def _could_not_begin(self, error: BaseException) -> bool:
        """Whether there is nothing yet that `--resume` could continue, nor a result, as of a divergence."""
        told = isinstance(error, Diverged | Interrupted | KeyboardInterrupt)
        return self._is_new and self._metrics is None and not told

    def close(self) -> None:
        """Close the files and let go of the lock; closing twice does no harm."""
        if self._board is not None:
            with contextlib.suppress(OSError):  # TensorBoard is never a reason to fail
                self._board.close()
        if self._metrics is not None:
            os.close(self._metrics)
        self._lock.close()
        self._board, self._metrics = None, None

    def check(self) -> None:
        """Refuse to write where the directory is no more.

        Raises:
            RunDirError: the path leads to another directory, or to none.
        """
        self._lock.check()

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        """A file of the run, once it is known to lie where the lock does."""
        self.check()
        try:
            with files.writing(self.path / name) as path:
                yield path
        except StorageError:
            self.check()  # it may have failed because the directory went away meanwhile
            raise

    @property
    def status(self) -> dict[str, Any]:
        """Content of status.json."""
        return records.read_status(self.path)

    @property
    def is_complete(self) -> bool:
        """Whether the run has been trained to its end, and has what it came to.

        A run whose last checkpoint is damaged, or gone while an earlier one is there, is to be trained on.
        """
        epoch, folder = records.last_epoch(self.path), self.path / "checkpoints"
        if epoch is not None and checkpoints.epochs(folder):
            try:
                checkpoints.fingerprint(folder, epoch)
            except InputError:
                return False
        return epoch is not None

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
        with self._writing("metrics.jsonl") as path:
            if self._metrics is None:
                self._metrics = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
                files.sync(path.parent)
            files.write_all(self._metrics, line)
        self._on_board(epoch, lambda board: board.add(epoch, values))

    def _on_board(self, epoch: int, do: Callable[[Board], None]) -> None:
        if not self._board_works:
            return
        try:
            self._board = self._board or Board(self.path / "tb", epoch)
            do(self._board)
        except Exception as error:  # TensorBoard is never a reason to fail
            self._board_works = False
            note = f"no TensorBoard from epoch {epoch} on: {error}"
            self._tell(note)
            self.event(note)

    def event(self, text: str) -> None:
        """Append a line with the time to events.log.

        Raises:
            StorageError: the disk is full or broken.
        """
        line = f"{provenance.now()} {' '.join(text.split())}\n".encode(errors="replace")
        with self._writing("events.log") as path, path.open("ab", buffering=0) as file:
            files.write_all(file.fileno(), line)

    def save(self, epoch: int, tree: Any) -> None:
        """Write the checkpoint after `epoch` epochs; `tree` is a pytree of arrays, without typed keys.

        Raises:
            StorageError: the disk is full or broken.
        """
        if self._metrics is not None:  # the lines a checkpoint stands on must outlive it
            with self._writing("metrics.jsonl"):
                files.force(self._metrics)
            self._on_board(epoch, Board.flush)
        with self._writing("checkpoints") as folder:
            checkpoints.save(folder, epoch, tree, self._config_hash)
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
        with self._writing(f"checkpoints/{target.name}"):
            (folder / str(epoch)).rename(target)

    def _cut_metrics(self) -> None:
        """Drop the lines after `self.epoch`, a torn last one too."""
        path = self.path / "metrics.jsonl"
        last, size = 0, 0
        with files.writing(path):
            if path.exists():
                with reading.open_file(path) as file:
                    for line in file:
                        epoch = records.epoch_of(line)
                        if epoch is None or epoch > self.epoch:
                            break
                        last, size = epoch, size + len(line)
        if last != self.epoch:  # nothing is cut then: what comes after a damaged line may be all there is
            raise InputError(
                f"{path}: ends at epoch {last}, or the next line is damaged\n"
                f"must reach epoch {self.epoch}, as the checkpoint does"
            )
        with self._writing(path.name):
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
            "updated": provenance.now(),
            **more,
        }
        self._write_json("status.json", status)

    def _write_json(self, name: str, value: Any) -> None:
        with self._writing(name) as path:
            files.write_json(path, value)

    def _write_text(self, name: str, text: str) -> None:
        with self._writing(name) as path:
            files.write_text(path, text)


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
    checkpoints.check_path(path or RUNS)
    if path is not None:
        if resume and os.path.lexists(path):
            return RunDir.resume(path, resolved, argv, tell)
        return RunDir.create(path, resolved, argv, tell)
    name = auto_name(resolved)
    if resume:
        earlier = _newest_equal(name, resolved.experiment)
        if earlier is not None:
            return RunDir.resume(earlier, resolved, argv, tell)
    number = 1
    while os.path.lexists(RUNS / (name if number == 1 else f"{name}-{number}")):
        number += 1
    return RunDir.create(RUNS / (name if number == 1 else f"{name}-{number}"), resolved, argv, tell)


def check_new(path: Path) -> None:
    """Refuse a place for a new run.

    Raises:
        RunDirError: something is there, or it lies in another run.
    """
    if os.path.lexists(path):
        raise taken(path)
    around = outputs.run_around(path.parent)
    if around is not None:
        raise RunDirError(f"{path}: lies in the run {around}; must lie elsewhere, as with: --run-dir DIR")


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


def _newest_equal(name: str, experiment: Experiment) -> Path | None:
    pattern = re.compile(re.escape(name) + r"(-\d+)?")
    there = (file for file in RUNS.glob(f"{name}*/config.toml") if file.is_file())
    found = [file for file in there if pattern.fullmatch(file.parent.name)]
    for file in sorted(found, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        with contextlib.suppress(ConfigError):  # of another version of hmrl: not equal
            if config.load(file) == experiment:
                return file.parent
    return None


def _take_back(path: Path) -> None:
    """Remove a directory that was made in vain, unless it holds a checkpoint or what no run writes."""
    with contextlib.suppress(OSError):
        names = {entry.name for entry in path.iterdir()} - {left.name for left in _half_written(path)}
        if names <= {*_BEFORE_CONFIG, "config.toml"} and not any((path / "checkpoints").glob("*")):
            shutil.rmtree(path)


def _holds_more_than_a_beginning(path: Path) -> bool:
    """Whether there is something that no run leaves which was killed before it had a config.toml."""
    names = {entry.name for entry in path.iterdir()} - {left.name for left in _half_written(path)}
    return bool(names - _BEFORE_CONFIG)


def _half_written(path: Path) -> list[Path]:
    """What a killed process left of the files that only the holder of the lock replaces."""
    names = ("config.toml", "provenance.json", "status.json", "skills.toml")
    return [left for name in names for left in path.glob(f".{name}.*.tmp")]
