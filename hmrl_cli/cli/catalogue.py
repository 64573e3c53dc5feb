"""What there is to choose from: plugins, presets, protocols, pretrained skills; and settings with types."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hmrl_cli import config
from hmrl_cli.config import plugins, presets, protocols
from hmrl_cli.errors import ConfigError, one_line
from hmrl_cli.schema import Strict
from hmrl_cli.storage import pretrained


def purpose(kind: str, name: str) -> str:
    """What a plugin is for, in a line."""
    return _first_line(plugins.load(kind, name))


def _first_line(module: types.ModuleType) -> str:
    return one_line((module.__doc__ or "").strip().partition("\n")[0])


def _plugins(kind: str) -> list[dict[str, str]]:
    found = plugins.working(kind)[0]
    return [{"name": name, "description": _first_line(module)} for name, module in found.items()]


def _algorithms() -> list[dict[str, str]]:
    found = plugins.working("algorithms")[0]
    return [
        {"name": name, "command": module.Config.command, "description": _first_line(module)}
        for name, module in found.items()
    ]


def presets_of(family: str = "") -> list[dict[str, str]]:
    """The presets of a family, or all of them."""
    rows = []
    for name, path in presets.files().items():
        try:
            served = config.serving(name)
            commands = ", ".join(resolved.command for resolved in served)
        except ConfigError:
            served, commands = [], "none: it has an error, see hmrl show"
        if family and family not in (resolved.experiment.family.name for resolved in served):
            continue
        rows.append({"name": name, "command": commands, "description": first_sentence(path)})
    return rows


def _protocols() -> list[dict[str, str]]:
    return [{"name": name, "description": first_sentence(path)} for name, path in protocols.files().items()]


def _pretrained() -> list[dict[str, str]]:
    rows = []
    for name in pretrained.names():
        card = pretrained.card(name)
        rows.append({"name": name, "kind": card["kind"], "description": one_line(card["description"])})
    return rows


def first_sentence(preset: Path) -> str:
    """First sentence of the comment at the top of a preset or a protocol."""
    lines = preset.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    comment = one_line(" ".join(line.removeprefix("#") for line in lines[:end]))
    return re.split(r"(?<=\.) +(?=[A-Z])", comment)[0]  # not at an "et al. 2017"


LISTINGS: dict[str, Callable[[], list[dict[str, str]]]] = {
    "families": partial(_plugins, "families"),
    "algorithms": _algorithms,
    "bonuses": partial(_plugins, "bonuses"),
    "presets": presets_of,
    "protocols": _protocols,
    "pretrained": _pretrained,
}


class FieldInfo(NamedTuple):
    """One field of a configuration class, for listings."""

    name: str
    type: str
    default: Any  # None when there is none: the field must be given
    description: str


def fields(model: type[Strict]) -> list[FieldInfo]:
    """Fields of a configuration class, nested ones by dotted path, without the `name`."""
    rows = []
    for name, field in model.settings():
        if name == "name":
            continue
        default = field.get_default(call_default_factory=True)
        default = None if field.is_required() else default
        text = _type_text(field.annotation, field.metadata)
        rows.append(FieldInfo(name, text, default, one_line(field.description or "")))
    return rows


def _type_text(annotation: Any, bounds: Sequence[Any] = ()) -> str:
    """The type as a reader wants it: `int > 0`, `sparse | dense`, `list of int > 0`, `float >= 0 | auto`."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple:
        return f"list of {_type_text(parts[0])}"
    if origin is typing.Literal:
        return " | ".join(map(str, parts))
    if origin is typing.Annotated:
        limits = [bound for field in parts[1:] for bound in getattr(field, "metadata", ())]
        return _type_text(parts[0], limits)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type_text(part, bounds) for part in parts)
    if annotation is type(None):
        return "none"
    name = getattr(annotation, "__name__", str(annotation))
    return " ".join([name, _bounds_text(bounds)]).strip()


def _bounds_text(metadata: Sequence[Any]) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    return ", ".join(
        f"{sign} {value}"
        for limit in metadata
        for name, sign in signs.items()
        if (value := getattr(limit, name, None)) is not None
    )
