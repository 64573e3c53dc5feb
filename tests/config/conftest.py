"""Toy plugins in place of the package's."""

import pytest

from hmrl_cli.config import plugins, presets
from tests.config.room import LIFTED, PLUGINS, ROOM


@pytest.fixture
def add_preset(tmp_path, monkeypatch):
    """Toy plugins, two presets over them and a file that is none; what it gives adds a preset."""

    def write(name, text):
        path = tmp_path / "presets" / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    monkeypatch.setattr(presets, "folder", lambda: tmp_path / "presets")
    monkeypatch.setattr(plugins, "names", lambda kind: tuple(sorted(PLUGINS[kind])))
    monkeypatch.setattr(plugins, "load", lambda kind, name: PLUGINS[kind][name])
    write("room/flat", ROOM)
    write("room/lifted", LIFTED)
    write("slurm", "[cluster]\npartition = 'a'\n")
    return write
