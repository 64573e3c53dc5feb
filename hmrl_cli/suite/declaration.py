"""The file of a suite: arms, skill libraries, evaluations, and values to search over, as TOML.

A table `set` has the keys that `--set` takes: dotted, quoted or as tables.  In presets and in texts of
settings, "{family}" stands for the family.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pydantic

from hmrl_cli import inputs
from hmrl_cli.config import layers, plugins, presets, protocols
from hmrl_cli.config.plugin_files import is_file, label, path_of
from hmrl_cli.config.validation import Section, described, parsed, unknown
from hmrl_cli.errors import ConfigError, did_you_mean, shown
from hmrl_cli.suite.sections import (
    Arm,
    Evaluation,
    Head,
    Library,
    OfEvaluation,
    OnFamily,
    Protocol,
    Random,
    Range,
    Set,
)

# options of sbatch by which jobs find their cells, need one another and are requeued
OF_HMRL = (
    *("array", "chdir", "dependency", "job-name", "kill-on-invalid-dep", "no-requeue", "open-mode"),
    *("output", "parsable", "requeue", "signal", "wrap"),
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


class Declaration(NamedTuple):
    """What the file of a suite says."""

    file: Path
    name: str
    head: Head
    set: Set  # settings of every run
    skills: Mapping[str, Library]
    arms: Mapping[str, Arm]
    on: Mapping[str, OnFamily]
    eval: Evaluation
    protocols: Mapping[str, Protocol]
    grid: Mapping[str, list[Any]]  # dotted key -> values
    random: Random | None
    ranges: Mapping[str, Range | list[Any]]  # dotted key -> where its values come from
    slurm: Mapping[str, Any]  # long options of sbatch -> values; true: an option without one

    @property
    def families(self) -> dict[str, str]:
        """Name of a family's folder -> its name in settings, which is an absolute path for a file."""
        files = {
            one: str((self.file.parent / path_of(one)).absolute())
            for one in filter(is_file, self.head.families)
        }
        return {label(one): files.get(one, one) for one in self.head.families}

    @property
    def searches(self) -> bool:
        """Whether arms are trained with several values of a setting."""
        return bool(self.grid or self.ranges)


TABLES = ("suite", "set", "skills", "arms", "on", "eval", "protocols", "grid", "random", "slurm")


def read(file: Path) -> Declaration:
    """Read the file of a suite, and check all of it that needs no preset.

    Raises:
        ConfigError: names the key and the file.
    """
    source = str(file)
    tables = presets.read(file, source)
    for name, table in tables.items():
        if name not in TABLES:
            raise ConfigError(unknown(name, did_you_mean(name, TABLES), source, TABLES))
        if not isinstance(table, dict):
            raise ConfigError(f"{name}: found {shown(table)} (from {source}); must be a table")
    head = _section("suite", Head, tables.get("suite", {}), source)
    random = _section("random", Random, tables["random"], source) if "random" in tables else None
    found = Declaration(
        file,
        head.name or file.stem,
        head,
        tables.get("set", {}),
        _named("skills", Library, tables, source),
        _named("arms", Arm, tables, source),
        _named("on", OnFamily, tables, source),
        _section("eval", Evaluation, tables.get("eval", {}), source),
        _named("protocols", Protocol, tables, source),
        _lists(tables.get("grid", {}), source),
        random,
        dict(_ranges(random.ranges if random else {}, "", source)),
        tables.get("slurm", {}),
    )
    _check(found)
    return found


def wrong(suite: Declaration, key: str, text: str) -> ConfigError:
    """The error for the value of a key, which names the file."""
    return ConfigError(f"{key}: {text} (from {suite.file})")


def _section(path: str, model: type[Section], table: Any, source: str) -> Section:
    """A table as an object of its class."""
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: found {shown(table)} (from {source}); must be a table")
    try:
        return parsed(model, table)
    except pydantic.ValidationError as error:
        origins = {f"{path}.{key}": source for key, _ in layers.leaves(table)}
        raise ConfigError(described(path, model, error, origins)[0]) from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: holds a value too large or nested too deeply (from {source})") from None


def _named(kind: str, model: type[Section], tables: Mapping[str, Any], source: str) -> dict[str, Section]:
    """The tables of a kind, by their names."""
    for name in tables.get(kind, {}):
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"{kind}: found {shown(name)} (from {source}); must be named by at most 60 letters, digits, "
                "'.', '_' or '-'"
            )
    return {
        name: _section(f"{kind}.{name}", model, table, source) for name, table in tables.get(kind, {}).items()
    }


def _lists(grid: Mapping[str, Any], source: str) -> dict[str, list[Any]]:
    found = dict(layers.leaves(grid))
    for key, values in found.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"grid.{key}: found {shown(values)} (from {source}); must be a list of values")
    return found


def _ranges(tables: Mapping[str, Any], prefix: str, source: str) -> Any:
    """Yield each dotted key and its range or list, from tables that may be nested."""
    for name, value in tables.items():
        key, path = prefix + name, f"random.ranges.{prefix}{name}"
        if isinstance(value, list) and value:
            yield key, value
        elif isinstance(value, dict) and {"low", "high"} <= value.keys():
            found = _section(path, Range, value, source)
            if not found.low < found.high or (found.log and found.low <= 0):
                least = "0 < low < high" if found.log else "low < high"
                raise ConfigError(f"{path}: found {shown(value)} (from {source}); must have {least}")
            yield key, found
        elif (
            isinstance(value, dict) and value and all(isinstance(one, dict | list) for one in value.values())
        ):
            yield from _ranges(value, f"{key}.", source)
        else:
            raise ConfigError(
                f"{path}: found {shown(value)} (from {source}); must be {{ low = ..., high = ... }} or a list"
            )


def _check(suite: Declaration) -> None:
    """Check the suite, including the names by which its parts refer to each other."""
    if not NAME.fullmatch(suite.name):
        raise wrong(
            suite, "suite.name", f"found {shown(suite.name)}; must be letters, digits, '.', '_' or '-'"
        )
    if not suite.arms and not suite.skills:
        raise wrong(suite, "arms", "missing; must be tables such as [arms.maesn]")
    _check_families(suite)
    _check_protocols(suite)
    _check_slurm(suite)
    if suite.random is not None and not suite.ranges:
        raise wrong(suite, "random.ranges", "missing; must be KEY = { low = ..., high = ... } or a list")
    if twice := next((key for key in suite.grid if key in suite.ranges), None):
        raise wrong(suite, f"grid.{twice}", "found in [random], too; must be in one of them")
    for key, names in _uses_of_families(suite):
        for name in names:
            if name not in suite.families:
                hint = did_you_mean(name, suite.families)
                raise wrong(suite, key, f"found {shown(name)}{hint}; must be among suite.families")
    for name, arm in suite.arms.items():
        if arm.skills is not None and arm.skills not in suite.skills:
            hint = did_you_mean(arm.skills, suite.skills)
            libraries = ", ".join(suite.skills)
            right = f"must be one of: {libraries}" if libraries else "must be declared, as [skills.NAME]"
            raise wrong(suite, f"arms.{name}.skills", f"found {shown(arm.skills)}{hint}; {right}")


def _check_families(suite: Declaration) -> None:
    """Check that the families of a suite exist and have different names."""
    families, known = suite.head.families, plugins.names("families")
    if not families:
        raise wrong(suite, "suite.families", 'missing; must be a list of families, such as ["point"]')
    labels = [label(one) for one in families]
    if twice := next((one for one in labels if labels.count(one) > 1), None):
        raise wrong(suite, "suite.families", f"found two of the name {twice}; must have different names")
    for family in families:
        if reason := is_file(family) and inputs.why_no_file(suite.file.parent / path_of(family)):
            raise wrong(suite, "suite.families", f"found {shown(family)}, which {reason}; must be a family")
        if not is_file(family) and family not in known:
            hint = plugins.suggestion(family, known)
            raise wrong(
                suite, "suite.families", f"found {shown(family)}{hint}; must be a family: hmrl list families"
            )
        if not NAME.fullmatch(label(family)):
            text = f"found {shown(family)}; must be named by letters, digits, '.', '_' or '-'"
            raise wrong(suite, "suite.families", text)


def _check_protocols(suite: Declaration) -> None:
    """Check that every protocol of a suite is valid, and that every protocol it uses is known."""
    theirs = protocols.files()
    for name, own in suite.protocols.items():
        if name in theirs:
            raise wrong(suite, f"protocols.{name}", "is a protocol of hmrl; must have another name")
        _check_protocol(suite, f"protocols.{name}.protocol", own.protocol, theirs)
        stack = [
            layers.Layer("", layers.nested(key.split("."), value)) for key, value in layers.leaves(own.set)
        ]
        _section(f"protocols.{name}.set", OfEvaluation, layers.merge(stack)[0], str(suite.file))
    used = {"eval.protocol": suite.eval.protocol}
    for kind, parts in (("on", suite.on), ("arms", suite.arms)):
        used |= {f"{kind}.{name}.eval.protocol": part.eval.protocol for name, part in parts.items()}
    for key, names in used.items():
        for name in names or ():
            _check_protocol(suite, key, name, [*suite.protocols, *theirs])


def _check_protocol(suite: Declaration, key: str, name: str | None, known: Collection[str]) -> None:
    if name and name not in known:
        text = f"found {shown(name)}{did_you_mean(name, known)}; must be one of: {', '.join(known)}"
        raise wrong(suite, key, text)


def _check_slurm(suite: Declaration) -> None:
    """Check the options of sbatch, which must not be among those that hmrl writes."""
    for option, value in suite.slurm.items():
        if not re.fullmatch("[a-z][a-z-]*", option):
            raise wrong(suite, f"slurm.{option}", "must be a long option of sbatch, as in cpus-per-task")
        if option in OF_HMRL:
            raise wrong(suite, f"slurm.{option}", "is an option that hmrl decides; must be left out")
        if not isinstance(value, str | int) or set('\n"\\') & set(str(value)):
            text = f"found {shown(value)}; must be the value of an option of sbatch, or true"
            raise wrong(suite, f"slurm.{option}", text)


def _uses_of_families(suite: Declaration) -> list[tuple[str, Any]]:
    """Keys that name families, and the names."""
    found: list[tuple[str, Any]] = [("on", suite.on)]
    for kind, parts in (("skills", suite.skills), ("arms", suite.arms)):
        for name, part in parts.items():
            found += [(f"{kind}.{name}.families", part.families or ()), (f"{kind}.{name}.on", part.on)]
    return found
