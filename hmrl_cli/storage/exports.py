"""Exported skills and policies: arrays as safetensors, and a card that describes them.

    NAME.safetensors   arrays by path, leaves [S, ...], one row for each seed
    NAME.json          the card: kind, configuration, epoch, versions, shapes, SHA-256 of the other file

Both are data: nothing in them is executed.  Reading gives bit for bit what was written, or an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pydantic

from hmrl_cli import config, reading
from hmrl_cli.config import plugin_files, recorded
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import jax, np
from hmrl_cli.storage import manifest, outputs
from hmrl_cli.version import __version__

SCHEMA = 1
SUFFIX = ".safetensors"
FORMAT = "hmrl"  # in the header of the arrays' file
MAX_HEADER = 2**20

Kind = Literal["skills", "policy"]


class _Form(reading.Form):
    """The keys of a card that are checked."""

    kind: Kind
    epoch: Annotated[int, pydantic.Field(ge=0, lt=2**63)]
    sha256: Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")]
    config: dict[str, Any]
    skills_config: dict[str, Any] | None
    whole: bool = False
    adapts: bool = False
    plugins: dict[str, dict[str, str]] = pydantic.Field(default_factory=dict)
    skills_plugins: dict[str, dict[str, str]] = pydantic.Field(default_factory=dict)


class Card(NamedTuple):
    """The card of an export."""

    kind: Kind
    experiment: Experiment
    skills_from: Experiment | None  # that trained the skills which a policy acts through
    epoch: int
    sha256: str  # of the arrays' file
    card_sha256: str  # of the card's file
    whole: bool  # whether the arrays are all of a checkpoint, and not only what acts
    adapts: bool  # whether a policy comes with what its adaptation needs


def is_export(path: str | Path) -> bool:
    """Whether a path has the suffix of an exported file."""
    return str(path).endswith(SUFFIX)


def card_path(path: Path) -> Path:
    """The path of the card of an exported file.

    Raises:
        ConfigError: the name of the file does not end in .safetensors.
    """
    if not is_export(path):
        raise ConfigError(f"{path}: must end in {SUFFIX}; hmrl export RUN_DIR -o FILE{SUFFIX} writes one")
    return path.with_suffix(".json")


def check_output(path: Path, experiment: Experiment) -> None:
    """Refuse a path for an export of a run, and create its folder.

    Args:
        path: the file of the arrays.
        experiment: the configuration of the run.

    Raises:
        ConfigError: the suffix is wrong, the path lies in a run, another file is there, or it is the export
            that the run acts through.
        StorageError: the folder cannot be written to.
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
    """Whether a file is a card, of any version."""
    try:
        found = reading.read_json(file)
    except InputError:
        return False
    return {"schema", "kind", "sha256", "arrays", "config", "hmrl"} <= found.keys()


def _is_ours(file: Path) -> bool:
    """Whether a file holds the arrays of an export, by the JSON header behind its first 8 bytes."""
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
    *,
    whole: bool = False,
) -> tuple[bytes, dict[str, Any]]:
    """The content of the two files of an export.

    Args:
        tree: a pytree of arrays, leaves [S, ...].
        kind: "skills" or "policy".
        experiment: the configuration of the run.
        skills_from: that trained the skills which a policy acts through.
        epoch: of the checkpoint that the arrays come from.
        whole: whether the tree is that of the checkpoint, and not what acts of it.

    Returns:
        the bytes of the arrays' file, and the card as a JSON document.
    """
    import safetensors.numpy

    arrays = {name: np.ascontiguousarray(x) for name, x in manifest.flatten(jax.device_get(tree)).items()}
    # one key alone: safetensors writes several in random order, so that equal exports would differ
    data = safetensors.numpy.save(arrays, metadata={"format": FORMAT})
    return data, {
        "schema": SCHEMA,
        "kind": kind,
        "whole": whole,
        "family": plugin_files.label(experiment.family.name),
        "algorithm": plugin_files.label(experiment.algorithm.name),
        "adapts": kind == "policy" and not whole and "adapts" in tree,
        "num_seeds": experiment.training.num_seeds,
        "epoch": epoch,
        "hmrl": __version__,
        "sha256": manifest.sha256(data),
        "arrays": manifest.leaves(arrays),
        "config": config.tree(experiment),
        "plugins": recorded.record(experiment),
        "skills_config": config.tree(skills_from) if skills_from else None,
        "skills_plugins": recorded.record(skills_from) if skills_from else {},
    }


def read_card(path: Path, kind: Kind | None = None) -> Card:
    """The card of an export.  Needs no jax.

    Args:
        path: the file of the arrays.
        kind: the kind that the export must be of; None: any.

    Raises:
        ConfigError: the suffix of the file is wrong.
        InputError: there is no card, or it is of another version or kind.
    """
    file = card_path(path)
    try:
        data = reading.read_bytes(file, reading.MAX_BYTES + 1)
        found = reading.parse_json(data, str(file))
    except InputError as error:
        raise InputError(f"{error}\nmust be the card of {path.name}, as hmrl export wrote it") from None
    reading.check(found, _Form, SCHEMA, str(file))
    if kind is not None and found["kind"] != kind:
        raise InputError(f"{path}: found a {found['kind']!r} export; must be {kind!r}")
    skills = found["skills_config"]
    return Card(
        found["kind"],
        _experiment(file, found["config"], found.get("plugins")),
        None if skills is None else _experiment(file, skills, found.get("skills_plugins")),
        found["epoch"],
        found["sha256"],
        manifest.sha256(data),
        found.get("whole", False),
        found.get("adapts", False),
    )


def _experiment(file: Path, found: Any, plugins: recorded.Records | None) -> Experiment:
    try:
        return config.from_tree(found, str(file), plugins)
    except ConfigError as error:
        raise InputError(f"{file}: {error}") from None


def read_bytes(path: Path, card: Card) -> bytes:
    """The bytes of the arrays' file.  Needs no jax.

    Raises:
        InputError: the file cannot be read, or has another SHA-256 than the card says.
    """
    data = reading.read_bytes(path)
    if manifest.sha256(data) != card.sha256:
        raise InputError(f"{path}: is not what was exported, by the SHA-256 on its card; export it again")
    return data


def read(path: Path, card: Card, template: Any) -> Any:
    """The arrays of an export, as the tree of the template with numpy leaves.

    Args:
        path: the file of the arrays.
        card: the card of the export.
        template: a tree of the expected shapes and dtypes.

    Raises:
        InputError: the file differs from its card or the template, or an array is not finite.
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
