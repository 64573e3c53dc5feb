"""How far each cell is, as the files of its run say."""

import json

import pytest

from hmrl_cli import config
from hmrl_cli.cli.new import rendered
from hmrl_cli.config import recorded
from hmrl_cli.errors import RunDirError
from hmrl_cli.suite.cells import cells
from hmrl_cli.suite.states import check_places, states
from tests.suite.stand_in import TINY, finish
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


def test_a_damaged_run_does_not_stop_the_others(pair, tmp_path):
    run, _ = pair
    finish(run, tmp_path)
    (tmp_path / run.result).write_text("{")
    found = states(pair, tmp_path)
    check_places(found, tmp_path)
    assert found[run.name].state == "partly" and "\n" not in found[run.name].problem
    assert "is no valid JSON" in found[run.name].problem and "; to write it anew: " in found[run.name].problem


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


def test_a_run_of_other_code_is_not_taken_for_the_cell(read, tmp_path):
    """An edited file of a family has equal settings, and other rewards."""
    (tmp_path / "walk.py").write_text(rendered("family", "walk"))
    suite = read(ONE.replace('"point"', '"./walk.py"') + f'set.family.name = "{tmp_path}/walk.py"\n')
    finish(cells(suite)[0], tmp_path / "suite")
    assert told(cells(suite), tmp_path / "suite") == ["done", "missing"]
    (tmp_path / "walk.py").write_text(rendered("family", "walk") + "# edited\n")
    found = states(cells(suite), tmp_path / "suite")["meta/walk/maesn/seed0"]
    assert found.state == "other" and f"family.name: {tmp_path}/walk.py has changed" in found.problem
    assert "found SHA-256" in found.problem


def test_a_run_over_other_skills_is_not_taken_for_the_cell(read, tmp_path):
    """Also once those that it acts through were moved away."""
    text = TINY.replace(', "sparse_point"', "")
    skills, run = cells(read(text))[:2]
    finish(skills, tmp_path)
    finish(run, tmp_path)
    (tmp_path / run.run / "skills.toml").write_text((tmp_path / skills.run / "config.toml").read_text())
    assert states(cells(read(text)), tmp_path)[run.name].state == "done"
    other = cells(read(text.replace("[skills.diayn]", "[skills.diayn]\nset.algorithm.num_skills = 6")))
    (tmp_path / skills.run).rename(tmp_path / "kept")
    found = states(other, tmp_path)
    assert found[skills.name].state == "missing" and found[run.name].state == "other"
    assert found[run.name].problem.startswith("its skills: algorithm.num_skills: found 6, where the run has")


def test_a_run_over_skills_of_other_code_is_not_taken_for_the_cell(read, tmp_path):
    (tmp_path / "walk.py").write_text(rendered("family", "walk"))
    text = TINY.replace('["point", "sparse_point"]', '"./walk.py"').replace("{family}/smoke", "point/smoke")
    suite = read(f'{text}[set]\nfamily.name = "./walk.py"\n')
    skills, run = cells(suite)[:2]
    finish(run, tmp_path / "suite")
    place = tmp_path / "suite" / run.run
    (place / "skills.toml").write_text(config.to_toml(skills.experiment))
    kept = {"schema": 1, "skills": {"epoch": 2, "arrays_sha256": "ab"}}
    kept["skills"]["plugins"] = recorded.record(skills.experiment)
    (place / "provenance.json").write_text(json.dumps(kept))
    assert states(cells(suite), tmp_path / "suite")[run.name].state == "done"
    kept["skills"]["plugins"]["family"]["sha256"] = "0" * 64
    (place / "provenance.json").write_text(json.dumps(kept))
    found = states(cells(suite), tmp_path / "suite")[run.name]
    assert found.state == "other" and found.problem.startswith("its skills: family.name: ")
