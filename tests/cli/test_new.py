"""The command that writes a plugin to begin with, and the plugins that it writes."""

import importlib
import inspect
import json
import sys
from pathlib import Path

import pytest

from hmrl_cli import config
from hmrl_cli.cli import main as cli
from hmrl_cli.cli.new import GROUPS, example_name, rendered


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_files_are_written_and_never_overwritten(here, capsys):
    assert cli.run(["new", "family", "walk"]) == 0
    assert capsys.readouterr().out == "walk.py\n"
    assert Path("walk.py").read_text() == rendered("family", "walk")
    assert Path("test_walk.py").read_text() == rendered("family", "walk", of_test=True)
    for kind in GROUPS:
        both = rendered(kind, "walk") + rendered(kind, "walk", of_test=True)
        assert "import walk" in both and example_name(kind) not in both
    Path("walk.py").write_text("mine")
    for gone in ("test_walk.py", None):
        assert cli.run(["new", "family", "walk"]) == 2
        assert "walk.py exists; must be another name" in capsys.readouterr().err
        assert Path("walk.py").read_text() == "mine"
        if gone:
            Path(gone).unlink()
    Path("test_run.py").touch()
    assert cli.run(["new", "family", "run"]) == 2 and not Path("run.py").exists()
    assert cli.run(["new", "family", "hop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": "hop.py", "test": "test_hop.py"}


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("family", "../x", "must be a word of a-z"),
        ("family", "My-Family", "must be a word of a-z"),
        ("family", "class", "must be a word of a-z"),
        ("family", "point", "one of the families"),
        ("skills", "diayn", "one of the algorithms"),
        ("bonus", "rnd", "one of the bonuses"),
        ("family", "json", "a module that exists"),
        ("bonus", "My-Bonus", "such as my_bonus"),
        ("walker", "mine", "must be one of: family, skills, bonus; as in: hmrl new family my_family"),
    ],
)
def test_names_that_no_module_could_have_are_refused(here, capsys, kind, name, reason):
    assert cli.run(["new", kind, name]) == 2
    assert reason in capsys.readouterr().err and not list(here.iterdir())


@pytest.mark.parametrize(("kind", "count"), [("family", 4), ("skills", 2), ("bonus", 3)])
def test_the_tests_that_it_writes_pass(here, monkeypatch, kind, count):
    """All of them but those that train, which are slower: `test_a_file_of_each_kind_can_be_trained`."""
    for function in _tests(here, monkeypatch, kind, count):
        if not inspect.signature(function).parameters:
            function()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("family", 4), ("skills", 2), ("bonus", 3)])
def test_a_file_of_each_kind_can_be_trained(here, monkeypatch, kind, count):
    (train,) = (f for f in _tests(here, monkeypatch, kind, count) if inspect.signature(f).parameters)
    train(here)


def _tests(here, monkeypatch, kind, count):
    """The test functions of a new plugin of the kind."""
    assert cli.run(["new", kind, "stroll"]) == 0
    monkeypatch.syspath_prepend(str(here))
    module = importlib.import_module("test_stroll")
    for name in ("stroll", "test_stroll"):
        del sys.modules[name]  # for other tests
    found = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert len(found) == count
    return found


def test_its_controller_can_be_removed(here, monkeypatch):
    Path("saunter.py").write_text(
        rendered("family", "saunter").replace("controller=controller", "controller=None")
    )
    Path("test_saunter.py").write_text(rendered("family", "saunter", of_test=True))
    monkeypatch.syspath_prepend(str(here))
    module = importlib.import_module("test_saunter")
    for name in ("saunter", "test_saunter"):
        del sys.modules[name]
    (mark,) = module.test_the_controller_reaches_the_goal.pytestmark
    assert mark.name == "skipif" and mark.args == (True,)


@pytest.mark.slow
def test_a_run_on_a_file_needs_the_file_as_it_was(here, capsys):
    """Trained, evaluated, compared and shown; then with the file changed, and gone."""
    sets = ("family.name=./walk.py", "family.horizon=4", "training.epochs=1", "algorithm.name=maml")
    flags = [argument for line in sets for argument in ("--set", line)]
    train = ["meta-train", "point/smoke", *flags, "--name", "walk", "-q"]

    def told(*arguments):
        code = cli.run(list(arguments))
        printed = capsys.readouterr()
        return code, printed.out, [line for line in printed.err.splitlines() if line.startswith("error")]

    assert told("new", "family", "walk")[0] == 0
    assert told(*train) == (0, "runs/walk\n", [])
    code, out, _ = told("eval", "runs/walk", "--num-tasks", "1", "--adapt-steps", "0", "--json")
    assert code == 0 and json.loads(out)["family"] == "walk"
    record = json.loads(Path("runs/walk/provenance.json").read_text())["plugins"]["family"]
    assert record["file"] == str(here / "walk.py") and len(record["sha256"]) == 64
    assert told(*train, "--resume")[0] == 0
    text = Path("walk.py").read_text()
    assert Path("runs/walk/plugins/family-walk.py").read_text() == text
    for changed in (text + "# another\n", None):
        if changed is None:
            Path("walk.py").unlink()
        else:
            Path("walk.py").write_text(changed)
        for command in ("show", "compare", "report"):
            code, out, errors = told(command, "runs/walk")
            assert (code, errors) == (0, []) and out
        for command in ("eval", "render"):
            code, _, errors = told(command, "runs/walk")
            assert code == 65 and len(errors) == 1 and "must be the file of SHA-256" in errors[0]
        code, _, errors = told(*train, "--resume")
        assert code == (65 if changed else 2) and "family.name: " in errors[0]
    assert config.family_of("point").name == "point"
