"""How far each cell is, as the files of its run say."""

import json

import pytest

from hmrl_cli.cli.new import rendered
from hmrl_cli.errors import RunDirError
from hmrl_cli.suite.cells import cells
from hmrl_cli.suite.states import check_places, states
from tests.suite.stand_in import finish
from tests.suite.test_declaration import ONE


@pytest.fixture
def pair(read):
    """A run and its evaluation."""
    return cells(read(ONE))


def told(pair, folder):
    return [states(pair, folder)[cell.name].state for cell in pair]


def test_from_missing_to_done(pair, tmp_path):
    run, evaluation = pair
    folder = tmp_path / "suite"
    assert told(pair, folder) == ["missing", "missing"]
    (folder / run.run).mkdir(parents=True)  # killed before it had a configuration
    assert told(pair, folder) == ["missing", "missing"]
    finish(run, folder)
    assert told(pair, folder) == ["done", "missing"]
    finish(evaluation, folder, {"epoch": 2})
    assert told(pair, folder) == ["done", "done"]
    check_places(states(pair, folder), folder)


def test_a_run_that_goes_on_makes_its_evaluations_missing(pair, tmp_path):
    run, evaluation = pair
    finish(evaluation, tmp_path, {"epoch": 1})
    finish(run, tmp_path)
    found = states(pair, tmp_path)[evaluation.name]
    assert found == ("missing", "of an earlier epoch")
    (tmp_path / evaluation.result).write_text("{")
    assert "no valid JSON" in states(pair, tmp_path)[evaluation.name].problem


@pytest.mark.parametrize(("status", "problem"), [("running", "killed"), ("diverged", "diverged")])
def test_a_run_in_parts(status, problem, pair, tmp_path):
    run, evaluation = pair
    finish(run, tmp_path)
    (tmp_path / run.result).write_text(json.dumps({"state": status, "epoch": 1}))
    found = states(pair, tmp_path)
    assert found[run.name] == ("partly", f"epoch 1 of 2, {problem}")
    assert found[evaluation.name].state == "missing"


def test_a_run_of_other_settings_is_not_taken_for_the_cell(pair, read, tmp_path):
    finish(pair[0], tmp_path)
    (tmp_path / pair[0].run / "config.toml").rename(tmp_path / "kept")
    others = cells(read(ONE + "set.training.epochs = 7"))
    finish(others[0], tmp_path)
    found = states(pair, tmp_path)
    assert found[pair[0].name].state == "other" and "training.epochs: found 2" in found[pair[0].name].problem
    with pytest.raises(RunDirError, match=r"meta/point/maesn/seed0: training\.epochs"):
        check_places(found, tmp_path)
    (tmp_path / pair[0].run / "config.toml").write_text("[")
    assert "not valid TOML" in states(pair, tmp_path)[pair[0].name].problem


def test_a_run_that_has_chosen_a_number_is_the_cell(pair, read, tmp_path):
    """In place of `tasks_at_once` "auto"; a number that the suite names must be the run's."""
    auto = cells(read(ONE + 'set.algorithm.tasks_at_once = "auto"'))
    finish(pair[0], tmp_path)
    assert states(auto, tmp_path)[auto[0].name].state == "done"
    other = cells(read(ONE + "set.algorithm.tasks_at_once = 1"))
    assert states(other, tmp_path)[other[0].name].state == "other"


def test_the_file_of_a_family_is_one_from_wherever_it_is_told(read, tmp_path, monkeypatch):
    (tmp_path / "walk.py").write_text(rendered("family", "walk"))
    suite = read(ONE.replace('"point"', '"./walk.py"') + 'set.family.name = "{family}"\n')
    monkeypatch.chdir(tmp_path)  # where the configuration has a relative path
    found = cells(suite)
    assert found[0].name == "meta/walk/maesn/seed0" and found[0].experiment.family.name == "./walk.py"
    assert f'family.name = "{tmp_path}/walk.py"' in found[0].arguments
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # as a command has it
    finish(cells(suite)[0], tmp_path / "suite")
    monkeypatch.chdir(tmp_path)
    assert told(found, tmp_path / "suite") == ["done", "missing"]
