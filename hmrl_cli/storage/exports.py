"""Trained skills and policies as files to hand on: arrays as safetensors, and a card that says what they are.

    NAME.safetensors   arrays by path, leaves [S, ...], one row for each seed
    NAME.json          the card: kind, configuration, epoch, versions, shapes, SHA-256 of the other file

Both are data: nothing in them is executed.  What comes back is, bit for bit, what was written, or an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pydantic

from hmrl_cli import config, reading
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.lazy import jax, np
from hmrl_cli.schema import Experiment
from hmrl_cli.storage import manifest, outputs
from hmrl_cli.version import __version__

SCHEMA = 1
SUFFIX = ".safetensors"
FORMAT = "hmrl"  # in the header of the arrays' file
MAX_HEADER = 2**20

Kind = Literal["skills", "policy"]


class _Form(reading.Form):
    """What is looked at of a card."""

    kind: Kind
    epoch: Annotated[int, pydantic.Field(ge=0, lt=2**63)]
    sha256: Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")]
    config: dict[str, Any]
    skills_config: dict[str, Any] | None


class Card(NamedTuple):
    """What an exported file holds."""

    kind: Kind
    experiment: Experiment
    skills_from: Experiment | None  # of the skills that a policy acts through
    epoch: int
    sha256: str  # of the arrays' file
    card_sha256: str  # of the card's file


def is_export(path: str | Path) -> bool:
    """Whether a path names an exported file, by its name."""
    return str(path).endswith(SUFFIX)


def card_path(path: Path) -> Path:
    """Where the card of an exported file lies.

    Raises:
        ConfigError: the file's name does not end as it must.
    """
    if not is_export(path):
        raise ConfigError(f"{path}: must end in {SUFFIX}")
    return path.with_suffix(".json")


def check_output(path: Path, experiment: Experiment) -> None:
    """Refuse to write an export of an experiment's run to `path`.

    Raises:
        ConfigError: the name does not end as it must, it lies in a run, what is there is no export, or it is
            that of the skills which the run acts through.
        StorageError: nothing can be written there.
    """
    card_file = card_path(path)
    skills = experiment.hierarchy.skills if experiment.hierarchy else ""
    if os.path.realpath(path) == os.path.realpath(skills):
        raise ConfigError(f"-o: {path} holds the skills that the run acts through; must be another name")
    run = outputs.run_around(path.parent)
    if run is not None:
        raise ConfigError(f"-o: {path} lies in the run {run}; must lie elsewhere")
    outputs.check_replaced(path, _is_ours(path))
    outputs.check_replaced(card_file, _is_card(card_file))
    outputs.make_room(path)


def _is_card(file: Path) -> bool:
    """Whether a file is a card, of whatever version."""
    try:
        found = reading.read_json(file)
    except InputError:
        return False
    return {"schema", "kind", "sha256", "arrays", "config", "hmrl"} <= found.keys()


def _is_ours(file: Path) -> bool:
    """Whether a file is the arrays of an export: its header, of JSON behind its length, says so."""
    try:
        head = reading.read_bytes(file, 8 + MAX_HEADER)
        header = reading.parse_json(head[8 : 8 + int.from_bytes(head[:8], "little")], str(file))
    except InputError:
        return False
    metadata = header.get("__metadata__")
    return isinstance(metadata, dict) and metadata.get("format") == FORMAT


def encode(
    tree: Any,
    kind: Kind,
    experiment: Experiment,
    skills_from: Experiment | None,
    epoch: int,
) -> tuple[bytes, dict[str, Any]]:
    """The content of the two files."""
    import safetensors.numpy

    arrays = {name: np.ascontiguousarray(x) for name, x in manifest.flatten(jax.device_get(tree)).items()}
    data = safetensors.numpy.save(arrays, metadata={"format": FORMAT, "kind": kind})
    return data, {
        "schema": SCHEMA,
        "kind": kind,
        "family": experiment.family.name,
        "algorithm": experiment.algorithm.name,
        "num_seeds": experiment.training.num_seeds,
        "epoch": epoch,
        "hmrl": __version__,
        "sha256": manifest.sha256(data),
        "arrays": manifest.leaves(arrays),
        "config": config.tree(experiment),
        "skills_config": config.tree(skills_from) if skills_from else None,
    }


def read_card(path: Path, kind: Kind) -> Card:
    """The card of an exported file; needs no jax.

    Raises:
        InputError: there is none, it is not one of this version, or it is of another kind.
    """
    file = card_path(path)
    try:
        data = reading.read_bytes(file, reading.MAX_BYTES + 1)
        found = reading.parse_json(data, str(file))
    except InputError as error:
        raise InputError(f"{error}\nmust be the card of {path.name}, as hmrl export wrote it") from None
    reading.check(found, _Form, SCHEMA, str(file))
    if found["kind"] != kind:
        raise InputError(f"{path}: found a {found['kind']!r} export; must be {kind!r}")
    skills = found["skills_config"]
    return Card(
        kind,
        _experiment(file, found["config"]),
        None if skills is None else _experiment(file, skills),
        found["epoch"],
        found["sha256"],
        manifest.sha256(data),
    )


def _experiment(file: Path, found: Any) -> Experiment:
    try:
        return config.from_tree(found, str(file))
    except ConfigError as error:
        raise InputError(f"{file}: {error}") from None


def read_bytes(path: Path, card: Card) -> bytes:
    """The content of the arrays' file; needs no jax.

    Raises:
        InputError: it cannot be read, or is not what the card vouches for.
    """
    data = reading.read_bytes(path)
    if manifest.sha256(data) != card.sha256:
        raise InputError(f"{path}: is not what was exported, by the SHA-256 on its card; export it again")
    return data


def read(path: Path, card: Card, template: Any) -> Any:
    """The arrays, as a tree like the template with numpy leaves.

    Args:
        path: the exported file.
        card: its card.
        template: a tree of the expected shapes and dtypes.

    Raises:
        InputError: the file is not what the card vouches for, or does not fit.
    """
    import safetensors.numpy

    data = read_bytes(path, card)
    try:
        arrays: Mapping[str, Any] = safetensors.numpy.load(data)
    except Exception as error:  # the library has its own errors, none of them ours
        raise InputError(f"{path}: cannot be read as safetensors ({type(error).__name__})") from None
    expected = manifest.flatten(template)
    manifest.check_leaves(path, expected, arrays)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {name} is not finite; export it again, from an epoch that is")
    return jax.tree.unflatten(jax.tree.structure(template), [arrays[name] for name in expected])
