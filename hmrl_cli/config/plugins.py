"""Task families, algorithms and exploration bonuses, found by name.

A plugin is one module with a `Config` and a `make`, in one of three places:

- the folder of its kind in this package, or a subfolder; its name is that of the module, without folders;
- an installed package, by an entry point of the group "hmrl.families", "hmrl.algorithms" or "hmrl.bonuses";
- a file of the user; its name is a path such as "./my_family.py".
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

from hmrl_cli.config import plugin_files
from hmrl_cli.config.plugin_files import is_file
from hmrl_cli.errors import ConfigError, closest, did_you_mean, one_line, shown

FOLDERS = {"family": "families", "algorithm": "algorithms", "bonus": "bonuses"}  # of each section


def names(kind: str) -> tuple[str, ...]:
    """The sorted names of the plugins of a kind: "families", "algorithms" or "bonuses".  None is a file."""
    return tuple(sorted({*_modules(f"hmrl_cli.{kind}"), *entry_points(kind)}))


def exists(kind: str, name: object) -> bool:
    """Whether a name may be that of a plugin: it is known, or the path of a file."""
    return is_file(name) or name in names(kind)


def load(kind: str, name: str) -> ModuleType:
    """Import the module of a plugin.

    Args:
        kind: "families", "algorithms" or "bonuses".
        name: of the plugin.

    Raises:
        ConfigError: the kind has no plugin of this name, or the plugin is broken.
    """
    if is_file(name):
        return plugin_files.from_path(kind, name, plugin_files.path_of(name))
    known = names(kind)
    if name not in known:
        hint = plugin_files.beside(name) or suggestion(name, known)
        raise ConfigError(f"{kind}: found {shown(name)}{hint}\nmust be one of: {', '.join(known)}")
    if name in _modules(f"hmrl_cli.{kind}"):
        return importlib.import_module(_modules(f"hmrl_cli.{kind}")[name])
    return _from_package(kind, *entry_points(kind)[name])


def _from_package(kind: str, point: EntryPoint, *others: EntryPoint) -> ModuleType:
    try:
        if others:
            raise ValueError(f"is in {' and '.join(map(package_of, (point, *others)))}; must be in one")
        with plugin_files.running():
            module: ModuleType = point.load()
        if reason := plugin_files.why_no_plugin(kind, module):
            raise ValueError(reason)
        if (found := module.Config.model_fields["name"].default) != point.name:
            raise ValueError(f"has a Config with the name {shown(found)}")
    except ValueError as error:
        raise ConfigError(f"{kind}: {shown(point.name)} of {package_of(point)} {error}") from error
    return module


def package_of(point: EntryPoint) -> str:
    """Name and version of the package that provides an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def working(kind: str) -> tuple[dict[str, ModuleType], list[str]]:
    """The plugins of a kind that can be loaded, by name; and a line on each of those that cannot."""
    found, problems = {}, []
    for name in names(kind):
        try:
            found[name] = load(kind, name)
        except ConfigError as error:
            problems.append(f"{error}; left out")
    return found, problems


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint on an unknown word: the plugin that it names, with some of `known`, or else a similar name.

    In a word with a "/", the part before it counts as right if names in `known` begin with it.
    """
    known = list(known)
    for section, kind in FOLDERS.items():
        if word in names(kind):
            article = "an" if section[0] in "aeiou" else "a"
            return f", {article} {section} (see: hmrl list {kind} {word}){_examples(word, known)}"
    place, _, name = word.partition("/")
    beside = {one.removeprefix(f"{place}/"): one for one in known if one.startswith(f"{place}/")}
    if beside:
        close = closest(name, beside)
        return f"; did you mean {beside[close]!r}?" if close else f"; {place} has {_some(beside.values())}"
    return did_you_mean(word, known)


def _examples(plugin: str, known: Iterable[str]) -> str:
    named = [one for one in known if plugin in re.split("[/@]", one)]
    return f" with presets {_some(named)}" if named else ""


def _some(found: Iterable[str], number: int = 3) -> str:
    """The first of some names, and how many more there are."""
    first, more = sorted(found)[:number], sorted(found)[number:]
    return ", ".join([*first, *([f"{len(more)} more"] if more else [])])


@functools.cache
def _modules(package: str) -> dict[str, str]:
    """Name of the plugin -> dotted name of its module, in a package and its subpackages."""
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if module.ispkg:
            found |= _modules(f"{package}.{module.name}")
        elif not module.name.startswith("_"):
            found[module.name] = f"{package}.{module.name}"
    return found


@functools.cache
def entry_points(kind: str) -> dict[str, tuple[EntryPoint, ...]]:
    """Name -> entry points of the plugins that installed packages offer.  None of them is loaded.

    Names of this package take precedence, so that an installed package cannot change a run.
    """
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in importlib.metadata.entry_points(group=f"hmrl.{kind}"):
        if point.name not in _modules(f"hmrl_cli.{kind}") and not is_file(point.name):
            found[point.name] = (*found.get(point.name, ()), point)
    return found


def is_foreign(kind: str, config: Any) -> bool:
    """Whether settings are those of a plugin from outside this package: a file, or an installed one."""
    return bool(config.plugin_file) or config.name in entry_points(kind)


def choices(kind: str, command: str) -> list[str]:
    """Names of the plugins of a kind that a command can use.  Families and bonuses go with every command."""
    return [
        name
        for name, module in working(kind)[0].items()
        if kind != "algorithms" or command in ("", module.Config.command)
    ]


def make(kind: str, config: Any) -> Any:
    """The function `make` of the plugin that the settings belong to.

    Args:
        kind: "families", "algorithms" or "bonuses".
        config: settings of a plugin.

    Raises:
        InputError: the code of the plugin is not here.
    """
    return config.plugin_file.make if config.plugin_file else load(kind, config.name).make


def meaning(make: Any) -> str:
    """The docstring of a family's `make`, one line for each paragraph.

    It describes observation, action, task and reward.
    """
    text = (inspect.getdoc(make) if inspect.isfunction(make) else None) or ""
    text = re.split(r"\n(?:Args|Returns|Raises):\n", text)[0]
    return "\n".join(map(one_line, text.removeprefix("Build the family: ").strip().split("\n\n")))


def located(tables: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """Tables of settings in which plugin files have the paths that a configuration keeps.

    Args:
        tables: settings as a user wrote them.
        folder: the folder of the TOML file that holds them; None for the command line.
    """
    found = dict(tables)
    for section in FOLDERS:
        table = tables.get(section)
        if isinstance(table, dict) and is_file(table.get("name")):
            found[section] = table | {"name": plugin_files.located(table["name"], folder)}
    return found
