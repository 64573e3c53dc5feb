"""Plugins that are single files of a user, outside the package.

The name of such a plugin is the path of its file, such as "./my_family.py".  The code that runs is the bytes
whose SHA-256 is recorded: the file is read once, and no bytecode is kept.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.abc
import importlib.util
import os
import sys
import traceback
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

import pydantic

from hmrl_cli import inputs
from hmrl_cli.errors import ConfigError, HmrlError, one_error, one_line, shown
from hmrl_cli.schema import COMMANDS, AlgorithmConfig, Strict

SUFFIX = ".py"
MODULES = "hmrl_plugin_"  # begins the names of modules of plugin files
MAX_PATH = 5000  # characters of a message's path; file systems take 4096
NEEDS = {"families": ("reward", "horizon"), "algorithms": (), "bonuses": ()}  # fields of a Config
FLAGS = {
    "inner_loop": ("inner_steps", "step_decay"),
    "goes_on": ("ppo",),
}  # of algorithms: fields


class PluginFile(NamedTuple):
    """The file of a plugin, as it was when its code was run."""

    path: Path  # absolute
    sha256: str
    data: bytes  # its content
    make: Any  # of the plugin


def is_file(name: object) -> bool:
    """Whether the name of a plugin is the path of a file."""
    return isinstance(name, str) and name.endswith(SUFFIX)


def label(name: str) -> str:
    """A short name of a plugin, for documents and tables.  For a file, it has no folder and no suffix."""
    return Path(name).stem if is_file(name) else name


def beside(name: str) -> str:
    """`; did you mean './x.py'?` for the unknown name of a plugin; "" where there is no such file."""
    file = located(f"{name}{SUFFIX}")
    return "" if inputs.why_no_file(path_of(file)) else f"; did you mean {quoted(file)}?"


def path_of(name: str) -> Path:
    """The path that a name is.  A "~" is the user's home, where there is one."""
    return Path(os.path.expanduser(name))


def quoted(name: str) -> str:
    """A name as messages show it: a path as a whole."""
    return shown(name, MAX_PATH)


def located(name: str, folder: Path | None = None) -> str:
    """The path of a plugin's file in the form that a configuration keeps.

    A file in the working directory, or below it, has a path relative to it.  Any other has an absolute path.

    Args:
        name: the path as a user wrote it.
        folder: the folder of the TOML file that holds it, which comes before the working directory.

    Returns:
        the path; `name` itself where no such file exists.
    """
    written = path_of(name)
    for place in ([folder / written] if folder else []) + [written]:
        if not inputs.why_no_file(place):
            path = Path(os.path.abspath(place))
            here = Path.cwd()
            return f"./{path.relative_to(here).as_posix()}" if path.is_relative_to(here) else str(path)
    return name


def from_path(kind: str, name: str, path: Path, sha256: str = "") -> ModuleType:
    """Run the file of a plugin as a module.  Its `Config` has the name, and a `plugin_file`.

    Args:
        kind: "families", "algorithms" or "bonuses".
        name: of the plugin, in a configuration.
        path: of the file.
        sha256: of the file, which is not run where it has another one; "" runs any file.

    Raises:
        ConfigError: the file is no plugin, or is broken.
    """
    try:
        data = inputs.read_bytes(path)
        digest = hashlib.sha256(data).hexdigest()
        if sha256 and digest != sha256:
            raise ValueError(f"has changed since the run began: its SHA-256 is {digest[:12]}...")
        return _run(kind, name, Path(os.path.abspath(path)), data)
    except ValueError as error:
        wanted = (
            f"must be the file of SHA-256 {sha256[:12]}..., which runs keep in plugins/"
            if sha256
            else "must be the file of a plugin"
        )
        raise ConfigError(f"{kind}: found {quoted(name)}, which {error}; {wanted}") from error


@functools.cache
def _run(kind: str, name: str, path: Path, data: bytes) -> ModuleType:
    digest = hashlib.sha256(data).hexdigest()
    loader = _Bytes(data, path)
    spec = importlib.util.spec_from_loader(f"{MODULES}{path.stem}_{digest[:12]}", loader, origin=str(path))
    if spec is None:
        raise ValueError("is no module")
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[spec.name] = module  # where pydantic looks the annotations of a Config up
    try:
        with running():
            loader.exec_module(module)
        if reason := why_no_plugin(kind, module):
            raise ValueError(reason)
    except BaseException:
        del sys.modules[spec.name]
        raise
    module.Config = _named(module.Config, name)  # type: ignore[attr-defined]
    module.Config.plugin_file = PluginFile(path, digest, data, _guarded(name, module.make))
    return module


def _guarded(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
    """The function `make` of a plugin's file; its errors are reported as errors of that file."""

    @functools.wraps(make)  # its docstring tells what a family is
    def call(*arguments: Any) -> Any:
        try:
            return make(*arguments)
        except (HmrlError, ValueError):  # an error in the settings, with its own text
            raise
        except Exception as error:
            raise ConfigError(
                f"{name}: make raised {one_error(error)}\nto see where: rerun with --debug"
            ) from error

    return call


def line_of(error: BaseException) -> str:
    """The innermost line of a plugin's file that led to an error, "x.py line 61, in step"; "" without one."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__", "")).startswith(MODULES):
            found = f"{os.path.relpath(frame.f_code.co_filename)} line {line}, in {frame.f_code.co_name}"
    return found


class _Bytes(importlib.abc.InspectLoader):
    """Runs source that was read already."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.data, self.path = data, path

    def get_source(self, fullname: str) -> str:
        """The text of the file."""
        return inputs.decoded(self.data)

    def get_code(self, fullname: str) -> Any:
        """The code of the file, which tracebacks name by its path."""
        return self.source_to_code(self.get_source(fullname), str(self.path))


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Turn any exception of a plugin's code into a ValueError.  The output of the code goes to stderr."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        where = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        text = error.msg if isinstance(error, SyntaxError) else error
        reason = f"{type(error).__name__}{where}: {one_line(text)[:200]}"
        raise ValueError(f"cannot be run: {reason}") from error


def why_no_plugin(kind: str, module: Any) -> str:
    """Why a module is no plugin of a kind, such as "has no function make"; "" for a plugin."""
    base = AlgorithmConfig if kind == "algorithms" else Strict
    model = getattr(module, "Config", None)
    if not (isinstance(model, type) and issubclass(model, base)):
        return f"has no class Config of the type hmrl_cli.schema.{base.__name__}"
    for field in ("name", *NEEDS[kind]):
        if field not in model.model_fields:
            return f"has a Config without the field {field!r}"
    for path, setting in model.settings():
        kind_of = typing.get_origin(setting.annotation) or setting.annotation
        if kind_of in (list, dict, set):
            return f"has a Config whose field {path!r} can change; must be a tuple, or a table of its own"
    for flag, fields in FLAGS.items():
        lacking = [field for field in fields if field not in model.model_fields]
        if lacking and getattr(model, flag, False):
            return f"has Config.{flag} without the field {lacking[0]!r}"
    if issubclass(model, AlgorithmConfig) and (found := getattr(model, "command", None)) not in COMMANDS:
        return f"has Config.command {shown(found)}, which is none of {', '.join(COMMANDS)}"
    return "" if callable(getattr(module, "make", None)) else "has no function make"


def _named(model: type[Strict], name: str) -> type[Strict]:
    """The class of a plugin's settings, under the name by which a configuration knows the plugin."""
    field = pydantic.Field(name, description=model.model_fields["name"].description)
    named: Any = (Literal[name], field)
    return pydantic.create_model(model.__name__, __base__=model, __module__=model.__module__, name=named)
