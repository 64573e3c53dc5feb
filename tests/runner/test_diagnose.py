"""Diagnostics and pictures of skills and of exploration."""

import json
import math
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest

from hmrl_cli.errors import ConfigError, Interrupted, RunDirError
from hmrl_cli.runner import diagnose, evaluate, signals
from hmrl_cli.runner.progress import Silent
from hmrl_cli.runner.trained import open_trained
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage import checkpoints, reader
from hmrl_cli.storage.locks import locked
from tests.trainings import resolve

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


def test_what_cannot_be_drawn_is_noted(tmp_path):
    def fails():
        raise ConfigError("matplotlib cannot start:\nno font")

    file, notes = tmp_path / "skills.svg", []
    diagnose._draw(file, lambda: "<svg/>", notes.append)
    assert file.read_text() == "<svg/>" and not notes
    diagnose._draw(file, fails, notes.append)
    assert not file.exists()
    assert notes == [f"{file}: was not drawn: ConfigError: matplotlib cannot start: no font"]


@pytest.mark.parametrize("named", [0.0, 0.3])
def test_goals_that_name_no_skill_are_no_result(named):
    """But a note; in one seed of two they name some."""
    notes, numbers = [], {"accuracy": np.ones(2), "goal_named": np.array([0.0, named])}
    told = diagnose._without_blind_goals(numbers | {"goal_arrived": np.ones(2)}, notes.append)
    assert set(told) == ({"accuracy", "goal_arrived"} if named else {"accuracy"})
    assert len(notes) == (not named)


@pytest.mark.slow
def test_exploration_is_shown_directly_and_through_skills(runs):
    for name, seeds in (("maml", 2), ("hmrl", 3)):
        numbers, picture = diagnose.explore(reader.read(runs / name), Silent(), draws=3, episodes=2)
        assert set(numbers) == {"end_spread", "share_of_draws"}
        assert all(len(per_seed) == seeds for per_seed in numbers.values())
        assert min(numbers["end_spread"]) > 0 and 0 <= min(numbers["share_of_draws"]) <= 1
        assert picture.startswith("<svg") and picture.count('<g id="axes_') == seeds


def test_skills_are_not_diagnosed_while_they_are_trained(runs):
    with locked(runs / "diayn"), pytest.raises(RunDirError, match="to read it: once that has ended"):
        evaluate.evaluate(reader.read(runs / "diayn"), progress=Silent())


def test_skills_are_diagnosed_and_drawn(runs):
    numbers = json.loads((runs / "diayn" / "skills.json").read_text())
    digest = checkpoints.fingerprint(runs / "diayn" / "checkpoints")
    assert (numbers["epoch"], numbers["arrays_sha256"]) == digest
    assert np.shape(numbers["displacement"]) == (2, 4) and 0 <= numbers["accuracy"][0] <= 1
    picture = (runs / "diayn" / "skills.svg").read_text()
    assert picture.startswith("<svg") and picture.count('<g id="axes_') == 2
    page = (runs / "diayn" / "skills.html").read_text()
    assert "diayn: skills" in page and page.count('"label":"skill ') == 4
    sets = ("evaluation.diagnosis.random_skills=3",)
    result = evaluate.evaluate(reader.read(runs / "diayn"), sets=sets, progress=Silent())
    assert result["accuracy"] == numbers["accuracy"] and "state_coverage" not in numbers
    assert min(result["state_coverage"]) >= 1 and len(result["state_coverage"]) == 2
    kept = runs / "diayn" / "skills-diagnosis.random_skills=3.json"
    assert json.loads(kept.read_text())["diagnosis"]["random_skills"] == 3


def test_a_signal_ends_the_diagnosis_of_skills(runs, tmp_path):
    trained = open_trained(reader.read(runs / "diayn"), "sparse", Silent())
    with pytest.raises(Interrupted, match="checkpoint of epoch 4 is safe"):
        diagnose.diagnose(tmp_path, trained, Evaluation(), stop=lambda: signal.SIGTERM)
    while signals.goes_on():
        time.sleep(0.1)
    assert not list(tmp_path.iterdir())


def test_a_diagnosis_by_other_actions_keeps_that_of_the_run(monkeypatch, tmp_path):
    names, experiment = ("accuracy_per_skill", "displacement", "direction"), resolve("diayn").experiment
    monkeypatch.setattr(diagnose, "_run", lambda *_: (dict.fromkeys(names, np.ones((1, 1))), None, {}))
    drawn = []
    monkeypatch.setattr(diagnose, "_draw", lambda file, *_: drawn.append(file.name))
    trained = SimpleNamespace(parts=None, epoch=1, arrays_sha256="ab", experiment=experiment)
    for deterministic, stem in ((False, "skills"), (True, "skills-deterministic=true")):
        settings = experiment.evaluation.model_copy(update={"deterministic": deterministic})
        diagnose.diagnose(tmp_path, trained, settings)
        assert json.loads((tmp_path / f"{stem}.json").read_text())["deterministic"] is deterministic
        assert drawn[-2:] == [f"{stem}.svg", f"{stem}.html"]


def test_skills_are_told_apart_by_what_they_are():
    numbers = {
        "accuracy_per_skill": [[0.5, 1.0]],
        "displacement": [[1.0, 2.5]],
        "direction": [[0.0, math.pi]],
    }
    assert diagnose._skill_labels(numbers) == [
        "skill 0: named in 50%, ends 1.00 away at 0°",
        "skill 1: named in 100%, ends 2.50 away at 180°",
    ]
    places = {"place": [[[0.25, -0.75], [0.75, 0.25]]], "arrived": [[0.875, 1.0]]}
    assert diagnose._skill_labels(numbers | places) == [
        "skill 0: place (0.25, -0.75), 88% arrive",
        "skill 1: place (0.75, 0.25), 100% arrive",
    ]
