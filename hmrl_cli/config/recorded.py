"""Records of a run's plugins, and the settings of plugins whose code is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pydantic

from hmrl_cli.config import plugin_files, plugins
from hmrl_cli.errors import ConfigError, InputError, shown
from hmrl_cli.experiment import Experiment
from hmrl_cli.schema import Strict

Records = Mapping[str, Mapping[str, str]]  # section -> what a run keeps of a plugin from elsewhere


class Absent(Strict):
    """Settings as a run wrote them, of a plugin whose code cannot be used.

    They can be read and shown.  Whatever needs the code raises an `InputError`.
    """

    model_config = pydantic.ConfigDict(extra="allow")

    name: str
    reason: ClassVar[str]  # why the code cannot be used, and what would be right

    def __getattr__(self, attribute: str) -> Any:
        """A setting.

        Raises:
            InputError: there is no such setting, so the code is needed.
        """
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        settings = self.__pydantic_extra__ or {}
        if attribute in settings:
            return settings[attribute]
        raise InputError(self.reason)

    @property
    def plugin_file(self) -> Any:  # type: ignore[override]
        """No file is available.

        Raises:
            InputError: always.
        """
        raise InputError(self.reason)


def _absent(why: str) -> type[Absent]:
    class Settings(Absent):
        reason: ClassVar[str] = why

    return Settings


def record(experiment: Experiment) -> dict[str, dict[str, str]]:
    """What a run keeps of plugins from outside the package: section -> name, and file or package."""
    found = {}
    for section, kind in plugins.FOLDERS.items():
        config = getattr(experiment, section)
        if config is not None and (file := config.plugin_file):
            found[section] = {"name": config.name, "file": str(file.path), "sha256": file.sha256}
        elif config is not None and config.name in plugins.entry_points(kind):
            point = plugins.entry_points(kind)[config.name][0]
            found[section] = {"name": config.name, "package": plugins.package_of(point)}
    return found


def files(experiment: Experiment) -> dict[str, bytes]:
    """Name and content of the plugins' files of an experiment, such as "family-walk.py"."""
    sections = {section: getattr(experiment, section) for section in plugins.FOLDERS}
    used = {section: config.plugin_file for section, config in sections.items() if config is not None}
    return {f"{section}-{file.path.name}": file.data for section, file in used.items() if file}


def identity(config: Any) -> str:
    """The identity of a plugin: the SHA-256 of its file, or its name.

    Raises:
        InputError: the code of the plugin is not here.
    """
    return config.plugin_file.sha256 if config.plugin_file else config.name


def difference(now: Records, before: Records) -> str | None:
    """A message on the first plugin file that has changed; None if none has.

    Args:
        now: what `record` returns today.
        before: what a run keeps.
    """
    for section, ours in now.items():
        theirs = before.get(section, {})
        digests = [one.get("sha256", "") for one in (ours, theirs)]
        if all(digests) and digests[0] != digests[1] and ours["name"] == theirs.get("name"):
            return (
                f"{section}.name: {ours['name']} has changed since the run began: found SHA-256 "
                f"{digests[0][:12]}..., must be {digests[1][:12]}..."
            )
    return None


def model(section: str, table: Mapping[str, Any], kept: Mapping[str, str]) -> type[Strict]:
    """The class of the settings of a plugin that a run names; an `Absent` where its code cannot be used.

    Args:
        section: "family", "algorithm" or "bonus".
        table: the settings of the plugin, with its name.
        kept: what the run keeps of the plugin.  A file is run only if it is the one that the run began with.
    """
    name, kind = table["name"], plugins.FOLDERS[section]
    try:
        if plugins.is_file(name):
            return _model_of_file(kind, name, kept)
        if name not in plugins.names(kind):
            whence = kept.get("package", "a package or of another version of hmrl")
            raise ConfigError(f"found {shown(name)}, which is not installed; must be a plugin of {whence}")
        found: type[Strict] = plugins.load(kind, name).Config
        if name in plugins.entry_points(kind):
            found.model_validate_json(json.dumps(table, default=str))
        return found
    except pydantic.ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        return _absent(f"{section}.{where}: {error.errors()[0]['msg']}; must be of {kept.get('package')}")
    except ConfigError as error:
        return _absent(f"{section}.name: {str(error).removeprefix(f'{kind}: ')}")


def _model_of_file(kind: str, name: str, kept: Mapping[str, str]) -> type[Strict]:
    digest = kept.get("sha256")
    if not digest:
        raise ConfigError(
            f"found {plugin_files.quoted(name)}, but no SHA-256 of it in the run; must be in provenance.json"
        )
    places = (plugin_files.path_of(name), Path(kept.get("file", name)))
    path = next((place for place in places if place.is_file()), places[0])
    found: type[Strict] = plugin_files.from_path(kind, name, path, digest).Config
    return found
