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
IN_TEMPLATES = "my_family"  # the name that NAME replaces


def new(
    kind: Annotated[
        str, typer.Argument(metavar="family", help="What to write.", autocompletion=lambda: ["family"])
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, a word of a-z, 0-9 and _.")],
    as_json: Json = False,
) -> None:
    """Write a family to begin with, and its test.

    The files are NAME.py and test_NAME.py. The family works as it is: a point
    that walks to a goal. Nothing is overwritten; stdout is the file.
    """
    if kind != "family":
        raise ConfigError(f"new: found {shown(kind)}; must be family, as in: hmrl new family my_family")
    check_name(name)
    file, test = Path(f"{name}.py"), Path(f"test_{name}.py")
    for path in (file, test):
        if os.path.lexists(path):
            raise ConfigError(f"NAME: found {shown(name)}, but {path} exists; must be another name")
    files.write_text(file, rendered("family", name))
    files.write_text(test, rendered("test_family", name))
    if as_json:
        print_json({"file": str(file), "test": str(test)})
    else:
        print_line(str(file))


def rendered(template: str, name: str) -> str:
    """The text of a template for a plugin of this name."""
    return (TEMPLATES / f"{template}.py.txt").read_text(encoding="utf-8").replace(IN_TEMPLATES, name)


def check_name(name: str) -> None:
    """Refuse a name that could not be imported as a module of its own.

    Raises:
        ConfigError: the name is no word of a-z, 0-9 and _, or that of a module or a family.
    """
    if not re.fullmatch("[a-z][a-z0-9_]{0,59}", name) or keyword.iskeyword(name):
        raise ConfigError(f"NAME: found {shown(name)}; must be a word of a-z, 0-9 and _, such as my_family")
    if name in plugins.names("families"):
        raise ConfigError(f"NAME: found {shown(name)}, a family that exists; must be another name")
    found = importlib.util.find_spec(name)
    if found is not None and found.origin != str(Path(f"{name}.py").absolute()):
        raise ConfigError(f"NAME: found {shown(name)}, a module that exists; must be another name")
