"""Presets: TOML files, the layers that they stack up and how these are merged.

A preset may stand on another one (`extends = "ant_goal/maesn"`), and its tables `[pretrain-skills]`
and `[meta-train]` hold what applies to that command only.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from hmrl_cli import plugins
from hmrl_cli.errors import ConfigError, did_you_mean, one_line, shown

COMMANDS = ("pretrain-skills", "meta-train")
RESULTS = "results"  # the folder beside the presets that holds none


def folder() -> Path:
    """Where the presets are: inside an installed package, next to it in a checkout."""
    package = Path(__file__).parent
    installed = package / "experiments"
    return installed if installed.is_dir() else package.parent / "experiments"


def files() -> dict[str, Path]:
    """Name -> file of every preset; results and TOML files of another kind are passed over."""
    root = folder()
    tops = (top for top in root.iterdir() if top.name != RESULTS)
    found = sorted(path for top in tops for path in (top, *top.rglob("*.toml")) if path.suffix == ".toml")
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in found if _is_preset(path)}


def _is_preset(path: Path) -> bool:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return True  # broken: list it, so that using it says what is wrong
    return not {"family", "algorithm", "extends", *COMMANDS}.isdisjoint(tables)


def path_of(preset: str, relative_to: Path | None = None) -> Path:
    """The file of a preset given by name, or by a path that ends in .toml.

    Raises:
        ConfigError: no such preset or file.
    """
    if preset.endswith(".toml"):
        path = (relative_to or Path()) / preset
        if "\0" in preset or not path.is_file():
            raise ConfigError(f"preset: found {shown(preset)}; must be an existing TOML file")
        return path
    path = folder() / f"{preset}.toml"
    if not _is_a_name(preset) or not os.path.isfile(path) or not _is_preset(path):
        raise ConfigError(
            f"preset: found {shown(preset)}{did_you_mean(preset, files())}\n"
            "must be a preset (see: hmrl list presets) or a path that ends in .toml"
        )
    return path


def _is_a_name(text: str) -> bool:
    """Whether it is written as presets are listed, and leads neither elsewhere nor to results."""
    path = PurePosixPath(text)
    leads_away = path.is_absolute() or ".." in path.parts or path.parts[:1] == (RESULTS,)
    return path.as_posix() == text and not leads_away


class Layer(NamedTuple):
    """Settings of one origin, which lie above those of the layers before."""

    origin: str  # as messages name it
    tables: dict[str, Any]


def read(path: Path, preset: str) -> dict[str, Any]:
    """The tables of a TOML file, which messages call `preset`.

    Raises:
        ConfigError: the file cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ConfigError(f"{preset}: nested too deeply; must be plain tables of values") from None
    except ValueError as error:
        raise ConfigError(f"{preset}: not valid TOML: {one_line(error)}") from None
    except OSError as error:
        raise ConfigError(f"{preset}: cannot be read: {error.strerror}") from None


def layers(
    command: str, preset: str, relative_to: Path | None = None, seen: tuple[Path, ...] = ()
) -> list[Layer]:
    """The layers of a preset for one command, those it extends first.

    Raises:
        ConfigError: no such preset, or a broken one.
    """
    path = path_of(preset, relative_to)
    if path.resolve() in seen:
        raise ConfigError(f"extends: {shown(preset)} extends itself, directly or through another preset")
    tables = read(path, preset)
    extends = tables.pop("extends", None)
    for_command = {name: tables.pop(name, {}) for name in COMMANDS}
    below: list[Layer] = []
    if extends is not None:
        if not isinstance(extends, str):
            raise ConfigError(
                f"extends: found {shown(extends)} (from preset {preset}); must be a preset name"
            )
        below = layers(command, extends, path.parent, (*seen, path.resolve()))
    for name, content in for_command.items():
        if not isinstance(content, dict):
            raise ConfigError(f"{name}: found {shown(content)} (from preset {preset}); must be a table")
    origin = f"preset {preset}"
    return [*below, Layer(origin, tables), Layer(origin, for_command[command])]


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
    if "\n" in line.strip() or line.lstrip().startswith("[") or not tables:
        raise ConfigError(
            f"--set {shown(line)}: must be one assignment, as in: --set 'algorithm.inner_lr = 0.1'"
        )
    return tables


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
        for section, kind in plugins.KINDS.items():
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
