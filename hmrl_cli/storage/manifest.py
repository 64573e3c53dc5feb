"""The manifest of a checkpoint: hashes of its files and arrays, and the shapes of the arrays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli import reading
from hmrl_cli.errors import (
    InputError,
    StorageError,
)
from hmrl_cli.lazy import jax, np
from hmrl_cli.storage.files import file_sha256, sync

if TYPE_CHECKING:
    import numpy.typing as npt

    Arrays = dict[str, npt.NDArray[Any]]


SCHEMA = 1


class Damaged(Exception):
    """The checkpoint differs from what was written."""


def flatten(tree: Any) -> Arrays:
    """The leaves of a tree by path, in the order of the tree; "/" joins the names of a path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    flat = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    assert len(flat) == len(leaves), "two leaves of the state have the same path"
    return flat


def write_manifest(path: Path, epoch: int, arrays: Arrays, config_hash: str) -> None:
    """Hash every file of a checkpoint, force it to the disk, and write the manifest last.

    Args:
        path: the folder of the checkpoint.
        epoch: number of finished epochs.
        arrays: the leaves by path.
        config_hash: hash of the configuration of the run.

    Raises:
        OSError: the disk is full or broken.
    """
    files: dict[str, str] = {}
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        files[file.relative_to(path).as_posix()] = file_sha256(file)
        sync(file)
    manifest = {
        "schema": SCHEMA,
        "epoch": epoch,
        "config_hash": config_hash,
        "arrays_sha256": arrays_sha256(arrays),
        "leaves": leaves(arrays),
        "files": files,
    }
    file = path / "manifest.json"
    file.write_text(json.dumps({"sha256": _json_sha256(manifest), "manifest": manifest}, indent=1))
    for entry in [file, *(p for p in path.rglob("*") if p.is_dir()), path]:
        sync(entry)


def verified_manifest(path: Path, epoch: int) -> dict[str, Any]:
    """The manifest of a checkpoint, after a check of its hash and of the hash of every file.

    Raises:
        Damaged: a file is missing, or differs from what was written.
    """
    try:
        document = reading.read_json(path / "manifest.json")
        manifest = document["manifest"]
        intact = document["sha256"] == _json_sha256(manifest) and _has_the_form(manifest)
    except (InputError, StorageError, KeyError, TypeError) as error:
        raise Damaged("manifest.json is missing or unreadable") from error
    if not intact or manifest["epoch"] != epoch:
        raise Damaged("manifest.json is not what was written")
    for name, expected in manifest["files"].items():
        try:
            found = file_sha256(_inside(path, name))
        except (OSError, ValueError, RuntimeError) as error:  # no path, or a link to itself
            raise Damaged(f"{name} is missing or unreadable") from error
        if found != expected:
            raise Damaged(f"{name} is not what was written")
    return manifest


def _has_the_form(manifest: Mapping[str, Any]) -> bool:
    """Whether all keys have the right types; raises KeyError or TypeError where one is missing."""
    files, described = manifest["files"], manifest["leaves"]
    return (
        (manifest["schema"], type(files), type(described)) == (SCHEMA, dict, dict)
        and all(isinstance(leaf, dict) and {*leaf} == {"shape", "dtype"} for leaf in described.values())
        and [type(manifest[key]) for key in ("epoch", "config_hash", "arrays_sha256")] == [int, str, str]
    )


def _inside(folder: Path, name: str) -> Path:
    """The regular file of that name in the folder; raises Damaged where a link leads out of the folder."""
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise Damaged(f"{name} is no file of the checkpoint")
    return file


def check_leaves(path: Path, template: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Refuse arrays with other names, shapes or dtypes than the template.

    Args:
        path: of the file, for the message.
        template: the expected arrays, or their shapes, by path.
        arrays: the arrays by path.

    Raises:
        InputError: a leaf differs; the message names the first one.
    """
    compare_leaves(path, leaves(template), leaves(arrays))


def compare_leaves(path: Path, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Refuse descriptions of arrays, as from `leaves`, that differ.

    Raises:
        InputError: a leaf differs; the message names the first one.
    """
    if problem := first_difference(expected, found):
        raise InputError(f"{path}: {problem}\nit was written by another version of hmrl or run")


def first_difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """A text on the first leaf that differs in two descriptions of arrays; "" where none does."""
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            return f"found {_leaf_text(found.get(name))} for {name}, must be {_leaf_text(expected.get(name))}"
    return ""


def leaves(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Shape and dtype of every array, by path, as a JSON document."""
    return {
        path: {"shape": list(array.shape), "dtype": str(array.dtype)}
        for path, array in sorted(arrays.items())
    }


def _leaf_text(leaf: Mapping[str, Any] | None) -> str:
    return f"{leaf['dtype']}{leaf['shape']}" if leaf else "nothing"


def arrays_sha256(arrays: Arrays) -> str:
    """SHA-256 of the names, shapes, dtypes and values of arrays by path."""
    digest = hashlib.sha256(json.dumps(leaves(arrays)).encode())
    for _, array in sorted(arrays.items()):
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _json_sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sha256(data: bytes) -> str:
    """SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()
