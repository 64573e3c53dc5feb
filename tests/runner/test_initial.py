"""Where a training begins: what is taken from another run, and that going on is as one longer run."""

import json
import shutil

import jax
import numpy as np
import pytest

from hmrl_cli.cli import main as cli
from hmrl_cli.config import plugins
from hmrl_cli.errors import InputError
from hmrl_cli.runner import initial
from hmrl_cli.runner import train as training
from hmrl_cli.runner.assembly import assemble, state_shapes
from hmrl_cli.runner.progress import Silent
from hmrl_cli.storage import checkpoints, manifest, reader
from hmrl_cli.storage.metrics import read_metrics
from hmrl_cli.storage.naming import open_run
from tests.trainings import content, longer, one_program, resolve, train

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once
TWO = "training.num_seeds=2"


class Dies(Silent):
    """Ends the process, as it were, before the first checkpoint of a run that has two epochs from another."""

    def epoch(self, epoch, total, metrics, steps_per_second):
        raise RuntimeError("power cut")


@pytest.mark.parametrize("algorithm", ["diayn", "maml"])
def test_two_epochs_and_two_more_are_four(algorithm, runs, tmp_path):
    """Metrics and arrays, to the bit; also where the new run dies before its first checkpoint."""
    train(tmp_path / "two", resolve(algorithm, TWO, "training.epochs=2"))
    four = longer(tmp_path / "two", 4)
    with pytest.raises(RuntimeError, match="power cut"):
        train(tmp_path / "four", four, progress=Dies())
    assert [line["epoch"] for line in read_metrics(tmp_path / "four")] == [1, 2, 3]
    assert checkpoints.epochs(tmp_path / "four" / "checkpoints") == []
    train(tmp_path / "four", four, resume=True)
    assert content(tmp_path / "four") == content(runs / algorithm)


def state_of(path):
    """Arrays of the state in the last checkpoint of a run, by path."""
    run = reader.read(path)
    shapes = state_shapes(run.experiment, assemble(run.experiment, reader.read_skills(run)))
    return manifest.flatten(reader.read_checkpoint(run, shapes).tree[0])


def begun(path, resolved):
    """Epoch and arrays of the state in which a new run begins, by path."""
    with open_run(resolved, path, False) as run:
        parts = assemble(run.experiment, run.sources.skills and run.sources.skills.experiment)
        epoch, state, _ = initial.restored_or_begun(run, False, parts)
        run.save(0, state)  # so that the directory stays
    return epoch, manifest.flatten(jax.device_get(state))


@pytest.mark.parametrize(
    ("algorithm", "skills"), [("maml", None), ("diayn", None), ("maesn", "diayn")], ids=lambda x: x or "raw"
)
def test_a_run_starts_with_all_that_another_one_learned(algorithm, skills, runs, tmp_path):
    """Optimizer, buffers and moments too, with another horizon and reward; it begins at epoch 0."""
    parent = runs / ("hmrl" if skills else algorithm)
    seeds = 3 if skills else 2
    sets = [f"training.num_seeds={seeds}", "family.horizon=8", "family.reward=dense", "training.seed=7"]
    sets += ["hierarchy.steps_per_skill=2"] if skills else []
    sets += [f"training.init_from={parent}"]
    resolved = resolve(algorithm, *sets, skills=runs / skills if skills else None)
    training.check(resolved)
    epoch, state = begun(tmp_path / "run", resolved)
    theirs = state_of(parent)
    assert epoch == 0 and state.keys() == theirs.keys()
    for name, leaf in state.items():
        np.testing.assert_array_equal(leaf, theirs[name])


def test_one_seed_starts_many_and_its_own_keys_part_them(runs, tmp_path):
    with open_run(resolve("maml"), tmp_path / "one", False) as run:
        _, *tree = initial.restored_or_begun(run, False, assemble(run.experiment))
        run.save(1, tuple(tree))
        run.complete({})
    start = f"training.init_from={tmp_path / 'one'}"
    _, state = begun(tmp_path / "begun", resolve("maml", TWO, start))
    for name, leaf in state_of(tmp_path / "one").items():
        np.testing.assert_array_equal(state[name], np.repeat(leaf, 2, axis=0))
    train(tmp_path / "run", resolve("maml", TWO, start, "training.epochs=1"))
    first = read_metrics(tmp_path / "run")[0]
    assert first["epoch"] == 1 and first["return_before"][0] != first["return_before"][1]
    # the keys are those of an ordinary run of these seeds, and the state is not
    assert first["return_before"] != read_metrics(runs / "maml")[0]["return_before"]
    parent = "; must be 2, or any number with a parent of one seed"
    with pytest.raises(InputError, match=f"num_seeds: found 3, where .*run has 2{parent}"):
        training.check(resolve("maml", "training.num_seeds=3", f"training.init_from={tmp_path / 'run'}"))


def test_a_reason_names_three_settings_those_of_the_hierarchy_first():
    different = {f"family.{name}": (1, 2) for name in "abc"} | {"hierarchy.skills": ("x", "y")}
    assert initial._because(different, "runs/a") == (
        ": runs/a has hierarchy.skills = 'y', not 'x', family.a = 2, not 1, family.b = 2, not 1, and 1 more"
    )
    assert initial._because({}, "runs/a") == ", in runs/a"


def test_another_family_is_the_first_reason_and_none_is_written_as_a_user_does():
    """Settings that only one of two families has tell nothing beside their names."""
    different = {"family.goals": ("ring", None), "hierarchy.use": ("act", None)}
    different |= {"family.name": ("wheeled", "point")}
    assert initial._because(different, "runs/a") == (
        ": runs/a has family.name = 'point', not 'wheeled', hierarchy.use = none, not 'act'"
    )


def test_other_shapes_are_refused_in_one_line_that_says_what_differs(runs):
    start = (TWO, f"training.init_from={runs / 'maml'}")
    with pytest.raises(InputError) as caught:
        training.check(resolve("maml", *start, "algorithm.hidden=[5]"))
    line = str(caught.value)
    assert line.startswith("training.init_from: found float32[") and "\n" not in line
    assert "must be float32[" in line and f": {runs / 'maml'} has algorithm.hidden = [" in line
    assert line.endswith("], not [5]")
    with pytest.raises(InputError, match="maml is a run of maml; must be of maesn"):
        training.check(resolve("maesn", *start))


def test_training_tasks_that_come_along_are_noted(runs):
    notes = []
    start = ["training.num_seeds=2", f"training.init_from={runs / 'maesn'}"]
    training.check(resolve("maesn", *start, "family.reward=dense"), notes.append)
    assert notes == []
    training.check(resolve("maesn", *start, "family.name=sparse_point"), notes.append)
    assert "the training tasks are those of" in notes[0] and "family.name" in notes[0]


def test_settings_of_the_start_that_do_nothing_are_noted(runs):
    notes = []
    sets = ["training.num_seeds=2", "algorithm.inner_lr=0.3", "algorithm.discount=0.5"]
    training.check(resolve("maml", *sets, f"training.init_from={runs / 'maml'}"), notes.append)
    assert notes == [
        f"algorithm.inner_lr does nothing: the state is that of {runs / 'maml'}, and goes on from there"
    ]


def test_every_plugin_declares_settings_of_the_start_that_it_has():
    found = {}
    for kind in ("algorithms", "bonuses", "families"):
        for name in plugins.names(kind):
            config = plugins.load(kind, name).Config
            assert config.at_start <= set(config.model_fields), name
            found[name] = config.at_start
    assert found["maesn"] == {"init_std", "inner_lr", "mean_step_size", "log_std_step_size"}
    assert found["vgcrl"] == {"reach"} and found["metra"] == {"multiplier"}


def test_what_would_not_be_one_longer_run_is_refused(runs, tmp_path, monkeypatch):
    """Other skills than those of the parent, and a parent without its metrics."""
    shutil.copytree(runs / "hmrl", tmp_path / "hmrl")
    resolved = longer(tmp_path / "hmrl", 6)
    assert training.check(resolved)["updates"] == 6
    lines = (tmp_path / "hmrl" / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "hmrl" / "metrics.jsonl").write_bytes(b"".join(lines[1:]))
    with pytest.raises(InputError, match=r"metrics.jsonl lacks lines; must have one for each of 4 epochs"):
        training.check(resolved)
    record = reader.read(tmp_path / "hmrl").provenance
    record["skills"]["arrays_sha256"] = "0"
    (tmp_path / "hmrl" / "provenance.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"hierarchy.skills: is not what .*hmrl was trained on"):
        training.check(resolved)


def test_resume_needs_no_flags_and_no_skills_once_they_are_in_a_checkpoint(
    runs, tmp_path, monkeypatch, capsys
):
    """From another directory as well, to which the path of the skills does not lead."""
    lifted = resolve("maesn", "hierarchy.steps_per_skill=2", "training.num_seeds=3", skills=runs / "diayn")

    class Stops(Silent):
        def epoch(self, epoch, total, metrics, steps_per_second):
            if epoch == 3:
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train(tmp_path / "run", lifted, progress=Stops())
    monkeypatch.chdir(tmp_path)
    hidden = runs / "diayn-moved"
    (runs / "diayn").rename(hidden)
    try:
        with one_program():
            assert cli.run(["resume", "run", "-q"]) == 0
    finally:
        hidden.rename(runs / "diayn")
    assert capsys.readouterr().out == "run\n"
    assert content(tmp_path / "run") == content(runs / "hmrl")
