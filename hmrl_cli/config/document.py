"""An experiment as text, tables and hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from hmrl_cli.config import layers, presets
from hmrl_cli.errors import shown
from hmrl_cli.schema import Experiment


def to_toml(experiment: Experiment) -> str:
    """The experiment as TOML; `load` and `resolve` give an equal one back."""
    return tomli_w.dumps(tree(experiment))


def tree(experiment: Experiment) -> dict[str, Any]:
    """The experiment as nested tables of plain values; `from_tree` gives an equal one back."""
    return experiment.model_dump(mode="json", exclude_none=True)


def flat(experiment: Experiment) -> dict[str, Any]:
    """Dotted path -> plain value of every setting that is not None."""
    return dict(layers.leaves(tree(experiment)))


def config_hash(experiment: Experiment) -> str:
    """SHA-256 of the experiment, the same for equal ones."""
    return _hash(tree(experiment))


def file_hash(path: Path) -> str:
    """`config_hash` of the experiment that `to_toml` wrote, by whatever version.

    It is that of what the file says: a setting that came later does not make another experiment of it.

    Raises:
        ConfigError: the file is no TOML.
    """
    return _hash(presets.read(path, str(path)))


def _hash(tables: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def difference(one: Experiment, other: Experiment) -> str | None:
    """The first field in which two experiments differ, with both values; None when they are equal."""
    left, right = flat(one), flat(other)
    for path in [*left, *right]:
        if left.get(path) != right.get(path):
            return f"{path}: found {shown(left.get(path))}, where the run has {shown(right.get(path))}"
    return None
