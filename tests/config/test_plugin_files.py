"""Plugins that are files: their paths, their code and what is wrong with them."""

import json
import sys

import pytest

from hmrl_cli import config
from hmrl_cli.cli.new import rendered
from hmrl_cli.config import plugin_files, plugins
from hmrl_cli.errors import ConfigError

TOML = """
extends = "point/smoke"
[family]
name = "./walk.py"
distance = 0.5
"""


@pytest.fixture
def walk(tmp_path, monkeypatch):
    """The file of a family in the working directory."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "walk.py"
    file.write_text(rendered("family", "walk"))
    return file


@pytest.mark.parametrize(
    ("text", "found", "to"),
    [
        (
            rendered("family", "mine"),
            "a family",
            "to train on this family: hmrl meta-train point/smoke --set family.name=./mine.py",
        ),
        (
            """
from typing import ClassVar, Literal
from hmrl_cli.schema import AlgorithmConfig
class Config(AlgorithmConfig):
    command: ClassVar[str] = "pretrain-skills"
    name: Literal["mine"] = "mine"
def make(config): ...
""",
            "an algorithm",
            "to train it: hmrl pretrain-skills point/smoke --set algorithm.name=./mine.py",
        ),
    ],
)
def test_a_file_in_place_of_a_preset_is_told_its_setting(tmp_path, monkeypatch, text, found, to):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ConfigError) as caught:
        resolve(preset="./mine.py")
    assert str(caught.value) == f"preset: found './mine.py', {found}\n{to}"
    with pytest.raises(ConfigError, match="must be a preset"):
        resolve(preset="./gone.py")


def resolve(*sets, preset="point/smoke"):
    return config.resolve("meta-train", preset, sets).experiment


def test_a_file_is_a_family(walk, tmp_path):
    found = resolve("family.name=walk.py", "family.distance=0.3").family
    assert (found.name, found.distance, found.horizon) == ("./walk.py", 0.3, 20)
    assert found.plugin_file.path == walk and len(found.plugin_file.sha256) == 64
    assert plugins.make("families", found)(found).horizon == 20
    assert resolve(f"family.name='{walk}'").family == resolve("family.name=./walk.py").family
    assert resolve("family.name=walk.py", "family.name=point").family.name == "point"
    assert config.family_of("./walk.py").horizon == 50
    (note,) = config.resolve("meta-train", "point/smoke", ["family.name=walk.py"]).notes
    assert note == "from the preset, which is of another family: family.horizon = 20"
    assert not config.resolve("meta-train", "point/smoke").notes
    with pytest.raises(ConfigError, match=r"family\.distanse: unknown key; did you mean 'distance'"):
        resolve("family.name=./walk.py", "family.distanse=0.3")


def test_a_name_without_the_suffix_is_told_the_file(walk):
    """Before a family of a close name; without such a file, the close name is told."""
    told = "; did you mean './walk.py'?"
    with pytest.raises(ConfigError) as caught:
        resolve("family.name=walk")
    assert str(caught.value).startswith(f"family.name: found 'walk' (from --set){told}\nmust be one of: ")
    for find in (config.family_of, lambda name: plugins.load("families", name)):
        with pytest.raises(ConfigError) as caught:
            find("walk")
        assert f"found 'walk'{told}\nmust be " in str(caught.value)
    with pytest.raises(ConfigError, match=r"found 'pont' \(from --set\); did you mean 'point'\?"):
        resolve("family.name=pont")
    (walk.parent / "pont.py").write_text(walk.read_text())
    with pytest.raises(ConfigError, match=r"found 'pont' \(from --set\); did you mean './pont\.py'\?"):
        resolve("family.name=pont")


def test_a_path_is_relative_to_the_toml_file_or_else_to_the_working_directory(walk, tmp_path, monkeypatch):
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "walk.toml").write_text(TOML)
    assert resolve(preset="sub/walk.toml").family.name == "./walk.py"
    (folder / "walk.py").write_text(walk.read_text() + "# another\n")
    assert resolve(preset="sub/walk.toml").family.name == "./sub/walk.py"
    monkeypatch.chdir(folder)
    assert resolve(preset="walk.toml").family.plugin_file.path == folder / "walk.py"
    walk.rename(tmp_path / "far.py")
    assert resolve("family.name=../far.py").family.name == str(tmp_path / "far.py")


def test_the_code_that_runs_is_the_file_as_it_is_now(walk):
    before = plugins.load("families", "./walk.py")
    assert plugins.load("families", "./walk.py") is before
    walk.write_text(walk.read_text().replace("0.2, gt=0", "0.1, gt=0"))
    assert plugins.load("families", "./walk.py").Config().radius == 0.1
    assert before.Config().radius == 0.2
    assert not (walk.parent / "__pycache__").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "which does not exist"),
        ("def make(:", "cannot be run: SyntaxError in line 1"),
        ("import nothing_like_it", "cannot be run: ModuleNotFoundError"),
        ("raise SystemExit(3)", "cannot be run: SystemExit"),
        ("x = 1", "has no class Config"),
        (
            "from hmrl_cli.schema import Strict\nclass Config(Strict):\n    name: str = 'a'",
            "without the field 'reward'",
        ),
        (
            "from hmrl_cli.schema import Strict\nclass Config(Strict):\n    name: str = 'a'\n"
            "    reward: str = 'dense'\n    horizon: int = 8\n    places: list[float] = [1.0]",
            "has a Config whose field 'places' can change; must be a tuple",
        ),
    ],
)
def test_a_file_that_is_no_plugin_is_told_in_one_line(tmp_path, monkeypatch, text, reason):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "bad.py").write_text(text)
    with pytest.raises(ConfigError) as refused:
        resolve("family.name=./bad.py")
    message = str(refused.value)
    assert message.startswith("family.name: found './bad.py' (from --set), which ") and reason in message
    assert "\n" not in message and not [name for name in sys.modules if name.startswith("hmrl_plugin_bad")]


def test_a_fault_of_a_file_is_told_by_its_line(walk):
    """And not as a bug of hmrl."""
    module = plugins.load("families", "./walk.py")
    family = module.make(module.Config())
    with pytest.raises(AttributeError) as raised:
        family.step(None, 0.0, 0.0)
    assert plugin_files.line_of(raised.value).startswith("walk.py line ")
    assert plugin_files.line_of(raised.value).endswith(", in step")
    assert plugin_files.line_of(ValueError()) == ""


@pytest.mark.parametrize("name", [f"/{'x' * 90}/y.py", "~nobody_at_all/y.py", "a\0b.py", "/dev/zero.py"])
def test_a_path_to_nothing_is_shown_as_a_whole(name):
    with pytest.raises(ConfigError) as refused:
        resolve(f"family.name={json.dumps(name)}")
    assert repr(name) in str(refused.value)


def test_an_algorithm_must_say_which_command_trains_it(tmp_path):
    file = tmp_path / "learn.py"
    file.write_text(
        "from hmrl_cli.schema import AlgorithmConfig\nclass Config(AlgorithmConfig):\n    name: str = 'learn'"
    )
    with pytest.raises(ConfigError, match=r"has Config\.command None, which is none of pretrain-skills"):
        plugin_files.from_path("algorithms", "./learn.py", file)


@pytest.mark.parametrize(("flag", "field"), [("inner_loop", "inner_steps"), ("goes_on", "ppo")])
def test_what_an_algorithm_claims_needs_its_settings(tmp_path, flag, field):
    file = tmp_path / "learn.py"
    file.write_text(
        "from hmrl_cli.schema import AlgorithmConfig\nclass Config(AlgorithmConfig):\n"
        f"    name: str = 'learn'\n    command = 'meta-train'\n    {flag} = True"
    )
    with pytest.raises(ConfigError, match=rf"has Config\.{flag} without the field '{field}'"):
        plugin_files.from_path("algorithms", "./learn.py", file)


def test_algorithms_and_bonuses_may_be_files_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "learn.py").write_text("from hmrl_cli.algorithms.scratch.ppo import Config, make")
    (tmp_path / "new.py").write_text("from hmrl_cli.bonuses.rnd import Config, make")
    found = resolve("algorithm.name=learn.py", "bonus.name=new.py", "bonus.weight=0.5")
    assert (found.algorithm.name, found.bonus.name, found.bonus.weight) == ("./learn.py", "./new.py", 0.5)
    assert plugins.load("bonuses", "rnd").Config().name == "rnd"
    with pytest.raises(ConfigError, match=r"bonus\.name: found '\./new\.py', but maesn takes no bonus"):
        resolve("bonus.name=new.py")


def test_what_a_file_prints_is_no_result(tmp_path, capsys):
    file = tmp_path / "loud.py"
    file.write_text("print('hello')\n" + rendered("family", "loud"))
    plugin_files.from_path("families", "./loud.py", file)
    assert capsys.readouterr().out == ""


def test_labels():
    assert plugin_files.label("/a/b/walk.py") == "walk" and plugin_files.label("point") == "point"


@pytest.mark.parametrize("default", ["Field(default_factory=Inner)", "None", "Field(Inner())"])
def test_a_table_in_a_plugin_may_have_any_default(tmp_path, monkeypatch, default):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tables.py").write_text(
        "from pydantic import Field\nfrom hmrl_cli.schema import Strict\n"
        "class Inner(Strict):\n    gain: float = 1.0\n"
        "class Config(Strict):\n    name: str = 'a'\n    reward: str = 'dense'\n    horizon: int = 8\n"
        f"    inner: Inner | None = {default}\ndef make(config):\n    pass\n"
    )
    assert resolve("family.name=./tables.py").family.name == "./tables.py"
    assert resolve("family.name=./tables.py", "family.inner.gain=2.0").family.inner.gain == 2.0
