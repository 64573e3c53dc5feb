"""Presets: TOML files, their places, and their layers of settings.

A preset may extend another one, as in `extends = "ant_goal/maesn"`.  Its tables `[pretrain-skills]` and
`[meta-train]` hold settings for that command only.  Its table `[over]` names presets that replace it over the
skills of an algorithm, as in `vgcrl = "ant_goal/skill_prior"`.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hmrl_cli import inputs, reading
from hmrl_cli.config import plugin_files, plugins
from hmrl_cli.config.layers import Layer, check_depth, merge
from hmrl_cli.errors import ConfigError, one_line, shown, typed
from hmrl_cli.schema import COMMANDS

PROTOCOLS = "protocols"  # the folder, beside the presets, of ways to adapt


def folder() -> Path:
    """The folder of the presets: in an installed package, or `experiments/presets` in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "presets"
    return installed if installed.is_dir() else package.parent / "experiments" / "presets"


def files() -> dict[str, Path]:
    """Name -> file of every preset.  TOML files without sections of a configuration are left out."""
    return {name: path for name, path in _candidates().items() if _is_preset(path)}


def serving(command: str) -> list[str]:
    """The presets whose algorithm a command trains.  Presets without a known algorithm are left out."""
    return [name for name in files() if _command_of(name, command) == command]


def _command_of(preset: str, command: str) -> str:
    """The command that trains the algorithm of a preset, read for `command`; "" if it has none."""
    try:
        table = merge(stack(command, preset))[0].get("algorithm", {})
        name = table.get("name") if isinstance(table, dict) else None
        return str(plugins.load("algorithms", name).Config.command) if isinstance(name, str) else ""
    except ConfigError:
        return ""


def _candidates() -> dict[str, Path]:
    """Name -> file of every TOML file in the folder of the presets, except protocols.  None is read."""
    root = folder()
    found = {}
    for path in sorted(root.rglob("*.toml")):
        name = path.relative_to(root).with_suffix("").as_posix()
        if path.is_file() and not name.endswith(".toml") and not name.startswith(f"{PROTOCOLS}/"):
            found[name] = path
    return found


def _is_preset(path: Path) -> bool:
    try:
        tables = tomllib.loads(inputs.read_text(path))
    except (ValueError, RecursionError):
        return True  # broken: list it, so that using it says what is wrong
    return not {"family", "algorithm", "extends", *COMMANDS}.isdisjoint(tables)


def path_of(preset: str, relative_to: Path | None = None, command: str = "") -> Path:
    """The file of a preset.

    Args:
        preset: a name, or a path that ends in .toml.
        relative_to: the folder that such a path is relative to; None is the working directory.
        command: that a user wants to run with it, for the message; "" for any.

    Raises:
        ConfigError: there is no such preset or file.
    """
    if preset.endswith(".toml"):
        path = (relative_to or Path()) / preset
        if reason := inputs.why_no_file(path):
            raise ConfigError(f"preset: found {shown(preset)}, which {reason}; must be an existing TOML file")
        return path
    named = _candidates().get(preset)  # the others need not be read
    if named is None or not _is_preset(named):
        raise ConfigError(_unknown(preset, command))
    return named


def _unknown(preset: str, command: str) -> str:
    """The message for a name that is no preset.  It may be the file of a plugin."""
    if command and plugins.is_file(preset):
        ways = (("family", "a family", "on this family"), ("algorithm", "an algorithm", "it"))
        for section, what, to in ways:
            with contextlib.suppress(ConfigError):
                trains = getattr(plugins.load(plugins.FOLDERS[section], preset).Config, "command", command)
                return (
                    f"preset: found {plugin_files.quoted(preset)}, {what}\n"
                    f"to train {to}: hmrl {trains} point/smoke --set {section}.name={typed(preset)}"
                )
    hint = _of_run(preset) or plugins.suggestion(preset, serving(command) if command else files())
    return (
        f"preset: found {shown(preset)}{hint}\n"
        "must be a preset (see: hmrl list presets) or a path that ends in .toml"
    )


def _of_run(directory: str) -> str:
    """The suggestion to name the config.toml of a run directory; "" if this is no run directory."""
    file = Path(directory) / "config.toml"
    return (
        "" if not directory or inputs.why_no_file(file) else f", a run directory; did you mean {str(file)!r}?"
    )


def read(path: Path, source: str) -> dict[str, Any]:
    """The tables of a TOML file, which messages call `source`.

    Raises:
        ConfigError: the file cannot be read, or is no TOML.
    """
    return parse(read_bytes(path, source), source)


def read_bytes(path: Path, source: str) -> bytes:
    """The bytes of a TOML file, which messages call `source`.

    Raises:
        ConfigError: the file cannot be read.
    """
    if reason := inputs.why_no_file(path):
        raise ConfigError(f"{source}: {reason}; must be an existing TOML file")
    try:
        return inputs.read_bytes(path)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None


def replaced(preset: str) -> dict[str, str]:
    """The presets that replace this one over skills: algorithm that learned the skills -> preset."""
    found = read(path_of(preset), f"preset {preset}").get("over", {})
    return {str(learner): str(other) for learner, other in dict(found).items()}


def is_meant_for(preset: str, command: str) -> bool:
    """Whether a preset has a table of its own for a command."""
    return command in read(path_of(preset), preset)


def parse(data: bytes, source: str) -> dict[str, Any]:
    """The tables that the bytes of a TOML file hold; messages call the file `source`.

    Raises:
        ConfigError: the bytes are no TOML in UTF-8.
    """
    try:
        text = inputs.decoded(data)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None
    if not text.strip():
        raise ConfigError(f"{source}: is empty; must be tables of TOML")
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{source}: nested too deeply; must be plain tables of values") from None
    except ValueError as error:
        raise ConfigError(f"{source}: not valid TOML: {one_line(error)}") from None
    check_depth(tables, source)
    return tables


def stack(command: str, preset: str, learned_by: Callable[[str], str] | None = None) -> list[Layer]:
    """The layers of a preset for one command, those of the presets that it extends first.

    Args:
        command: "pretrain-skills" or "meta-train".
        preset: a name, or a path that ends in .toml.
        learned_by: path of the skills that the preset itself names, or "" -> the algorithm that learned the
            skills to act through, "" for none.  None: there are no skills.

    Raises:
        ConfigError: there is no such preset, or it is not valid.
    """
    return _Stack(command, learned_by or (lambda _: "")).of(preset, path_of(preset, command=command), (), "")


class _Stack(NamedTuple):
    """How layers are stacked for one command."""

    command: str
    learned_by: Callable[[str], str]

    def of(self, preset: str, path: Path, above: tuple[Path, ...], skills: str) -> list[Layer]:
        """The layers of a preset.  The presets `above` stand on it, and `skills` are those that they name."""
        if path.resolve() in above:
            raise ConfigError(f"extends: {shown(preset)} extends itself, directly or through another preset")
        if len(above) > reading.MAX_DEPTH:
            raise ConfigError(f"extends: {shown(preset)} stands on more than {reading.MAX_DEPTH} presets")
        tables, origin = read(path, preset), f"preset {preset}"
        extends, over = tables.pop("extends", None), _table(tables, "over", origin)
        for learner, other in over.items():
            if not plugins.is_file(learner) and learner not in plugins.names("algorithms"):
                known = plugins.suggestion(learner, plugins.names("algorithms"))
                raise ConfigError(
                    f"over: found {shown(learner)}{known} (from {origin}); must be an algorithm"
                )
            _place_of("over", other, path, origin)
        for_command = {name: _table(tables, name, origin) for name in COMMANDS}[self.command]
        skills = skills or skills_of(for_command) or skills_of(tables)
        if over and (other := over.get(self.learned_by(skills))) is not None:
            return self._below("over", other, path, origin, (*above, path.resolve()), skills)
        below: list[Layer] = []
        if extends is not None:
            below = self._below("extends", extends, path, origin, (*above, path.resolve()), skills)
        own = (plugins.located(one, path.parent) for one in (tables, for_command))
        return [*below, *(Layer(origin, one) for one in own)]

    def _below(
        self, key: str, preset: Any, path: Path, origin: str, above: tuple[Path, ...], skills: str
    ) -> list[Layer]:
        """The layers of the preset that another one names."""
        return self.of(preset, _place_of(key, preset, path, origin), above, skills)


def _place_of(key: str, preset: Any, path: Path, origin: str) -> Path:
    """The file of a preset that the preset in `path` names; raises ConfigError if there is none."""
    if not isinstance(preset, str):
        raise ConfigError(f"{key}: found {shown(preset)} (from {origin}); must be a preset name")
    try:
        return path_of(preset, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{key} (from {origin}): {error}") from None


def _table(tables: dict[str, Any], name: str, origin: str) -> dict[str, Any]:
    """Take a table, which may be missing, out of others."""
    found = tables.pop(name, {})
    if not isinstance(found, dict):
        raise ConfigError(f"{name}: found {shown(found)} (from {origin}); must be a table")
    return found


def skills_of(tables: dict[str, Any]) -> str:
    """The skills that tables name, or ""; values of a wrong type are found later."""
    hierarchy = tables.get("hierarchy")
    skills = hierarchy.get("skills") if isinstance(hierarchy, dict) else None
    return skills if isinstance(skills, str) else ""
