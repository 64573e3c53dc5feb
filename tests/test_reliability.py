"""What `experiments/bench/reliability` counts: a little of it always, all of it under `make test-slow`."""

import importlib
import json
import random
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "experiments/bench/reliability"


@pytest.fixture
def measure(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("measure")


ALL_OF_IT = pytest.param(1.0, marks=pytest.mark.slow)


@pytest.mark.parametrize("share", [0.01, ALL_OF_IT])
def test_flipped_bits_are_detected(measure, share):
    found = measure.flips(share, random.Random(1))
    assert found["detected"] == found["tried"] == 1000 * share


@pytest.mark.parametrize("share", [0.002, ALL_OF_IT])
def test_configurations_are_planned_or_refused(measure, share):
    found = measure.configurations(share, random.Random(1))
    assert found["bugs"] == []
    assert found["without_a_bug"] == found["tried"] == 5000 * share


ALL = ("diayn", "vic", "maesn", "maml", "ppo", "sac", "rl2", "pearl")


@pytest.mark.slow  # runner/test_train.py kills one
@pytest.mark.parametrize("training", ALL)
def test_kills_are_survived(measure, training):
    """Of real trainings; `storage/test_writer.py` kills a stand-in at more places."""
    found = measure.killed(measure.TRAININGS[training], 25, random.Random(1))
    assert found["survived"] == found["tried"] == 25
    assert set(measure.TRAININGS) == set(ALL)


@pytest.mark.slow
def test_a_long_training_holds_no_more_in_the_end(measure):
    found = measure.soak(1.0, random.Random(1))
    assert found["code"] == 0
    first, last = found["tenths"][0], found["tenths"][-1]
    assert last["compilations"] == first["compilations"] and last["files"] < first["files"] + 10
    assert last["rss_mib"] < 1.05 * first["rss_mib"]


def test_the_table_is_of_what_was_counted(measure):
    document = json.loads((FOLDER / "reliability.json").read_text())
    assert (FOLDER / "reliability.md").read_text() == measure.table(document)
