"""Trained skills and policies as files to hand on: arrays as safetensors, and a card that says what they are.

    NAME.safetensors   arrays by path, leaves [S, ...], one row for each seed
    NAME.json          the card: kind, configuration, epoch, versions, shapes, SHA-256 of the other file

Both are data: nothing in them is executed.  What comes back is, bit for bit, what was written, or an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import hmrl_cli
from hmrl_cli import checkpoints, config
from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.lazy import jax, np
from hmrl_cli.schema import Experiment

SCHEMA = 1
SUFFIX = ".safetensors"

Kind = Literal["skills", "policy"]


class Card(NamedTuple):
    """What an exported file holds."""

    kind: Kind
    experiment: Experiment
    skills_from: Experiment | None  # of the skills that a policy acts through
    epoch: int
    sha256: str  # of the arrays' file


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


def encode(
    tree: Any,
    kind: Kind,
    experiment: Experiment,
    skills_from: Experiment | None,
    epoch: int,
) -> tuple[bytes, dict[str, Any]]:
    """The content of the two files."""
    import safetensors.numpy

    arrays = {name: np.ascontiguousarray(x) for name, x in checkpoints.flatten(jax.device_get(tree)).items()}
    data = safetensors.numpy.save(arrays, metadata={"format": "hmrl", "kind": kind})
    return data, {
        "schema": SCHEMA,
        "kind": kind,
        "family": experiment.family.name,
        "algorithm": experiment.algorithm.name,
        "num_seeds": experiment.training.num_seeds,
        "epoch": epoch,
        "hmrl": hmrl_cli.__version__,
        "sha256": checkpoints.sha256(data),
        "arrays": checkpoints.leaves(arrays),
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
        card = json.loads(file.read_text(encoding="utf-8"))
        found = {
            name: card[name] for name in ("schema", "kind", "epoch", "sha256", "config", "skills_config")
        }
    except OSError as error:
        raise InputError(f"{file}: the card of {path.name} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{file}: is no card of hmrl export") from None
    if found["schema"] != SCHEMA:
        raise InputError(
            f"{file}: found schema {found['schema']!r}; must be {SCHEMA}, by this version of hmrl"
        )
    if found["kind"] != kind:
        raise InputError(f"{path}: found a {found['kind']!r} export; must be {kind!r}")
    skills = found["skills_config"]
    return Card(
        kind,
        _experiment(file, found["config"]),
        None if skills is None else _experiment(file, skills),
        found["epoch"],
        found["sha256"],
    )


def _experiment(file: Path, found: Any) -> Experiment:
    try:
        return config.from_tree(found, str(file))
    except ConfigError as error:
        raise InputError(f"{file}: {error}") from None


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

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if checkpoints.sha256(data) != card.sha256:
        raise InputError(f"{path}: is not what was exported, by the SHA-256 on its card; export it again")
    try:
        arrays: Mapping[str, Any] = safetensors.numpy.load(data)
    except Exception as error:  # the library has its own errors, none of them ours
        raise InputError(f"{path}: cannot be read as safetensors ({type(error).__name__})") from None
    expected = checkpoints.flatten(template)
    checkpoints.check_leaves(path, expected, arrays)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {name} is not finite; export it again, from an epoch that is")
    return jax.tree.unflatten(jax.tree.structure(template), [arrays[name] for name in expected])
