"""The command that writes a plugin to begin with."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from hmrl_cli.cli.options import Json
from hmrl_cli.cli.output import print_json, print_line
from hmrl_cli.config import plugins
from hmrl_cli.errors import ConfigError, shown
from hmrl_cli.storage import files

TEMPLATES = Path(__file__).parent.parent / "templates"
GROUPS = {"family": "families", "skills": "algorithms", "bonus": "bonuses"}  # kind -> group of plugins


def new(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="family, skills or bonus.", autocompletion=lambda: list(GROUPS)),
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, a word of a-z, 0-9 and _.")],
    as_json: Json = False,
) -> None:
    """Write a plugin to begin with, and its test.

    The files are NAME.py and test_NAME.py. The plugin works as it is.
    family: a point that walks to a goal. skills: a learner of skills that go
    in different directions. bonus: a reward for states unlike those before.
    Nothing is overwritten; stdout is the file.
    """
    if kind not in GROUPS:
        known = ", ".join(GROUPS)
        raise ConfigError(
            f"KIND: found {shown(kind)}; must be one of: {known}; as in: hmrl new family my_family"
        )
    check_name(kind, name)
    file, test = Path(f"{name}.py"), Path(f"test_{name}.py")
    for path in (file, test):
        if os.path.lexists(path):
            raise ConfigError(f"NAME: found {shown(name)}, but {path} exists; must be another name")
    files.write_text(file, rendered(kind, name))
    files.write_text(test, rendered(kind, name, of_test=True))
    if as_json:
        print_json({"file": str(file), "test": str(test)})
    else:
        print_line(str(file))


def rendered(kind: str, name: str, *, of_test: bool = False) -> str:
    """The text of a plugin of this name, or of its test."""
    template = TEMPLATES / f"{'test_' if of_test else ''}{kind}.py.txt"
    return template.read_text(encoding="utf-8").replace(example_name(kind), name)


def example_name(kind: str) -> str:
    """The name that NAME replaces in the templates."""
    return f"my_{kind}"


def check_name(kind: str, name: str) -> None:
    """Refuse a name that could not be imported as a module of its own.

    Raises:
        ConfigError: the name is no word of a-z, 0-9 and _, or that of a module or a plugin of the kind.
    """
    if not re.fullmatch("[a-z][a-z0-9_]{0,59}", name) or keyword.iskeyword(name):
        example = example_name(kind)
        raise ConfigError(f"NAME: found {shown(name)}; must be a word of a-z, 0-9 and _, such as {example}")
    group = GROUPS[kind]
    if name in plugins.names(group):
        raise ConfigError(f"NAME: found {shown(name)}, which is one of the {group}; must be another name")
    found = importlib.util.find_spec(name)
    if found is not None and found.origin != str(Path(f"{name}.py").absolute()):
        raise ConfigError(f"NAME: found {shown(name)}, a module that exists; must be another name")
