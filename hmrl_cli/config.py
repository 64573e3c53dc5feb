"""How a configuration is put together, validated, written and compared.

    default  <  preset  <  --set  <  flag

`resolve` merges the layers, validates the result once and remembers which layer every value came from.
"""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pydantic
import tomli_w

from hmrl_cli import consistency, layers, plugins, presets
from hmrl_cli.errors import ConfigError, did_you_mean, one_line, shown
from hmrl_cli.layers import Layer
from hmrl_cli.schema import COMMANDS, Evaluation, Experiment, Hierarchy, Strict, Training

OPTIONAL = [name for name, field in Experiment.model_fields.items() if not field.is_required()]


class Resolved(NamedTuple):
    """An experiment, and where each of its values came from."""

    experiment: Experiment
    origins: Mapping[str, str]  # dotted path -> "default", "preset NAME", "--set" or the flag
    preset: str  # name of the preset, or the path of the file, as the user gave it
    command: str
    notes: tuple[str, ...] = ()  # on what does nothing


# Validation.


def resolve(
    command: str,
    preset: str,
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    *,
    complete: bool = True,
) -> Resolved:
    """Merge default < preset < `--set` < flag and validate the result.

    Args:
        command: the command that asks, "pretrain-skills" or "meta-train".
        preset: name of a preset, or a path that ends in .toml.
        sets: lines of TOML.
        flags: dotted path -> value.
        complete: False lets a hierarchy wait for its skills, to show a preset as it is.

    Raises:
        ConfigError: anything unknown, missing, of the wrong type, out of range or contradictory.
    """
    stack = presets.stack(command, preset)
    stack += [Layer("--set", layers.parse_set(line)) for line in sets]
    for path, value in (flags or {}).items():
        flag = "--" + path.rpartition(".")[2].replace("_", "-")
        stack.append(Layer(flag, layers.nested(path.split("."), value)))
    merged, origins = layers.merge(stack)
    experiment = _validate(command, preset, merged, origins)
    consistency.check_command(command, preset, experiment)
    consistency.check_bonus(experiment)
    consistency.check_evaluation(experiment)
    notes = consistency.check_unused(experiment, origins)
    if complete:
        consistency.check_together(experiment)
    origins = {path: origins.get(path, "default") for path in flat(experiment)}
    return Resolved(experiment, origins, preset, command, notes)


def with_evaluation(experiment: Experiment, sets: Sequence[str], flags: Mapping[str, Any]) -> Experiment:
    """The experiment of a run with other settings of its evaluation.

    Args:
        experiment: of the run.
        sets: lines of TOML, of the [evaluation] table only.
        flags: name of a setting -> value, on top.

    Raises:
        ConfigError: as `resolve`.
    """
    stack = [Layer("the run", tree(experiment))]
    for line in sets:
        tables = layers.parse_set(line)
        if tables.keys() != {"evaluation"}:
            raise ConfigError(f"--set {shown(line)}: of a trained run, only evaluation.* can be set")
        stack.append(Layer("--set", tables))
    stack.append(Layer("flags", {"evaluation": dict(flags)}))
    merged, origins = layers.merge(stack)
    found = _validate("", "the run", merged, origins)
    consistency.check_evaluation(found)
    consistency.check_unused(found, origins)
    return found


def serving(preset: str) -> list[Resolved]:
    """The preset as it is, for every command it serves.

    Raises:
        ConfigError: it serves none; says why not the last one.
    """
    found, problem = [], None
    for command in COMMANDS:
        try:
            found.append(resolve(command, preset, complete=False))
        except ConfigError as error:
            problem = error
    if not found and problem:
        raise problem
    return found


def family_of(name: str) -> Strict:
    """Settings of a family: the default ones of a family's name, those of a preset for a preset's.

    Raises:
        ConfigError: neither has this name.
    """
    if name in plugins.names("families"):
        return plugins.load("families", name).Config()
    known = presets.files()
    if name in known:
        return serving(name)[0].experiment.family
    raise ConfigError(
        f"family: found {shown(name)}{did_you_mean(name, [*plugins.names('families'), *known])}\n"
        "must be a family or a preset (see: hmrl list)"
    )


def load(path: Path) -> Experiment:
    """The experiment that `to_toml` wrote.

    Raises:
        ConfigError: the file does not hold a valid experiment.
    """
    return from_tree(presets.read(path, str(path)), str(path))


def from_tree(tables: Any, source: str) -> Experiment:
    """The experiment of nested tables, as `tree` gives them; `source` is what a message names.

    A setting that the version which wrote them did not know has the value that it had there.

    Raises:
        ConfigError: they do not hold a valid experiment.
    """
    if not isinstance(tables, dict):
        raise ConfigError(f"found {type(tables).__name__}; must be the tables of a configuration")
    origins = {leaf: source for leaf, _ in layers.leaves(tables)}
    return _validate("", source, tables, origins, written=True)


def _validate(
    command: str,
    preset: str,
    merged: Mapping[str, Any],
    origins: Mapping[str, str],
    *,
    written: bool = False,
) -> Experiment:
    """The experiment of merged tables; `written` says that a run wrote them, and so all that it knew."""
    known = (*Experiment.model_fields, *COMMANDS, "extends")
    problems = [
        f"{name}: unknown key{did_you_mean(name, known)} (from {_origin(origins, name)})"
        for name in merged
        if name not in Experiment.model_fields
    ]
    values: dict[str, Any] = {}
    for section, model in _section_models(command, preset, merged, origins).items():
        if section in OPTIONAL and section not in merged:
            continue
        try:
            table = merged.get(section, {})
            if written and isinstance(table, dict):
                table = {**model.before, **table}
            values[section] = _parse(model, table)
        except pydantic.ValidationError as error:
            problems += _described(section, model, error, origins)
        except (ValueError, RecursionError):
            problems.append(f"{section}: holds a value too large or nested too deeply")
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(problems[0] + more)
    return Experiment(**values)


def _section_models(
    command: str, preset: str, merged: Mapping[str, Any], origins: Mapping[str, str]
) -> dict[str, type[Strict]]:
    models: dict[str, type[Strict]] = {}
    for section, kind in plugins.FOLDERS.items():
        if section in OPTIONAL and section not in merged:
            continue
        table = merged.get(section, {})
        if not isinstance(table, dict):
            raise ConfigError(
                f"{section}: found {shown(table)} (from {_origin(origins, section)}); must be a table"
            )
        name = table.get("name")
        if name is None:
            whose = f" for {command}" if command else ""
            choices = ", ".join(plugins.choices(kind, command))
            raise ConfigError(
                f"{section}.name: {preset} names no {section}{whose}\n"
                f"to choose one: --set {section}.name=NAME, one of: {choices}"
            )
        if not isinstance(name, str) or name not in plugins.names(kind):
            hint = did_you_mean(name, plugins.names(kind)) if isinstance(name, str) else ""
            origin = _origin(origins, f"{section}.name")
            raise ConfigError(
                f"{section}.name: found {shown(name)} (from {origin}){hint}\n"
                f"must be one of: {', '.join(plugins.names(kind))}"
            )
        models[section] = plugins.load(kind, name).Config
    return models | {"hierarchy": Hierarchy, "training": Training, "evaluation": Evaluation}


def _parse(model: type[Strict], table: Any) -> Strict:
    # Through JSON, whose lists pydantic takes for tuples even where it is strict, as TOML's must be.
    return model.model_validate_json(json.dumps(table, default=str))


def _described(
    section: str, model: type[Strict], error: pydantic.ValidationError, origins: Mapping[str, str]
) -> list[str]:
    """What pydantic found, in our words: once for a value that fits none of the types it could have."""
    of_values: dict[tuple[int | str, ...], list[Any]] = {}
    for detail in error.errors():
        of_values.setdefault(_value_at(model, detail["loc"]), []).append(detail)
    return [_describe(section, model, *found, origins) for found in of_values.items()]


def _value_at(model: Any, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A location without the name of one of its value's types, which pydantic puts last."""
    parent = _fields_at(model, location[:-2])
    is_type = len(location) > 1 and location[-2] in parent and not _fields_at(model, location[:-1])
    return location[:-1] if is_type and isinstance(location[-1], str) else location


def _describe(
    section: str,
    model: type[Strict],
    location: tuple[int | str, ...],
    details: Sequence[Any],
    origins: Mapping[str, str],
) -> str:
    """What is wrong with one value."""
    detail = details[0]
    path = ".".join([section, *map(str, location)])
    origin = _origin(origins, path)
    if detail["type"] == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        return f"{path}: unknown key{did_you_mean(str(location[-1]), known)} (from {origin})"
    if detail["type"] == "missing":
        return f"{path}: missing; must be given, as in: --set {path}=..."
    if detail["type"] == "value_error" and not location:  # of fields that do not go together; names them
        return f"{section}.{detail['msg'].removeprefix('Value error, ')}"
    wanted = " or ".join(one["msg"].removeprefix("Input should be ") for one in details)
    if detail["msg"].startswith("Input should be "):
        wanted = f"must be {wanted}".replace("an object", "a table")
    wanted = wanted.removeprefix("Value error, ")
    found = "" if detail["type"] == "json_invalid" else f"found {shown(detail['input'])} (from {origin}); "
    return f"{path}: {found}{one_line(wanted)}"


def _fields_at(model: Any, location: Sequence[int | str]) -> list[str]:
    """Names of the fields of the model that `location` leads to."""
    for name in location:
        field = model.model_fields.get(name)
        candidates = (field.annotation, *typing.get_args(field.annotation)) if field else ()
        inner = [c for c in candidates if isinstance(c, type) and issubclass(c, pydantic.BaseModel)]
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


def _origin(origins: Mapping[str, str], path: str) -> str:
    """Where a value came from; that of an element is that of its list, that of a table its first leaf's."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in origins:
            return origins[prefix]
        for leaf, origin in origins.items():
            if leaf == prefix or leaf.startswith(prefix + "."):
                return origin
    return "default"


# Writing and comparing.


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
