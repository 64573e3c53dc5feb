"""Task families, algorithms and exploration bonuses: each is one module in the folder of its kind.

The folder of a kind may have subfolders.  The name of a plugin is the name of its module, without folders.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
from collections.abc import Iterable
from types import ModuleType

from hmrl_cli.errors import ConfigError, did_you_mean, shown

FOLDERS = {"family": "families", "algorithm": "algorithms", "bonus": "bonuses"}  # of each section


@functools.cache
def names(kind: str) -> tuple[str, ...]:
    """The sorted names of the plugins of a kind: "families", "algorithms" or "bonuses"."""
    return tuple(sorted(_modules(f"hmrl_cli.{kind}")))


def load(kind: str, name: str) -> ModuleType:
    """Import the module of a plugin.

    Args:
        kind: "families", "algorithms" or "bonuses".
        name: of the plugin.

    Raises:
        ConfigError: the kind has no plugin of this name.
    """
    known = names(kind)
    if name not in known:
        raise ConfigError(
            f"{kind}: found {shown(name)}{suggestion(name, known)}\nmust be one of: {', '.join(known)}"
        )
    return importlib.import_module(_modules(f"hmrl_cli.{kind}")[name])


def suggestion(word: str, known: Iterable[str]) -> str:
    """Which plugin an unknown word is, and some of `known` that are named after it; else `did_you_mean`."""
    for section, kind in FOLDERS.items():
        if word in names(kind):
            article = "an" if section[0] in "aeiou" else "a"
            return f", {article} {section} (see: hmrl list {kind} {word}){_examples(word, known)}"
    return did_you_mean(word, known)


def _examples(plugin: str, known: Iterable[str], number: int = 3) -> str:
    named = sorted(one for one in known if plugin in re.split("[/@]", one))
    more = [f"{len(named) - number} more"] if len(named) > number else []
    return f" with presets {', '.join([*named[:number], *more])}" if named else ""


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


def choices(kind: str, command: str) -> list[str]:
    """Names of the plugins of a kind that a command can use.  Families and bonuses go with every command."""
    return [name for name in names(kind) if command in ("", command_of(kind, name) or command)]


def command_of(kind: str, name: str) -> str | None:
    """The command that trains an algorithm; None for other plugins."""
    return load(kind, name).Config.command if kind == "algorithms" else None


def takes_bonus(algorithm: str) -> bool:
    """Whether an algorithm can learn from an exploration bonus."""
    takes: bool = load("algorithms", algorithm).Config.takes_bonus
    return takes
