"""The speed of earlier runs: of the run that is most like an experiment."""

import json

import pytest

from hmrl_cli import config
from hmrl_cli.storage import speeds

HERE = {"devices": ["cpu:cpu"], "affinity": [0, 1]}


@pytest.fixture
def write_run(tmp_path):
    """Write the files of a run that tell its speed."""

    def write(name, *sets, told=(500,), machine=HERE, tables=None):
        path = tmp_path / name
        path.mkdir(parents=True)
        experiment = config.resolve("meta-train", "point/smoke", sets).experiment
        (path / "config.toml").write_text(config.to_toml(experiment))
        (path / "provenance.json").write_text(json.dumps({"machine": machine}))
        events = [
            f"2026-01-01T00:00:00+00:00 epoch {i}: checkpoint, {speed} steps/s"
            for i, speed in enumerate(told)
        ]
        (path / "events.log").write_text("\n".join(["x created by hmrl", *events, "x complete", ""]))
        return path

    return write


def found(folder, *sets, machine=HERE):
    speed = speeds.measured(folder, config.resolve("meta-train", "point/smoke", sets).experiment, machine)
    return speed and (speed.run.name, speed.steps_per_second, speed.seeds, speed.same)


def test_the_run_that_is_most_alike_tells(tmp_path, write_run):
    assert found(tmp_path / "none") is None and found(tmp_path) is None
    write_run("longer", "family.horizon=7", told=(100,))
    assert found(tmp_path) == ("longer", 100, 1, False)
    write_run("deep/seeds", "training.num_seeds=3", "training.epochs=9", told=(1, 300, 400, 500, 900))
    assert found(tmp_path) == ("seeds", 400, 3, True)
    write_run("same", told=(50,))
    assert found(tmp_path) == ("same", 50, 1, True)
    assert found(tmp_path, "training.num_seeds=3") == ("seeds", 400, 3, True)
    assert found(tmp_path, "family.horizon=7") == ("longer", 100, 1, True)


def test_places_learned_with_replay_say_nothing_of_those_without():
    def likeness(theirs, ours):
        tables = config.tree(config.resolve("pretrain-skills", theirs).experiment)
        return speeds._likeness(tables, config.resolve("pretrain-skills", ours).experiment)[0]

    assert likeness("wheeled/vgcrl_sac", "wheeled/vgcrl") is None
    assert likeness("sparse_point/vgcrl", "sparse_point/vgcrl") == (True, True)


def test_runs_beside_a_new_one_tell_and_no_deeper_ones(tmp_path, write_run):
    write_run("deep/er", told=(100,))
    experiment = config.resolve("meta-train", "point/smoke").experiment
    where = (tmp_path / "none", experiment, HERE)
    assert (
        speeds.measured(*where, tmp_path / "new")
        is None
        is speeds.measured(*where, tmp_path / "none" / "new")
    )
    beside = write_run("beside", told=(200,))
    assert speeds.measured(*where, tmp_path / "new").run == beside


def test_what_tells_nothing_is_passed_over(tmp_path, write_run):
    write_run("elsewhere", machine={"devices": ["gpu:H100"], "affinity": [0, 1]})
    write_run("fewer_cores", machine=HERE | {"affinity": [0]})
    write_run("other_algorithm", "algorithm.name=maml")
    write_run("other_family", "family.name=sparse_point")
    write_run("not_yet", told=())
    for number, text in enumerate(
        ("", "=", "[family]\nname = 3\n", "family = 1\n[training]\nnum_seeds = 1\n")
    ):
        (write_run(f"broken{number}") / "config.toml").write_text(text)
    (write_run("gone") / "provenance.json").unlink()
    (write_run("odd") / "provenance.json").write_text('{"machine": 3}')
    assert found(tmp_path) is None
