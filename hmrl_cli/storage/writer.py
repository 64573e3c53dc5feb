"""Writing a run directory, by the one process that trains the run.  reader.py reads it."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from hmrl_cli import config
from hmrl_cli.config import recorded
from hmrl_cli.errors import Diverged, HmrlError, InputError, Interrupted
from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import np
from hmrl_cli.storage import checkpoints, files, layout, provenance, reader, upstream
from hmrl_cli.storage.folder import Folder, ignore_note
from hmrl_cli.storage.locks import Lock, take_lock
from hmrl_cli.storage.metrics import Metrics, cut, size_until
from hmrl_cli.storage.places import Taken, check_existing, check_new, give_up, half_written, take_back
from hmrl_cli.storage.resuming import same_run
from hmrl_cli.storage.tensorboard import Board
from hmrl_cli.version import __version__


class RunDir:
    """A run directory that this process has locked for writing; a context manager.

    An exception in the context writes the state: "diverged" after `Diverged`, otherwise "interrupted".  An
    interrupted run can be resumed.  The directory of a run that could not begin is removed.

    Every write first checks that the path still leads to the locked directory.
    """

    def __init__(
        self,
        path: Path,
        experiment: Experiment,
        config_hash: str,
        lock: Lock,
        note: Callable[[str], None],
        sources: upstream.Sources | None,
    ) -> None:
        """`lock` is that of the directory; use `create`, `resume` or `open_run`."""
        self.path = path
        self.experiment = experiment
        self.sources = sources or upstream.open_sources(experiment)  # what the run stands on
        self.status: Mapping[str, Any] = reader.read_status(path)  # content of status.json
        self._config_hash = config_hash
        self._folder = Folder(path, lock, note)
        self._metrics = Metrics()
        self._board: Board | None = None
        self._board_works = True
        self._is_new = False
        self._is_unread = False  # whether it is resumed, and its checkpoint is not loaded yet
        self.epoch = int(self.status.get("epoch", 0))

    @classmethod
    def create(
        cls,
        path: Path,
        resolved: config.Resolved,
        argv: Sequence[str] = (),
        note: Callable[[str], None] = ignore_note,
        sources: upstream.Sources | None = None,
    ) -> RunDir:
        """A new run directory.

        Args:
            path, resolved, argv, note, sources: see `naming.open_run`.

        Raises:
            InputError: the skills or the parent cannot be used.
            RunDirError: the directory exists, lies in another run, or cannot be created.
            StorageError: the disk is full or broken.
        """
        check_new(path)
        with files.creating(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.mkdir()
            except FileExistsError:
                raise Taken(path) from None
        try:
            with files.creating(path):
                files.sync(path.parent)
            lock = take_lock(path)
        except BaseException as error:
            give_up(path, error)
            raise
        try:
            run = cls._start(path, resolved, argv, lock, note, sources)
        except BaseException:
            with contextlib.suppress(HmrlError):
                lock.check()  # another one may be there now
                take_back(path)
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
        note: Callable[[str], None] = ignore_note,
        sources: upstream.Sources | None = None,
        written: config.Written | None = None,
    ) -> RunDir:
        """An existing run directory, of the same configuration.

        Args:
            path, resolved, argv, note, sources: see `create`.
            written: the content of the run's config.toml; None reads it.

        Raises:
            ConfigError: the run has another configuration.
            InputError: the skills, the parent or a plugin's file cannot be used, or have changed.
            RunDirError: it is not a run directory, or another process writes to it.
        """
        check_existing(path)
        lock = take_lock(path)
        try:
            for stale in half_written(path):
                stale.unlink(missing_ok=True)
            if not layout.is_run(path):
                return cls._start(path, resolved, argv, lock, note, sources)  # killed before it had begun
            written = same_run(path, resolved.experiment, written)
            run = cls(path, resolved.experiment, written.config_hash, lock, note, sources)
            run._is_unread = True
            run._compare_provenance(resolved, argv)
            run._folder.note_what_is_lacking()
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
        lock: Lock,
        note: Callable[[str], None],
        sources: upstream.Sources | None,
    ) -> RunDir:
        """Fill a new directory; config.toml, which makes it a run, comes last."""
        experiment = resolved.experiment
        run = cls(path, experiment, config.config_hash(experiment), lock, note, sources)
        with files.creating(path):
            (path / layout.CHECKPOINTS).mkdir(exist_ok=True)
        run._folder.write_json(layout.PROVENANCE, provenance.collect(resolved, argv, run.sources))
        for name, data in recorded.files(experiment).items():
            with run._folder.writing(layout.PLUGINS) as folder:
                folder.mkdir(exist_ok=True)
                files.write_bytes(folder / name, data)
        if run.sources.skills:  # evaluation rebuilds the skills from this, even if their run was moved
            run._folder.write_text(layout.SKILLS, config.to_toml(run.sources.skills.experiment))
        run._write_status("running")
        run.event(f"created by hmrl {__version__}")
        run._folder.note_what_is_lacking()
        run._folder.write_text(layout.CONFIG, config.to_toml(experiment))
        return run

    def _compare_provenance(self, resolved: config.Resolved, argv: Sequence[str]) -> None:
        """Note differences of the environment, which can change results; refuse other skills or parents."""
        before, now = reader.read_provenance(self.path), provenance.collect(resolved, argv, self.sources)
        provenance.check_sources(before, now)
        changed = provenance.changes(before, now)
        if changed:
            self._folder.note(f"resumed in another environment, results may differ: {changed}")

    def __enter__(self) -> RunDir:
        """The run itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the state after an exception, and release the lock."""
        try:
            if error is not None:
                # The original error matters more than a failure to record it.
                with contextlib.suppress(HmrlError):
                    if self._could_not_begin(error):
                        self.check()
                        take_back(self.path)
                    elif self._is_unread:
                        self.event(f"not resumed: {error}")  # its state stays the same
                    else:
                        self._write_status("diverged" if isinstance(error, Diverged) else "interrupted")
                        self.event(f"stopped: {type(error).__name__}: {error}")
        finally:
            self.close()

    def _could_not_begin(self, error: BaseException) -> bool:
        """Whether the run has neither metrics to resume from nor a result, such as a divergence."""
        kept = isinstance(error, Diverged | Interrupted | KeyboardInterrupt)
        return self._is_new and not self._metrics.is_open and not kept

    def close(self) -> None:
        """Close the files and release the lock; closing twice does no harm."""
        if self._board is not None:
            with contextlib.suppress(OSError):  # TensorBoard is never a reason to fail
                self._board.close()
        self._metrics.close()
        self._folder.close()
        self._board = None

    def check(self) -> None:
        """Check that the path leads to the locked directory; raises RunDirError where it does not."""
        self._folder.check()

    def event(self, text: str) -> None:
        """Append a line with the time to events.log.

        Raises:
            StorageError: the disk is full or broken.
        """
        self._folder.event(text)

    @property
    def is_complete(self) -> bool:
        """Whether the run was trained to its end and its last checkpoint, if it has any, is intact."""
        epoch, folder = reader.last_epoch(self.status), self.path / layout.CHECKPOINTS
        if epoch is not None and checkpoints.epochs(folder):
            try:
                checkpoints.fingerprint(folder, epoch)
            except InputError:
                return False
        return epoch is not None

    def record(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Append the metrics of an epoch.

        Args:
            epoch: number of finished epochs, from 1 on.
            metrics: numbers or arrays by name, [] or [S, ...].

        Raises:
            Diverged: a metric is not finite.
            StorageError: the disk is full or broken.
        """
        values = {name: np.asarray(value) for name, value in sorted(metrics.items())}
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise Diverged(f"metric {name}", epoch)
        with self._folder.writing(layout.METRICS) as path:
            self._metrics.append(path, epoch, values)
        self._on_board(epoch, lambda board: board.add(epoch, values))

    def adopt(self, metrics: Sequence[Mapping[str, Any]]) -> None:
        """Begin with the metrics of the parent, as `read_metrics` returns them; raises as `record`."""
        for line in metrics:
            self.record(line["epoch"], {name: value for name, value in line.items() if name != "epoch"})
        self.epoch = len(metrics)
        self._write_status("running")

    def _on_board(self, epoch: int, do: Callable[[Board], None]) -> None:
        if not self._board_works:
            return
        try:
            self._board = self._board or Board(self.path / layout.BOARD, epoch)
            do(self._board)
        except Exception as error:  # TensorBoard is never a reason to fail
            self._board_works = False
            self._folder.note(f"no TensorBoard from epoch {epoch} on: {error}")

    def save(self, epoch: int, tree: Any) -> None:
        """Write a checkpoint.

        Args:
            epoch: number of finished epochs.
            tree: a pytree of arrays, without typed keys.

        Raises:
            StorageError: the disk is full or broken.
        """
        if self._metrics.is_open:  # the metrics of a checkpoint's epochs must reach the disk before it
            with self._folder.writing(layout.METRICS):
                self._metrics.force()
            self._on_board(epoch, Board.flush)
        with self._folder.writing(layout.CHECKPOINTS) as folder:
            checkpoints.save(folder, epoch, tree, self._config_hash)
        self.epoch = epoch
        self._write_status("running")

    def load(self, template: Any) -> checkpoints.Checkpoint | None:
        """The newest intact checkpoint, or None.  Metrics of later epochs are removed.

        A note names a damaged newer checkpoint, which is renamed.

        Raises:
            InputError: no checkpoint can be used, or metrics.jsonl lacks lines.
            StorageError: the disk is broken.
        """
        found = checkpoints.load(self.path / layout.CHECKPOINTS, template, self._config_hash)
        self.epoch = found.epoch if found else 0
        size = size_until(self.path / layout.METRICS, self.epoch)
        with self._folder.writing(layout.METRICS) as path:
            cut(path, size)
        self.event(f"resumed from checkpoint {self.epoch}" if found else "resumed from the start")
        if found and found.note:
            self._folder.note(found.note)
            for epoch in checkpoints.epochs(self.path / layout.CHECKPOINTS):
                if epoch > found.epoch:
                    self._set_aside(epoch)
        self._write_status("running")
        self._is_unread = False
        return found

    def _set_aside(self, epoch: int) -> None:
        """Rename a damaged checkpoint, so that it does not count among the two that are kept."""
        folder = self.path / layout.CHECKPOINTS
        target = folder / f"{epoch}.damaged-{datetime.datetime.now():%Y%m%d%H%M%S%f}"
        with self._folder.writing(f"{layout.CHECKPOINTS}/{target.name}"):
            (folder / str(epoch)).rename(target)

    def complete(self, summary: Mapping[str, Any]) -> None:
        """Mark the run as trained to its end.

        Raises:
            StorageError: the disk is full or broken.
        """
        self.event("complete")
        self._write_status("complete", summary=dict(summary))

    def _write_status(self, state: str, **more: Any) -> None:
        status = {
            "schema": layout.SCHEMA,
            "state": state,
            "epoch": self.epoch,
            "epochs": self.experiment.training.epochs,
            "pid": os.getpid(),
            "updated": provenance.now(),
            **more,
        }
        self._folder.write_json(layout.STATUS, status)
        self.status = status
