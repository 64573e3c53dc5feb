"""Validation of tables of settings, with messages that name the setting and its origin."""

from __future__ import annotations

import json
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import pydantic

from hmrl_cli.config import keys, layers, plugin_files, plugins, recorded
from hmrl_cli.errors import ConfigError, did_you_mean, one_line, shown
from hmrl_cli.experiment import Experiment, Hierarchy, Training
from hmrl_cli.schema import COMMANDS, Evaluation, Strict

Section = TypeVar("Section", bound=Strict)
NONE = "none"  # as a setting may be given where None is one of its values
OF_PRESETS = (*COMMANDS, "extends")  # what a preset may hold beside sections
OPTIONAL = [name for name, field in Experiment.model_fields.items() if not field.is_required()]


def from_tree(tables: Any, source: str, records: recorded.Records | None = None) -> Experiment:
    """The experiment in nested tables that `tree` made, in this version or an earlier one.

    A setting that is newer than the tables gets the value that reproduces the earlier version.

    Args:
        tables: the tables.
        source: the origin of the tables, for the message.
        records: what the run keeps of its plugins, see `recorded.record`.

    Raises:
        ConfigError: the tables do not hold a valid experiment.
    """
    if not isinstance(tables, dict):
        raise ConfigError(f"found {type(tables).__name__}; must be the tables of a configuration")
    origins = {leaf: source for leaf, _ in layers.leaves(tables)}
    models = {}
    for section in plugins.FOLDERS:
        table = tables.get(section)
        if isinstance(table, dict) and isinstance(table.get("name"), str):
            models[section] = recorded.model(section, table, (records or {}).get(section, {}))
    try:
        return validate("", source, tables, origins, models=models, written=True)
    except ConfigError as error:
        raise ConfigError(str(error) if source in str(error) else f"{source}: {error}") from None


def validate(
    command: str,
    preset: str,
    merged: Mapping[str, Any],
    origins: Mapping[str, str],
    *,
    models: Mapping[str, type[Strict]] | None = None,
    written: bool = False,
) -> Experiment:
    """The experiment in merged tables.

    Args:
        command: the command that needs the experiment, for the message; "" for none.
        preset: the preset or file, for the message.
        merged: the tables.
        origins: dotted path -> origin of the value.
        models: section -> class of its settings; other plugins are found by their names.
        written: whether a run wrote the tables, which then hold all settings of their version.

    Raises:
        ConfigError: a setting is not valid; the message names the first one.
    """
    unknown = {name: value for name, value in merged.items() if name not in Experiment.model_fields}
    values: dict[str, Any] = {}
    models = _section_models(command, preset, merged, origins, models or {})
    known = keys.of(models)
    problems = [_unknown_table(name, value, known, origins) for name, value in unknown.items()]
    for section, model in models.items():
        if section in OPTIONAL and section not in merged:
            continue
        try:
            table = merged.get(section, {})
            if written and isinstance(table, dict):
                table = _completed(model, table)
            values[section] = parsed(model, table)
        except pydantic.ValidationError as error:
            problems += described(section, model, error, origins, known)
        except (ValueError, RecursionError):
            problems.append(f"{section}: holds a value too large or nested too deeply")
    if problems:
        first, *remedy = problems[0].split("\n")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError("\n".join([first + more, *remedy]))
    return Experiment(**values)


def _completed(model: type[Strict], table: Mapping[str, Any]) -> dict[str, Any]:
    """A run's table and its inner tables, in which newer settings have the values of the run's version."""
    inner = {
        name: _completed(field.annotation, table[name])
        for name, field in model.model_fields.items()
        if isinstance(field.annotation, type)
        and issubclass(field.annotation, Strict)
        and isinstance(table.get(name), dict)
    }
    return {**model.before, **table, **inner}


def _unknown_table(name: str, value: Any, known: Collection[str], origins: Mapping[str, str]) -> str:
    """The message for an unknown section: a mistyped one, or a setting outside of its section."""
    if name in OF_PRESETS:
        hint = "; it stands in presets alone"
    else:
        hint = _hint(name, value, (*Experiment.model_fields, *OF_PRESETS), known)
    return unknown(name, hint, _origin(origins, name), Experiment.model_fields)


def unknown(path: str, hint: str, origin: str, siblings: Collection[str]) -> str:
    """The message for an unknown key.

    Args:
        path: of the key.
        hint: a suggestion, as `did_you_mean` returns it.
        origin: of the key.
        siblings: the known keys of its table; none if it stands in no table.
    """
    choices = f"\nmust be one of: {', '.join(siblings)}" if siblings else ""
    return f"{path}: unknown key{hint} (from {origin}){choices}"


def _hint(path: str, value: Any, siblings: Collection[str], known: Collection[str]) -> str:
    """A suggestion for an unknown path.  For a table without a close name, its first setting decides."""
    if not isinstance(value, dict):
        return keys.suggestion(path, siblings, known)
    first, _ = next(layers.leaves({path: value}))
    return did_you_mean(path.rpartition(".")[2], siblings) or keys.suggestion(first, siblings, known)


def _section_models(
    command: str,
    preset: str,
    merged: Mapping[str, Any],
    origins: Mapping[str, str],
    known: Mapping[str, type[Strict]],
) -> dict[str, type[Strict]]:
    models = dict(known)
    for section, kind in plugins.FOLDERS.items():
        if section in known or (section in OPTIONAL and section not in merged):
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
        if not isinstance(name, str) or not plugins.exists(kind, name):
            names = plugins.names(kind)
            hint = plugin_files.beside(name) or did_you_mean(name, names) if isinstance(name, str) else ""
            origin = _origin(origins, f"{section}.name")
            raise ConfigError(
                f"{section}.name: found {shown(name)} (from {origin}){hint}\n"
                f"must be one of: {', '.join(names)}"
            )
        models[section] = _loaded(section, name, _origin(origins, f"{section}.name"))
    return models | {"hierarchy": Hierarchy, "training": Training, "evaluation": Evaluation}


def _loaded(section: str, name: str, origin: str) -> type[Strict]:
    kind = plugins.FOLDERS[section]
    try:
        found: type[Strict] = plugins.load(kind, name).Config
    except ConfigError as error:
        found_name = plugin_files.quoted(name)
        text = str(error).removeprefix(f"{kind}: ").replace(found_name, f"{found_name} (from {origin})", 1)
        raise ConfigError(f"{section}.name: {text}") from error
    return found


def parsed(model: type[Section], table: Any) -> Section:
    """The settings of a class in a table of TOML.

    Raises:
        pydantic.ValidationError: the table does not hold them; `described` makes messages of it.
        ValueError, RecursionError: a value is too large, or nested too deeply.
    """
    # Through JSON: in strict mode, pydantic accepts lists as tuples only from JSON, and TOML has no tuples.
    return model.model_validate_json(json.dumps(_with_none(model, table), default=_plain))


def _plain(value: Any) -> Any:
    """A number or an array of NumPy as Python's own; the text of any other value that JSON lacks."""
    as_list = getattr(value, "tolist", None)
    return as_list() if as_list else str(value)


def _with_none(model: type[pydantic.BaseModel], table: Any) -> Any:
    """A table with None in place of "none" where a setting may be None.  TOML itself has no None."""
    if not isinstance(table, dict):
        return table
    found = dict(table)
    for name, value in table.items():
        inner = _model_of(model, name)
        if value == NONE and type(None) in _types_of(model, name):
            found[name] = None
        elif inner:
            found[name] = _with_none(inner, value)
    return found


def _types_of(model: Any, name: int | str) -> tuple[Any, ...]:
    """The type of a field and its type arguments; empty if there is no such field."""
    field = model.model_fields.get(name)
    return (field.annotation, *typing.get_args(field.annotation)) if field else ()


def _model_of(model: Any, name: int | str) -> Any:
    """The class of the table that a field may be; None for a field that is no table."""
    models = (one for one in _types_of(model, name) if isinstance(one, type))
    return next((one for one in models if issubclass(one, pydantic.BaseModel)), None)


def described(
    section: str,
    model: type[Strict],
    error: pydantic.ValidationError,
    origins: Mapping[str, str],
    known: Collection[str] = (),
) -> list[str]:
    """One message for each wrong value, even if pydantic reports one error for each possible type.

    Missing settings come last, because a misspelt key may be the cause.
    """
    of_values: dict[tuple[int | str, ...], list[Any]] = {}
    for detail in sorted(error.errors(), key=lambda one: one["type"] == "missing"):
        of_values.setdefault(_value_at(model, detail["loc"]), []).append(detail)
    return [_describe(section, model, *found, origins, known) for found in of_values.items()]


def _value_at(model: Any, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A location without the name of a type, which pydantic appends for a value of several types."""
    parent = _fields_at(model, location[:-2])
    is_type = len(location) > 1 and location[-2] in parent and not _fields_at(model, location[:-1])
    return location[:-1] if is_type and isinstance(location[-1], str) else location


def _describe(
    section: str,
    model: type[Strict],
    location: tuple[int | str, ...],
    details: Sequence[Any],
    origins: Mapping[str, str],
    known: Collection[str],
) -> str:
    """The message for one wrong value."""
    detail = details[0]
    path = ".".join([section, *map(str, location)])
    origin = _origin(origins, path)
    if detail["type"] == "extra_forbidden":
        siblings = _fields_at(model, location[:-1])
        return unknown(path, _hint(path, detail["input"], siblings, known), origin, siblings)
    if detail["type"] == "missing":
        return f"{path}: missing; must be given, as in: --set {path}=..."
    if detail["type"] == "value_error" and not location:  # of fields that do not go together; names them
        return f"{section}.{detail['msg'].removeprefix('Value error, ')}"
    wanted = " or ".join(one["msg"].removeprefix("Input should be ") for one in details)
    if detail["msg"].startswith("Input should be "):
        wanted = f"must be {wanted}".replace("an object", "a table")
    if detail["type"] in ("tuple_type", "list_type"):  # all lists among the settings are of numbers
        is_number = isinstance(detail["input"], int | float) and not isinstance(detail["input"], bool)
        wanted = wanted.replace("valid array", f"list, as in [{detail['input'] if is_number else 64}]")
    wanted = wanted.removeprefix("Value error, ")
    found = "" if detail["type"] == "json_invalid" else f"found {shown(detail['input'])} (from {origin}); "
    return f"{path}: {found}{one_line(wanted)}"


def _fields_at(model: Any, location: Sequence[int | str]) -> list[str]:
    """Names of the fields of the model at a location; none where there is no model."""
    for name in location:
        model = _model_of(model, name)
        if model is None:
            return []
    return list(model.model_fields)


def _origin(origins: Mapping[str, str], path: str) -> str:
    """The origin of a value.  An element has the origin of its list, a table that of its first value."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in origins:
            return origins[prefix]
        for leaf, origin in origins.items():
            if leaf == prefix or leaf.startswith(prefix + "."):
                return origin
    return "default"
