"""Layers of settings, each of one origin: those of a `--set` line, of a flag, and how they are merged."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hmrl_cli import reading
from hmrl_cli.config import plugins
from hmrl_cli.errors import ConfigError, one_line, shown


class Layer(NamedTuple):
    """Settings of one origin, which lie above those of the layers before."""

    origin: str  # as messages name it
    tables: dict[str, Any]


_BARE_WORD = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=\s*([^\s\"'#\[\]{}=,][^\"'#\[\]{}=,]*)")


def parse_set(line: str) -> dict[str, Any]:
    """The tables that one `--set` line gives; a bare word is a string.

    Raises:
        ConfigError: the line is not an assignment.
    """
    try:
        tables = tomllib.loads(line)
    except (ValueError, RecursionError) as error:
        word = _BARE_WORD.fullmatch(line)
        if not word or "\n" in line or not _is_word(word[2]):
            raise ConfigError(
                f"--set {shown(line)}: {one_line(error)}\n"
                "must be one line of TOML, as in: --set 'algorithm.inner_lr = 0.1'"
            ) from None
        tables = nested(word[1].split("."), word[2].strip())
    check_depth(tables, f"--set {shown(line)}")
    if "\n" in line.strip() or line.lstrip().startswith("[") or not tables:
        raise ConfigError(
            f"--set {shown(line)}: must be one assignment, as in: --set 'algorithm.inner_lr = 0.1'"
        )
    return tables


def check_depth(tables: Mapping[str, Any], source: str) -> None:
    """Refuse tables that no recursion should go down, as dotted keys make them.

    Raises:
        ConfigError: names the source.
    """
    if reading.is_deep(tables):
        raise ConfigError(f"{source}: nested too deeply; must be plain tables of values")


def _is_word(text: str) -> bool:
    """Whether an unquoted value reads as a word; `1.2.3` or `0x` is a mistyped number instead."""
    return bool(re.match(r"[A-Za-z_/.~]", text))


def nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    """The tables that hold `value` at `path`, and nothing else."""
    for name in reversed(path):
        value = {name: value}
    return value


def leaves(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of everything that is no table, empty tables excepted."""
    for name, value in tables.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def merge(stack: Sequence[Layer]) -> tuple[dict[str, Any], dict[str, str]]:
    """Merge from the bottom up; also the origin of every leaf."""
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in stack:
        for section, kind in plugins.FOLDERS.items():
            merged = _drop_what_only_the_old_plugin_has(merged, layer.tables, section, kind)
        merged = _merge(merged, layer.tables)
        origins |= {path: layer.origin for path, _ in leaves(layer.tables)}
    return merged, origins


def _drop_what_only_the_old_plugin_has(
    below: dict[str, Any], above: Mapping[str, Any], section: str, kind: str
) -> dict[str, Any]:
    """Let a layer put another algorithm (or family) in place of the one below it.

    Settings that both know stay; those that only the replaced one knows would be unknown keys.
    """
    old, new = below.get(section), above.get(section)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return below
    names = [str(table.get("name")) for table in (old, new)]
    if names[0] == names[1] or not set(names) <= set(plugins.names(kind)):
        return below
    old_fields, new_fields = (plugins.load(kind, name).Config.model_fields for name in names)
    kept = {key: value for key, value in old.items() if key in new_fields or key not in old_fields}
    return below | {section: kept}
