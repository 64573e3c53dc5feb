"""Layers of settings, each of one origin, such as a preset or a `--set` line, and their merging."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hmrl_cli import reading
from hmrl_cli.config import plugins
from hmrl_cli.errors import ConfigError, one_line, shown


class Layer(NamedTuple):
    """Settings of one origin.  A later layer overrides an earlier one."""

    origin: str  # as messages name it
    tables: dict[str, Any]


_BARE_WORD = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=\s*([^\s\"'#\[\]{}=,][^\"'#\[\]{}=,]*)")


def parse_set(line: str) -> dict[str, Any]:
    """The tables in the text of one `--set`, such as `algorithm.inner_lr = 0.1`.

    A value without quotes that is no TOML, such as `family.name=point`, is a string.

    Raises:
        ConfigError: the text is not one assignment.
    """
    if not isinstance(line, str):
        raise ConfigError(f"--set: found {shown(line)}; must be a text, as in: 'algorithm.inner_lr = 0.1'")
    try:
        tables = tomllib.loads(line)
    except (ValueError, RecursionError) as error:
        word = _BARE_WORD.fullmatch(line)
        if not word or "\n" in line or not _is_word(word[2]):
            raise ConfigError(
                f"--set {shown(line)}: {one_line(error)}\n"
                "must be one line of TOML, as in: --set 'algorithm.inner_lr = 0.1', or of a list: [64, 64]"
            ) from None
        tables = nested(word[1].split("."), word[2].strip())
    check_depth(tables, f"--set {shown(line)}")
    if "\n" in line.strip() or line.lstrip().startswith("[") or not tables:
        raise ConfigError(
            f"--set {shown(line)}: must be one assignment, as in: --set 'algorithm.inner_lr = 0.1'"
        )
    return tables


def check_depth(tables: Mapping[str, Any], source: str) -> None:
    """Refuse tables that are nested more than `reading.MAX_DEPTH` deep, as dotted keys can make them.

    Raises:
        ConfigError: the tables are too deep; the message names the source.
    """
    if reading.is_deep(tables):
        raise ConfigError(f"{source}: nested too deeply; must be plain tables of values")


def _is_word(text: str) -> bool:
    """Whether an unquoted value begins like a word.  `1.2.3` or `0x` is a mistyped number."""
    return bool(re.match(r"[A-Za-z_/.~]", text))


def nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    """Tables with one value, at a path of keys."""
    for name in reversed(path):
        value = {name: value}
    return value


def leaves(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of everything in nested tables that is no table, and of empty tables."""
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
    """Merge layers, the lowest first.

    Returns:
        the merged tables, and dotted path -> origin of every value that a layer sets.
    """
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
    """The tables below a layer that replaces a plugin, without the settings that the new plugin lacks.

    Settings that both plugins have keep their values.
    """
    old, new = below.get(section), above.get(section)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return below
    names = [str(table.get("name")) for table in (old, new)]
    if names[0] == names[1] or not all(plugins.exists(kind, name) for name in names):
        return below
    try:
        old_fields, new_fields = (plugins.load(kind, name).Config.model_fields for name in names)
    except ConfigError:  # a broken plugin matters only if it is the new one, which `validate` loads
        return below
    kept = {key: value for key, value in old.items() if key in new_fields or key not in old_fields}
    return below | {section: kept}
