"""Checkpoints that are verified before they are used.

Orbax stores the arrays, and a manifest holds their hashes.  Both are written under a temporary name, forced
to the disk and then renamed.  So a folder `checkpoints/<epoch>/` is always complete:

    tree/            what Orbax wrote, one entry for every leaf of the state
    manifest.json    SHA-256 of every file and of the arrays; path, shape and dtype of every leaf;
                     hash of the configuration; epoch; SHA-256 of all this

Loading verifies the hashes and compares shapes and dtypes with a template, because Orbax itself casts int32
to float32 silently.  In place of a damaged checkpoint, the one before it is loaded.

A reader locks the folder of the epoch that it reads, with a shared lock.  The process that trains removes
only folders without a lock.  If a folder was removed between listing and locking, the reader lists again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hmrl_cli.errors import (
    ConfigError,
    InputError,
    MachineLimit,
    StorageError,
    causes,
    limit_reached,
    one_line,
    shown,
    typed,
)
from hmrl_cli.lazy import jax
from hmrl_cli.reading import AWAY
from hmrl_cli.storage import arrays_on_disk
from hmrl_cli.storage.files import DISK_ERRORS, remove, sync, try_lock
from hmrl_cli.storage.manifest import (
    Damaged,
    compare_leaves,
    flatten,
    leaves,
    verified_manifest,
    write_manifest,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    Arrays = dict[str, npt.NDArray[Any]]

KEEP = 2  # newest checkpoints of a run
LISTINGS = 10  # attempts of a reader, while another process replaces the checkpoints
T = TypeVar("T")


class Checkpoint(NamedTuple):
    """A restored state."""

    epoch: int
    arrays_sha256: str  # of names, shapes, dtypes and values
    tree: Any  # the tree of the template, with numpy leaves
    note: str  # what is wrong with newer checkpoints; "" where nothing is


class _Dropped(Exception):
    """The checkpoint was removed, because newer ones were written."""


def save(folder: Path, epoch: int, tree: Any, config_hash: str) -> None:
    """Write the checkpoint of an epoch, and remove all but the newest two.

    Args:
        folder: the `checkpoints` folder of a run.
        epoch: number of finished epochs.
        tree: a pytree of arrays, without typed keys.
        config_hash: hash of the configuration of the run.

    Raises:
        StorageError: the disk is full or broken, or the folder is gone.  Older checkpoints are unchanged.
        MachineLimit: a copy of the tree does not fit into memory.  Older checkpoints are unchanged.
    """
    try:
        folder.mkdir(exist_ok=True)
        with _opened(folder) as descriptor:
            for stale in folder.glob(".*.tmp"):
                remove(stale)
            with _temporary(folder, epoch, descriptor) as temporary:
                arrays = flatten(jax.device_get(tree))
                arrays_on_disk.write(temporary / "tree", arrays)
                write_manifest(temporary, epoch, arrays, config_hash)
                if not _is_at(folder, descriptor):
                    raise FileNotFoundError("its folder was moved")
                if os.path.lexists(folder / str(epoch)):
                    _drop(folder / str(epoch))
                temporary.rename(folder / str(epoch))
        sync(folder)
        for old in epochs(folder)[KEEP:]:
            with contextlib.suppress(BlockingIOError), _locked(folder / str(old), fcntl.LOCK_EX):
                _drop(folder / str(old))
    except Exception as error:  # Orbax wraps a full disk in errors of many types
        if reached := limit_reached(error):
            raise MachineLimit(f"checkpoint {folder / str(epoch)} cannot be written: {reached}") from error
        raise StorageError(f"checkpoint {folder / str(epoch)} cannot be written: {_reason(error)}") from error


def check_path(folder: Path) -> None:
    """Refuse a path that Orbax cannot open.

    Raises:
        ConfigError: the path is not valid in UTF-8 or in the encoding of the locale.
    """
    path = os.path.abspath(folder)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{shown(path, 200)}: holds bytes that are no letters here\n"
            "must be a path in UTF-8, and the locale too, as with LC_ALL=C.UTF-8"
        ) from None


def _reason(error: Exception) -> str:
    """Why a file could not be written: the message of the system, where the error contains one."""
    text = one_line(error)
    known = (os.strerror(number) for number in (*DISK_ERRORS, errno.EACCES, errno.EROFS))
    return next((reason for reason in known if reason in text), text[:200])


@contextlib.contextmanager
def _temporary(folder: Path, epoch: int, descriptor: int) -> Iterator[Path]:
    """A temporary folder of this process, which an error removes.

    If the run was moved meanwhile, Orbax creates the folders above anew.  An error removes those as well.
    """
    temporary = folder / f".{epoch}.{os.getpid()}.tmp"
    try:
        temporary.mkdir()
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if not _is_at(folder, descriptor):
            for empty in (folder, folder.parent):
                with contextlib.suppress(OSError):  # a folder that is not empty was not created here
                    empty.rmdir()
        raise


def load(folder: Path, template: Any, config_hash: str, only: int | None = None) -> Checkpoint | None:
    """The newest intact checkpoint; None where there is no checkpoint.

    Another process may save meanwhile.

    Args:
        folder: the `checkpoints` folder of a run.
        template: a tree of the expected shapes and dtypes, as from `jax.eval_shape` of `init`.
        config_hash: hash of the configuration of the run.
        only: the one epoch to load, in place of the newest intact one.

    Raises:
        InputError: all checkpoints are damaged, or that of `only` is; or an intact one does not fit.
        StorageError: a network share does not answer.
    """
    check_path(folder)

    def restore(path: Path, epoch: int) -> Checkpoint:
        manifest = verified_manifest(path, epoch)
        _check_config(path, manifest, config_hash)
        compare_leaves(path, leaves(flatten(template)), manifest["leaves"])
        arrays = arrays_on_disk.read(path, manifest)
        tree = jax.tree.unflatten(jax.tree.structure(template), [arrays[name] for name in flatten(template)])
        return Checkpoint(epoch, manifest["arrays_sha256"], tree, "")

    found, problems = _newest(folder, restore, only)
    if found is None and problems:
        raise InputError(f"{folder}: {'; '.join(problems)}\nno intact checkpoint is left; train again")
    if found is None or not problems:
        return found
    return found._replace(note=f"{'; '.join(problems)}; using checkpoint {found.epoch}")


def fingerprint(folder: Path, only: int | None = None) -> tuple[int, str]:
    """Epoch and SHA-256 of the arrays of the newest intact checkpoint.  Needs no jax.

    Args:
        folder: the `checkpoints` folder of a run.
        only: the one epoch to verify, in place of the newest intact one.

    Raises:
        InputError: there is no intact checkpoint.
        StorageError: a network share does not answer.
    """

    def read(path: Path, epoch: int) -> tuple[int, str]:
        return epoch, verified_manifest(path, epoch)["arrays_sha256"]

    found, problems = _newest(folder, read, only)
    if found is None:
        raise InputError(
            f"{'; '.join([f'{folder}: holds no intact checkpoint', *problems])}; must be of a finished run"
        )
    return found


def _newest(folder: Path, read: Callable[[Path, int], T], only: int | None) -> tuple[T | None, list[str]]:
    """What `read` returns for the newest intact checkpoint, and the problems of newer ones.

    Raises:
        InputError: that of `only` is missing or damaged, or checkpoints are replaced faster than read.
        StorageError: a network share does not answer.
    """
    for _ in range(LISTINGS):
        problems: list[str] = []
        listed = epochs(folder)
        with contextlib.suppress(_Dropped):
            for epoch in listed if only is None else [epoch for epoch in listed if epoch == only]:
                try:
                    with _kept(folder / str(epoch)):
                        return read(folder / str(epoch), epoch), problems
                except Damaged as error:
                    _check_is_there(folder / str(epoch), error)
                    problems.append(f"checkpoint {epoch} is damaged ({error})")
            if only is not None:
                raise _not_intact(folder, only, problems, others=bool({*listed} - {only}))
            return None, problems
    raise InputError(
        f"{folder}: its checkpoints are replaced faster than they can be read\n"
        "to read them: once its training has ended"
    )


def _check_is_there(checkpoint: Path, error: Damaged) -> None:
    """Raise StorageError if a network share does not answer; an older checkpoint would lose epochs."""
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in AWAY:
            raise StorageError(f"{checkpoint}: cannot be read: {cause.strerror}") from error


def _not_intact(folder: Path, epoch: int, problems: list[str], others: bool) -> InputError:
    """The error for a complete run whose last checkpoint is missing or damaged, with the remedy."""
    remedy = f"to restore it: hmrl resume {typed(folder.parent)}" if others else "train it again"
    return InputError(f"{folder}: {'; '.join(problems) or f'holds no checkpoint {epoch}'}\n{remedy}")


@contextlib.contextmanager
def _kept(checkpoint: Path) -> Iterator[None]:
    """Lock a checkpoint against removal during the block; raises `_Dropped` if it is removed anyway."""
    try:
        with _locked(checkpoint, fcntl.LOCK_SH) as descriptor:
            try:
                if not _is_at(checkpoint, descriptor):
                    raise _Dropped
                yield
            except Damaged:
                if not _is_at(checkpoint, descriptor):
                    raise _Dropped from None
                raise
    except (FileNotFoundError, BlockingIOError):
        raise _Dropped from None
    except OSError as error:
        raise Damaged(f"it cannot be read: {error.strerror}") from error


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """The descriptor of a folder, which stays valid if the folder is moved."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(folder: Path, operation: int) -> Iterator[int]:
    """The descriptor of a folder, locked if there are locks; BlockingIOError if another process locked it."""
    with _opened(folder) as descriptor:
        if try_lock(descriptor, operation) is False:
            raise BlockingIOError
        yield descriptor


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the path still leads to an open folder."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    return False


def epochs(folder: Path) -> list[int]:
    """Epochs that have a checkpoint, the newest first.  Other entries of the folder are ignored.

    Raises:
        InputError: the folder cannot be listed.
    """
    try:
        names = [entry.name for entry in folder.iterdir() if entry.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed: {error.strerror}") from None
    return sorted((int(n) for n in names if n.isdecimal() and n == str(int(n))), reverse=True)


def _drop(checkpoint: Path) -> None:
    """Remove a checkpoint.  It is renamed first, so that no listing shows a part of it."""
    dropped = checkpoint.with_name(f".{checkpoint.name}.dropped.tmp")
    checkpoint.rename(dropped)
    remove(dropped)


def _check_config(path: Path, manifest: Mapping[str, Any], config_hash: str) -> None:
    if manifest["config_hash"] != config_hash:
        raise InputError(f"{path}: belongs to another configuration than the config.toml of its run")
