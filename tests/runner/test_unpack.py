"""What is pretrained becomes a run: the same arrays, once, and the numbers on its card."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import hmrl_cli
from hmrl_cli.errors import ConfigError, InputError, RunDirError
from hmrl_cli.lazy import jax
from hmrl_cli.runner.progress import Silent
from hmrl_cli.runner.trained import open_trained
from hmrl_cli.runner.unpack import opened
from hmrl_cli.storage import exports, files, pretrained, reader

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


@pytest.fixture
def packed(runs, tmp_path, monkeypatch):
    """The skills of a run as pretrained; gives the trained run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "pretrained")
    run = reader.read(runs / "diayn")
    trained = open_trained(run, "sparse", Silent())
    tree = (trained.state, trained.skills)
    data, card = exports.encode(tree, "skills", run.experiment, None, trained.epoch, whole=True)
    (tmp_path / "pretrained" / "point").mkdir(parents=True)
    files.write_bytes(tmp_path / "pretrained" / "point" / "diayn.safetensors", data)
    files.write_json(tmp_path / "pretrained" / "point" / "diayn.json", card)
    return trained


def test_it_becomes_a_run_of_the_same_arrays_once(packed):
    run = opened("pretrained:point/diayn")
    assert run.path == Path("runs/pretrained-point-diayn") and run.status["state"] == "complete"
    again = open_trained(run, "sparse", Silent())
    assert again.arrays_sha256 == packed.arrays_sha256 and again.epoch == packed.epoch
    kept = run.provenance["pretrained"]
    assert kept["run"] == "pretrained:point/diayn"
    assert kept["arrays_sha256"] == json.loads(Path("pretrained/point/diayn.json").read_text())["sha256"]
    assert opened("pretrained:point/diayn") == run and opened(run.path) == run
    assert [path.name for path in Path("runs").iterdir()] == [run.path.name]


def test_its_skills_are_those_of_the_run(packed):
    library = hmrl_cli.load_skills("pretrained:point/diayn", seed=1)
    row = jax.tree.map(lambda x: x[1], packed.state)
    theirs = packed.parts.learner.freeze(row)
    jax.tree.map(np.testing.assert_array_equal, library.params, theirs)
    with pytest.raises(InputError, match="found a 'skills' export; must be 'policy'"):
        hmrl_cli.load_policy("pretrained:point/diayn")


def test_what_is_in_its_place_is_left_alone(packed, runs):
    Path("runs").mkdir()
    place = Path("runs/pretrained-point-diayn")
    shutil.copytree(runs / "maml", place)
    with pytest.raises(RunDirError, match="exists, and is not what pretrained:point/diayn holds"):
        opened("pretrained:point/diayn")
    assert reader.read(place).experiment.algorithm.name == "maml"
    shutil.rmtree(place)
    place.write_text("")
    with pytest.raises(RunDirError, match="must be moved"):
        opened("pretrained:point/diayn")


def test_what_is_damaged_or_unknown_makes_no_run(packed):
    with pytest.raises(ConfigError, match=r"^RUN_DIR: found 'pretrained:point/dian'; did you mean"):
        opened("pretrained:point/dian")
    file = Path("pretrained/point/diayn.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="by the SHA-256 on its card"):
        opened("pretrained:point/diayn")
    assert not list(Path("runs").glob("*"))


@pytest.fixture(scope="module")
def maker():
    file = Path(__file__).parents[2] / "experiments" / "pretrained.py"
    spec = importlib.util.spec_from_file_location("pretrained_maker", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", pretrained.names())
def test_the_numbers_on_its_card_are_measured_again(name, maker):
    """Bit for bit on such a machine with such versions, and nearly elsewhere."""
    card = pretrained.card(name)
    measured = maker.measured(name, card["kind"])
    if maker.machine() == card["measured_on"]:
        assert measured == card["measured"]
    for now, before in zip(measured, card["measured"], strict=True):
        assert now["numbers"] == pytest.approx(before["numbers"], rel=0.1, abs=0.05)
