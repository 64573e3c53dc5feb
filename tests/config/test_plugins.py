"""Plugins: found by name, each with its settings, in this package and in others."""

import importlib.metadata
import sys
import types
from typing import Literal

import pytest

from hmrl_cli import config
from hmrl_cli.config import plugins
from hmrl_cli.errors import ConfigError, InputError
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


class Config(Strict):
    name: Literal["theirs"] = "theirs"
    reward: Literal["dense", "sparse"] = "dense"
    horizon: int = 5


@pytest.fixture
def install(monkeypatch):
    """Makes modules, as if packages offered them as families."""
    offered = []

    def add(name, module=None):
        if module is not None:
            monkeypatch.setitem(sys.modules, f"pkg_{name}", module)
        offered.append(importlib.metadata.EntryPoint(name, f"pkg_{name}", "hmrl.families"))

    def entry_points(group):
        return [point for point in offered if point.group == group]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    plugins.entry_points.cache_clear()
    yield add
    plugins.entry_points.cache_clear()


def family(**content):
    module = types.ModuleType("pkg", "A family of a package.")
    vars(module).update({"Config": Config, "make": lambda config: config.horizon, **content})
    return module


def test_a_package_offers_a_family(install):
    install("theirs", family())
    assert "theirs" in plugins.names("families") and "theirs" not in plugins.names("bonuses")
    found = config.resolve("meta-train", "point/smoke", ["family.name=theirs"]).experiment
    assert found.family == Config(horizon=20) and plugins.make("families", found.family)(found.family) == 20


def test_a_run_of_another_version_of_a_package_can_be_read(install):
    install("theirs", family())
    found = config.resolve("meta-train", "point/smoke", ["family.name=theirs"]).experiment
    assert config.from_tree(config.tree(found), "a run") == found
    older = config.tree(found) | {"family": {"name": "theirs", "speed": 3}}
    run = config.from_tree(older, "a run", {"family": {"name": "theirs", "package": "pkg 0.9"}})
    assert run.family.speed == 3
    with pytest.raises(InputError, match=r"family\.speed: Extra inputs .*; must be of pkg 0\.9"):
        plugins.make("families", run.family)


def test_a_package_cannot_replace_a_family_of_ours(install):
    ours = plugins.load("families", "point")
    install("point", family())
    assert plugins.load("families", "point") is ours


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (None, "'theirs' of pkg_theirs cannot be run: ModuleNotFoundError: No module named 'pkg_theirs'"),
        (family(make=None), "has no function make"),
        (family(Config=object), "has no class Config of the type hmrl_cli.schema.Strict"),
        (family(Config=config.resolve("meta-train", "point/smoke").experiment.family.__class__), "the name"),
    ],
)
def test_a_broken_plugin_of_a_package_is_one_line_and_harms_no_other(install, module, reason):
    install("theirs", module)
    found, problems = plugins.working("families")
    assert "point" in found and "theirs" not in found
    assert len(problems) == 1 and reason in problems[0] and "\n" not in problems[0]
    assert "theirs" not in plugins.choices("families", "meta-train")
    with pytest.raises(ConfigError, match=r"family\.name: "):
        config.resolve("meta-train", "point/smoke", ["family.name=theirs"])


def test_two_packages_with_one_name_are_refused(install):
    install("theirs", family())
    install("theirs", family())
    with pytest.raises(ConfigError, match="must be in one"):
        plugins.load("families", "theirs")
