"""The command that writes a family to begin with, and the family that it writes."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from hmrl_cli import config
from hmrl_cli.cli import main as cli
from hmrl_cli.cli.new import rendered


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_files_are_written_and_never_overwritten(here, capsys):
    assert cli.run(["new", "family", "walk"]) == 0
    assert capsys.readouterr().out == "walk.py\n"
    assert Path("walk.py").read_text() == rendered("family", "walk")
    assert "my_family" not in rendered("family", "walk") + rendered("test_family", "walk")
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
        ("family", "point", "a family that exists"),
        ("family", "json", "a module that exists"),
        ("bonus", "mine", "must be family, as in: hmrl new family my_family"),
    ],
)
def test_names_that_no_module_could_have_are_refused(here, capsys, kind, name, reason):
    assert cli.run(["new", kind, name]) == 2
    assert reason in capsys.readouterr().err and not list(here.iterdir())


def test_the_tests_that_it_writes_pass(here, monkeypatch):
    """All of them but the training, which the next test has."""
    assert cli.run(["new", "family", "stroll"]) == 0
    monkeypatch.syspath_prepend(str(here))
    module = importlib.import_module("test_stroll")
    for name in ("stroll", "test_stroll"):
        del sys.modules[name]  # for other tests
    tests = [name for name in vars(module) if name.startswith("test_")]
    assert len(tests) == 4
    for name in tests:
        if name != "test_a_learner_trains_on_it":
            vars(module)[name]()


def test_its_controller_can_be_removed(here, monkeypatch):
    Path("saunter.py").write_text(
        rendered("family", "saunter").replace("controller=controller", "controller=None")
    )
    Path("test_saunter.py").write_text(rendered("test_family", "saunter"))
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
