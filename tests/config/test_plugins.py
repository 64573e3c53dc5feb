"""Plugins: found by name, each with its settings."""

import pytest

from hmrl_cli.config import plugins
from hmrl_cli.errors import ConfigError
from hmrl_cli.schema import COMMANDS, Strict


def test_unknown_plugin():
    with pytest.raises(ConfigError, match="found 'nothing'"):
        plugins.load("families", "nothing")


def test_every_real_plugin_keeps_the_contract():
    for kind in plugins.FOLDERS.values():
        for name in plugins.names(kind):
            model = plugins.load(kind, name).Config
            assert issubclass(model, Strict)
            assert model.model_fields["name"].default == name
            if kind == "algorithms":
                assert model.command in COMMANDS
