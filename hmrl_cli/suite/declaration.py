"""The file of a suite: arms, skill libraries, evaluations, and values to search over, as TOML.

A table `set` has the keys that `--set` takes: dotted, quoted or as tables.  In presets and in texts of
settings, "{family}" stands for the family.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pydantic

from hmrl_cli import inputs
from hmrl_cli.config import layers, plugins, presets, protocols
from hmrl_cli.config.plugin_files import is_file, label, path_of
from hmrl_cli.config.validation import Section, described, parsed, unknown
from hmrl_cli.errors import ConfigError, did_you_mean, shown
from hmrl_cli.schema import Strict
from hmrl_cli.types import Reward, Split

MAX_SEEDS = 4096
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,)


def _as_seeds(value: Any) -> Any:
    if type(value) is not int:
        return _as_tuple(value)
    if not 0 < value <= MAX_SEEDS:
        raise ValueError(f"must be from 1 to {MAX_SEEDS} seeds, or a list of them")
    return tuple(range(value))


Set = dict[str, Any]  # dotted keys, or tables of them -> values
Seeds = Annotated[
    tuple[Annotated[int, pydantic.Field(ge=0, le=2**31 - 1)], ...],
    pydantic.BeforeValidator(_as_seeds),
    pydantic.Field(min_length=1, max_length=MAX_SEEDS),
]
Splits = Annotated[tuple[Split, ...], pydantic.BeforeValidator(_as_tuple), pydantic.Field(min_length=1)]
Rewards = Annotated[tuple[Reward, ...], pydantic.BeforeValidator(_as_tuple), pydantic.Field(min_length=1)]
Names = Annotated[tuple[str, ...], pydantic.BeforeValidator(_as_tuple), pydantic.Field(min_length=1)]


class Head(Strict):
    """[suite]: what it is called, and on what it runs."""

    name: str = pydantic.Field(default="", description="name of its folder; empty: that of the file")
    families: Names = pydantic.Field(default=(), description="task families")
    seeds: Seeds = pydantic.Field(default=(0,), description="number of seeds, from 0 on, or a list of them")
    seeds_per_run: int | None = pydantic.Field(
        default=None, gt=0, le=4096, description="seeds side by side in one run; none: all of them"
    )


class OnFamily(Strict):
    """[on.FAMILY]: what differs on one family."""

    seeds: Seeds | None = pydantic.Field(default=None, description="seeds in place of those of the suite")
    set: Set = pydantic.Field(default={}, description="settings of every run on the family")


class Part(Strict):
    """[arms.NAME.on.FAMILY] and [skills.NAME.on.FAMILY]: what differs on one family."""

    preset: str | None = pydantic.Field(default=None, description="preset in place of the usual one")
    set: Set = pydantic.Field(default={}, description="further settings")


class Library(Strict):
    """[skills.NAME]: a library of skills, trained once for all arms that name it."""

    preset: str | None = pydantic.Field(default=None, description='a preset, such as "{family}/diayn"')
    set: Set = pydantic.Field(default={}, description="settings of its runs")
    families: Names | None = pydantic.Field(default=None, description="only these families; none: all")
    on: dict[str, Part] = pydantic.Field(default={}, description="family -> what differs there")


class Evaluation(Strict):
    """[eval] and [arms.NAME.eval]: how runs are evaluated.  What an arm leaves out is as in [eval]."""

    split: Splits | None = pydantic.Field(default=None, description="splits of tasks")
    reward: Rewards | None = pydantic.Field(default=None, description="rewards")
    protocol: Names | None = pydantic.Field(
        default=None, description="protocols of [protocols] or of hmrl; none: the run's own way"
    )
    set: Set = pydantic.Field(default={}, description="settings, all of them evaluation.*")


class Arm(Library):
    """[arms.NAME]: a learner that is meta-trained on each family."""

    skills: str | None = pydantic.Field(default=None, description="the library that it acts through")
    eval: Evaluation = pydantic.Field(default=Evaluation(), description="its own evaluation")


class Protocol(Strict):
    """[protocols.NAME]: a way to adapt that only this suite names."""

    protocol: str | None = pydantic.Field(default=None, description="the protocol of hmrl below it")
    set: Set = pydantic.Field(default={}, description="settings above it, all of them evaluation.*")


class Range(Strict):
    """A value of `ranges` in [random]: where values are drawn from, evenly."""

    low: int | float = pydantic.Field(description="least value")
    high: int | float = pydantic.Field(description="largest value; whole numbers draw whole numbers")
    log: bool = pydantic.Field(default=False, description="draw the logarithm evenly")


class Random(Strict):
    """[random]: settings whose values are drawn."""

    samples: int = pydantic.Field(default=10, gt=0, le=10_000, description="number of draws")
    seed: int = pydantic.Field(default=0, description="seed of the draws")
    ranges: dict[str, Any] = pydantic.Field(default={}, description="key -> {low, high, log}, or a list")


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
        """Families by the names of their folders -> their names in settings, of a file its absolute path."""
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
    """Dotted key -> range or list, of tables that may be nested."""
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
    """Names that the parts of a suite use for one another."""
    head = suite.head
    if not NAME.fullmatch(suite.name):
        raise wrong(
            suite, "suite.name", f"found {shown(suite.name)}; must be letters, digits, '.', '_' or '-'"
        )
    if not head.families:
        raise wrong(suite, "suite.families", 'missing; must be a list of families, such as ["point"]')
    if not suite.arms and not suite.skills:
        raise wrong(suite, "arms", "missing; must be tables such as [arms.maesn]")
    known = plugins.names("families")
    labels = [label(one) for one in head.families]
    if twice := next((one for one in labels if labels.count(one) > 1), None):
        raise wrong(suite, "suite.families", f"found two of the name {twice}; must have different names")
    for family in head.families:
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
    for name in suite.protocols:
        if name in protocols.files():
            raise wrong(suite, f"protocols.{name}", "is a protocol of hmrl; must have another name")
    for option, value in suite.slurm.items():
        if not re.fullmatch("[a-z][a-z-]*", option):
            raise wrong(suite, f"slurm.{option}", "must be a long option of sbatch, without dashes")
        if not isinstance(value, str | int) or set('\n"\\') & set(str(value)):
            text = f"found {shown(value)}; must be the value of an option of sbatch, or true"
            raise wrong(suite, f"slurm.{option}", text)
    if twice := next((key for key in suite.grid if key in suite.ranges), None):
        raise wrong(suite, f"grid.{twice}", "found in [random], too; must be in one of them")
    for key, seeds in {
        "suite": head.seeds,
        **{f"on.{name}": one.seeds for name, one in suite.on.items()},
    }.items():
        if seeds and len({*seeds}) < len(seeds):
            raise wrong(suite, f"{key}.seeds", f"found {shown(list(seeds))}; must be different ones")
    for key, names in _uses_of_families(suite):
        for name in names:
            if name not in suite.families:
                hint = did_you_mean(name, suite.families)
                raise wrong(suite, key, f"found {shown(name)}{hint}; must be among suite.families")
    for name, arm in suite.arms.items():
        if arm.skills is not None and arm.skills not in suite.skills:
            hint = did_you_mean(arm.skills, suite.skills)
            libraries = ", ".join(suite.skills) or "none is declared, as [skills.NAME]"
            raise wrong(
                suite, f"arms.{name}.skills", f"found {shown(arm.skills)}{hint}; must be one of: {libraries}"
            )


def _uses_of_families(suite: Declaration) -> list[tuple[str, Any]]:
    """Keys that name families, and the names."""
    found: list[tuple[str, Any]] = [("on", suite.on)]
    for kind, parts in (("skills", suite.skills), ("arms", suite.arms)):
        for name, part in parts.items():
            found += [(f"{kind}.{name}.families", part.families or ()), (f"{kind}.{name}.on", part.on)]
    return found
