"""Checkpoints that are verified before they are used.

Orbax stores the arrays; a manifest of ours vouches for them.  Both are written under a temporary
name, forced to the disk and then renamed, so that a folder `checkpoints/<epoch>/` is complete:

    tree/            what Orbax wrote, one entry for every leaf of the state
    manifest.json    SHA-256 of every file and of the arrays; path, shape and dtype of every leaf;
                     hash of the configuration; epoch; SHA-256 of all this

Loading verifies, restores and compares strictly with a template: Orbax itself casts int32 to float32
without a word.  A damaged checkpoint gives way to the one before it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli import event_loops
from hmrl_cli.errors import (
    ConfigError,
    InputError,
    MachineLimit,
    StorageError,
    limit_reached,
    one_line,
    shown,
)
from hmrl_cli.files import DISK_ERRORS, file_sha256, sync
from hmrl_cli.lazy import jax, jnp, np

if TYPE_CHECKING:
    import numpy.typing as npt

    Arrays = dict[str, npt.NDArray[Any]]

KEEP = 2
SCHEMA = 1


class Checkpoint(NamedTuple):
    """A restored state."""

    epoch: int
    arrays_sha256: str
    tree: Any  # as the template, with numpy leaves
    note: str  # what was wrong with newer checkpoints; empty when nothing was


class _Damaged(Exception):
    """The checkpoint is not what was written."""


def save(folder: Path, epoch: int, tree: Any, config_hash: str) -> None:
    """Write the checkpoint of an epoch and drop all but the newest two.

    Raises:
        StorageError: the disk is full or broken; the older checkpoints are untouched.
        MachineLimit: memory is too short for a copy of the tree; likewise.
    """
    temporary = folder / f".{epoch}.tmp"
    final = folder / str(epoch)
    try:
        for stale in folder.glob(".*.tmp"):
            _remove(stale)
        arrays = flatten(jax.device_get(tree))
        _write_arrays(temporary / "tree", arrays)
        _write_manifest(temporary, epoch, arrays, config_hash)
        if os.path.lexists(final):
            _remove(final)
        temporary.rename(final)
        sync(folder)
        for old in epochs(folder)[KEEP:]:
            shutil.rmtree(folder / str(old))
    except Exception as error:  # Orbax wraps a full disk in errors of many types
        shutil.rmtree(temporary, ignore_errors=True)
        if reached := limit_reached(error):
            raise MachineLimit(f"checkpoint {final} cannot be written: {reached}") from error
        raise StorageError(f"checkpoint {final} cannot be written: {_reason(error)}") from error


def check_path(folder: Path) -> None:
    """Refuse a path that Orbax can neither write to nor read from.

    Raises:
        ConfigError: some of its bytes are no letters, in UTF-8 or in the locale.
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
    """Why a file could not be written, as the system said it, if a library's words hold that somewhere."""
    text = one_line(error)
    known = (os.strerror(number) for number in (*DISK_ERRORS, errno.EACCES, errno.EROFS))
    return next((reason for reason in known if reason in text), text[:200])


def load(folder: Path, template: Any, config_hash: str) -> Checkpoint | None:
    """The newest intact checkpoint, or None when there is none.

    Args:
        folder: the `checkpoints` folder of a run.
        template: a tree of the expected shapes and dtypes; `jax.eval_shape` of `init` will do.
        config_hash: hash of the configuration of the run.

    Raises:
        InputError: every checkpoint is damaged, or an intact one does not fit the template.
    """
    check_path(folder)
    problems = []
    for epoch in epochs(folder):
        try:
            manifest = _verified_manifest(folder / str(epoch), epoch)
            _check_config(folder / str(epoch), manifest, config_hash)
            _check_template(folder / str(epoch), manifest, template)
            arrays = _read_arrays(folder / str(epoch), manifest)
        except _Damaged as error:
            problems.append(f"checkpoint {epoch} is damaged ({error})")
            continue
        structure = jax.tree.structure(template)
        tree = jax.tree.unflatten(structure, [arrays[path] for path in flatten(template)])
        note = f"{'; '.join(problems)}; using checkpoint {epoch}" if problems else ""
        return Checkpoint(epoch, manifest["arrays_sha256"], tree, note)
    if problems:
        raise InputError(f"{folder}: {'; '.join(problems)}\nno intact checkpoint is left; train again")
    return None


def epochs(folder: Path) -> list[int]:
    """Epochs that have a checkpoint, the newest first; stray entries are passed over."""
    with contextlib.suppress(FileNotFoundError):
        names = [entry.name for entry in folder.iterdir() if entry.is_dir()]
        return sorted((int(n) for n in names if n.isdecimal() and n == str(int(n))), reverse=True)
    return []


def fingerprint(folder: Path) -> tuple[int, str]:
    """Epoch of the newest intact checkpoint, and the SHA-256 of its arrays; needs no jax.

    Raises:
        InputError: there is none.
    """
    for epoch in epochs(folder):
        with contextlib.suppress(_Damaged):
            return epoch, _verified_manifest(folder / str(epoch), epoch)["arrays_sha256"]
    raise InputError(f"{folder}: holds no intact checkpoint; must be of a finished run")


def flatten(tree: Any) -> Arrays:
    """Leaves by "/"-joined path, in the order of the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    flat = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    assert len(flat) == len(leaves), "two leaves of the state have the same path"
    return flat


def _remove(entry: Path) -> None:
    """A folder with all it holds, or whatever else has the name."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


@event_loops.that_may_be_late()
def _write_arrays(path: Path, arrays: Arrays) -> None:
    import orbax.checkpoint as ocp

    # its threads log a traceback of what is raised here as well
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    # Orbax refuses arrays without elements; the manifest alone brings those back.
    stored = {path: np.asarray(array) for path, array in arrays.items() if np.size(array)}
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        checkpointer.save(path.absolute(), stored)


@event_loops.that_may_be_late()
def _read_arrays(path: Path, manifest: Mapping[str, Any]) -> Arrays:
    import orbax.checkpoint as ocp

    expected = manifest["leaves"]
    arrays = {
        name: np.zeros(leaf["shape"], jnp.dtype(leaf["dtype"]))
        for name, leaf in expected.items()
        if 0 in leaf["shape"]
    }
    as_numpy = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in expected if name not in arrays}
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            arrays |= checkpointer.restore((path / "tree").absolute(), restore_args=as_numpy)
    except Exception as error:
        raise _Damaged(f"Orbax: {' '.join(str(error).split())[:100]}") from error
    if leaves(arrays) != expected or _arrays_sha256(arrays) != manifest["arrays_sha256"]:
        raise _Damaged("other arrays than were written")
    return arrays


def _write_manifest(path: Path, epoch: int, arrays: Arrays, config_hash: str) -> None:
    """Hash every file, force it to the disk, and write the manifest last."""
    files: dict[str, str] = {}
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        files[file.relative_to(path).as_posix()] = file_sha256(file)
        sync(file)
    manifest = {
        "schema": SCHEMA,
        "epoch": epoch,
        "config_hash": config_hash,
        "arrays_sha256": _arrays_sha256(arrays),
        "leaves": leaves(arrays),
        "files": files,
    }
    file = path / "manifest.json"
    file.write_text(json.dumps({"sha256": _json_sha256(manifest), "manifest": manifest}, indent=1))
    for entry in [file, *(p for p in path.rglob("*") if p.is_dir()), path]:
        sync(entry)


def _verified_manifest(path: Path, epoch: int) -> dict[str, Any]:
    """The manifest, once it and every file it lists are what was written."""
    try:
        document = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        manifest = document["manifest"]
        intact = document["sha256"] == _json_sha256(manifest) and _has_the_form(manifest)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _Damaged("manifest.json is missing or unreadable") from error
    if not intact or manifest["epoch"] != epoch:
        raise _Damaged("manifest.json is not what was written")
    for name, expected in manifest["files"].items():
        try:
            found = file_sha256(_inside(path, name))
        except (OSError, ValueError, RuntimeError) as error:  # no path, or a link to itself
            raise _Damaged(f"{name} is missing or unreadable") from error
        if found != expected:
            raise _Damaged(f"{name} is not what was written")
    return manifest


def _has_the_form(manifest: Mapping[str, Any]) -> bool:
    """Whether all is there that is looked at here; raises KeyError or TypeError where it is not."""
    files, described = manifest["files"], manifest["leaves"]
    return (
        (manifest["schema"], type(files), type(described)) == (SCHEMA, dict, dict)
        and all(isinstance(leaf, dict) and {*leaf} == {"shape", "dtype"} for leaf in described.values())
        and {"epoch", "config_hash", "arrays_sha256"} <= {*manifest}
    )


def _inside(folder: Path, name: str) -> Path:
    """The regular file of that name within the folder, which no link leads out of."""
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise _Damaged(f"{name} is no file of the checkpoint")
    return file


def _check_config(path: Path, manifest: Mapping[str, Any], config_hash: str) -> None:
    if manifest["config_hash"] != config_hash:
        raise InputError(f"{path}: belongs to another configuration than the config.toml of its run")


def check_leaves(path: Path, template: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Refuse arrays whose names, shapes or dtypes are not those of the template.

    Raises:
        InputError: names the path and the first leaf that differs.
    """
    _compare(path, leaves(template), leaves(arrays))


def _check_template(path: Path, manifest: Mapping[str, Any], template: Any) -> None:
    _compare(path, leaves(flatten(template)), manifest["leaves"])


def _compare(path: Path, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            raise InputError(
                f"{path}: found {_leaf_text(found.get(name))} for {name}, "
                f"must be {_leaf_text(expected.get(name))}\nit was written by another version of hmrl or run"
            )


def leaves(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Shape and dtype of every array, by path."""
    return {
        path: {"shape": list(array.shape), "dtype": str(array.dtype)}
        for path, array in sorted(arrays.items())
    }


def _leaf_text(leaf: Mapping[str, Any] | None) -> str:
    return f"{leaf['dtype']}{leaf['shape']}" if leaf else "nothing"


def _arrays_sha256(arrays: Arrays) -> str:
    digest = hashlib.sha256(json.dumps(leaves(arrays)).encode())
    for _, array in sorted(arrays.items()):
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _json_sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sha256(data: bytes) -> str:
    """SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()
