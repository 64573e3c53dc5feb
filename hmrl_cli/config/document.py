"""An experiment as TOML, as tables and as a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from hmrl_cli.config import consistency, layers, presets, recorded
from hmrl_cli.config.validation import NONE, from_tree
from hmrl_cli.errors import shown
from hmrl_cli.experiment import Experiment


def to_toml(experiment: Experiment) -> str:
    """The experiment as TOML.  `load` and `resolve` turn it into an equal experiment."""
    return tomli_w.dumps(tree(experiment))


def tree(experiment: Experiment) -> dict[str, Any]:
    """The experiment as nested tables of plain values.  `from_tree` turns them into an equal experiment."""
    return experiment.model_dump(mode="json", exclude_none=True)


def flat(experiment: Experiment) -> dict[str, Any]:
    """The settings that are not None: dotted path -> plain value."""
    return dict(layers.leaves(tree(experiment)))


def value_text(value: Any) -> str:
    """A value of `flat` for a message; "none" for a missing setting, as a user would write it."""
    return NONE if value is None else shown(value)


def config_hash(experiment: Experiment) -> str:
    """SHA-256 of the settings of an experiment, in hexadecimal digits."""
    return _hash(tree(experiment))


class Written(NamedTuple):
    """A configuration file that `to_toml` wrote, in this version or an earlier one."""

    experiment: Experiment
    config_hash: str  # of the tables in the file, so that a setting added later does not change it
    sha256: str  # of the bytes of the file


def read(path: Path, records: recorded.Records | None = None) -> Written:
    """The content of a file that `to_toml` wrote.  The file is opened once.

    Args:
        path: the file.
        records: what the run keeps of its plugins.  Without it, the code of no plugin's file is run.

    Raises:
        ConfigError: the file does not hold a valid experiment.
    """
    data = presets.read_bytes(path, str(path))
    tables = presets.parse(data, str(path))
    return Written(from_tree(tables, str(path), records), _hash(tables), hashlib.sha256(data).hexdigest())


def load(path: Path) -> Experiment:
    """The experiment in a file that `to_toml` wrote.

    Raises:
        ConfigError: the file does not hold a valid experiment.
    """
    return read(path).experiment


def _hash(tables: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def difference(one: Experiment, other: Experiment) -> str | None:
    """A text on the first setting in which an experiment differs from that of a run; None where none does.

    For skills, settings of adaptation do not count, because skills do not adapt.

    Args:
        one: the experiment that was asked for.
        other: the experiment of the run.
    """
    left, right = flat(one), flat(other)
    # a policy may later adapt in another way, by settings that are idle in its run
    idle = consistency.unused(one) if one.algorithm.command == "pretrain-skills" else {}
    for path in [*left, *right]:
        if left.get(path) != right.get(path) and not consistency.reason_of(path, idle):
            ours, theirs = (value_text(settings.get(path)) for settings in (left, right))
            return f"{path}: found {ours}, where the run has {theirs}"
    return None
