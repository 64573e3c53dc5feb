"""Protocols: named ways to adapt, TOML files with an [evaluation] table in the folder of the presets.

A protocol replaces the way to adapt of a run as a whole: the settings in `WAY` that it leaves out have their
defaults.  It says nothing on numbers of tasks, updates or episodes.  So it fits every budget.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hmrl_cli.config import presets
from hmrl_cli.config.layers import Layer
from hmrl_cli.errors import ConfigError, did_you_mean, shown
from hmrl_cli.experiment import Experiment
from hmrl_cli.schema import BUDGET, WAY, Evaluation


def files() -> dict[str, Path]:
    """Name -> file of every protocol."""
    return {path.stem: path for path in sorted((presets.folder() / presets.PROTOCOLS).glob("*.toml"))}


def settings(name: str) -> dict[str, Any]:
    """The settings of [evaluation] that a protocol sets: name -> plain value, or a table of them.

    Raises:
        ConfigError: there is no such protocol, or its file holds something else.
    """
    known = files()
    if name not in known:
        raise ConfigError(
            f"protocol: found {shown(name)}{did_you_mean(name, known)}\n"
            f"must be one of: {', '.join(known)} (see: hmrl list protocols)"
        )
    tables = presets.read(known[name], f"protocol {name}")
    table = tables.get("evaluation")
    if tables.keys() != {"evaluation"} or not isinstance(table, dict):
        raise ConfigError(f"protocol {name}: must be one table, [evaluation]")
    if budget := sorted({*BUDGET} & {*table}):
        raise ConfigError(f"protocol {name}: found evaluation.{budget[0]}; must be left to the run")
    return table


def replaced(name: str) -> dict[str, Any]:
    """The settings of [evaluation] that a protocol replaces: its own, and defaults of `WAY` beside them.

    Raises:
        ConfigError: see `settings`.
    """
    return {key: Evaluation.model_fields[key].default for key in WAY} | settings(name)


def layer(name: str, experiment: Experiment) -> Layer:
    """The layer of a protocol above the settings of a run.

    An algorithm whose only way to adapt is a search keeps its rule, where the protocol names none.

    Raises:
        ConfigError: see `settings`.
    """
    table = replaced(name)
    if experiment.algorithm.searches and "rule" not in settings(name):
        del table["rule"]
    return Layer(f"--protocol {name}", {"evaluation": table})
