"""Trained runs and the skills they stand on."""

import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from hmrl_cli import config
from hmrl_cli.cli import main as cli
from hmrl_cli.errors import InputError
from hmrl_cli.report import drawing
from hmrl_cli.runner import assembly, evaluate, initial, render
from hmrl_cli.runner.progress import Silent
from hmrl_cli.runner.trained import skills_experiment
from hmrl_cli.storage import reader, upstream
from tests.storage.runs import opened
from tests.trainings import SMALL, resolve

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


def test_a_controller_keeps_the_skills_it_stands_on(runs, tmp_path):
    """Wherever the skill run went, and with a skill seed for every seed of its own, in turn."""
    hmrl = tmp_path / "hmrl"
    shutil.copytree(runs / "hmrl", hmrl)
    hidden = runs / "diayn-moved"
    (runs / "diayn").rename(hidden)
    try:
        result = evaluate.evaluate(
            reader.read(hmrl), num_tasks=2, episodes=3, adapt_steps=2, progress=Silent()
        )
    finally:
        hidden.rename(runs / "diayn")
    assert np.shape(result["per_task"]["return"]) == (3, 2, 3)
    parts = assembly.assemble(reader.read(hmrl).experiment, config.load(hmrl / "skills.toml"))
    shapes = assembly.state_shapes(reader.read(hmrl).experiment, parts)
    _, skills = reader.read_checkpoint(reader.read(hmrl), shapes).tree
    trained = reader.read(runs / "diayn").experiment
    source = assembly.assemble(trained)
    state, _ = reader.read_checkpoint(
        reader.read(runs / "diayn"), assembly.state_shapes(trained, source)
    ).tree
    for own, original in zip(
        jax.tree.leaves(skills), jax.tree.leaves(source.make_learner(None).freeze(state)), strict=True
    ):
        np.testing.assert_array_equal(own, original[np.array([0, 1, 0])])


def test_a_seed_has_the_same_skills_alone_and_beside_others(runs):
    def loaded(*seeds):
        resolved = resolve("maesn", "hierarchy.steps_per_skill=2", *seeds, skills=runs / "diayn")
        skills = upstream.open_skills(resolved.experiment)
        parts = assembly.assemble(resolved.experiment, skills.experiment)
        return jax.tree.leaves(initial.load_skills(resolved.experiment, skills, parts))

    for both, alone in zip(loaded("training.num_seeds=2"), loaded("training.seed=1"), strict=True):
        np.testing.assert_array_equal(both[1], alone[0])
        assert both.ndim == 1 or not np.array_equal(both[0], both[1]) or not both.any()


@pytest.mark.slow
def test_a_command_reads_a_run_once(runs, tmp_path, monkeypatch):
    """Each file that says what a run is; of the skills that a new run acts through as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(render, "_record_adaptation", lambda *arguments: (None, None))
    for part in ("_joined", "_labels", "_films"):
        monkeypatch.setattr(render, part, lambda *arguments: [])
    monkeypatch.setattr(render, "page", lambda *arguments: "")
    monkeypatch.setattr(drawing, "svg", lambda *_: "")
    for name in ("diayn", "hmrl"):
        shutil.copytree(runs / name, name, ignore=shutil.ignore_patterns("eval", "*.html"))
    np.savez("path.npz", obs=np.zeros((3, 2), np.float32))
    lines = (*SMALL, "hierarchy.steps_per_skill=2", "training.epochs=1")
    small = [word for line in lines for word in ("--set", line)]
    train = ["meta-train", "point/smoke", "--num-seeds", "3", *small, "--skills"]
    budget = ["--num-tasks", "2", "--episodes", "3", "--adapt-steps", "2"]
    for run, command in (
        ("hmrl", ["eval", "hmrl", *budget]),
        ("diayn", ["eval", "diayn"]),  # diagnoses the skills
        ("hmrl", ["compare", "hmrl"]),
        ("hmrl", ["report", "hmrl"]),
        ("hmrl", ["show", "hmrl"]),
        ("hmrl", ["render", "hmrl", "--num-tasks", "1"]),
        ("diayn", ["imitate", "diayn", "path.npz"]),
        ("hmrl", ["export", "hmrl", "-o", "policy.safetensors"]),
        ("diayn", ["export", "diayn", "-o", "out.safetensors"]),
        ("diayn", [*train, "diayn"]),
        ("point-smoke-seed0", [*train, "diayn", "--resume"]),
        ("point-smoke-seed0", ["resume", "runs/point-smoke-seed0"]),
        ("point-smoke-seed0", ["resume", "runs/point-smoke-seed0", "--epochs", "+1", "--name", "more"]),
        ("hmrl", [*train, "diayn", "--init-from", "hmrl", "--dry-run"]),
        ("hmrl", ["runs", "hmrl"]),
    ):
        with opened() as counts:
            assert cli.run(command) == 0, command
        files = ["config.toml", "skills.toml", "status.json"]
        if command[0] in ("compare", "report"):
            evaluated = {name: n for (folder, name), n in counts.items() if folder == "eval"}
            files += ["provenance.json", "metrics.jsonl", "manifest.json"]
            assert [*evaluated.values()] == [1] and counts["hmrl", "provenance.json"] == 1
        often = {file: n for file, n in counts.items() if file[1] in files and n > 1}
        assert counts[run, "config.toml"] == 1 and not often, (command, often)
    with opened() as counts:
        assert cli.run([*train, "out.safetensors", "--dry-run"]) == 0
    assert counts["", "out.json"] == 1


def stands(family, learner, controller, *sets):
    """A controller of a family's defaults, on skills that were trained with settings."""
    theirs = config.resolve("pretrain-skills", f"{family}/{learner}", list(sets)).experiment
    flags = {"hierarchy.skills": "z"}
    ours = config.resolve("meta-train", f"{family}/{controller}", [], flags).experiment
    return skills_experiment(ours, SimpleNamespace(source="z", experiment=theirs)) is theirs


@pytest.mark.parametrize(
    ("family", "learner", "controller", "tasks", "world"),
    [
        ("wheeled", "vgcrl", "hmrl", ("sector=0.25", "sparse_radius=0.4", "goals=arena"), "mass=20.0"),
        ("ant_goal", "vgcrl", "hmrl", ("sector=0.25", "goal_radius=3.0", "horizon=50"), "gear=100.0"),
        ("pusher", "diayn_ppo", "hmrl", ("tasks_per_arrangement=3", "sparse_radius=0.1"), "block_mass=2.0"),
        ("half_cheetah_dir", "diayn_ppo", "hmrl", ("directions=forward", "sparse_distance=2.0"), "dt=0.04"),
    ],
)
def test_skills_may_come_from_other_tasks_but_from_no_other_world(family, learner, controller, tasks, world):
    assert stands(family, learner, controller, *(f"family.{setting}" for setting in tasks))
    name, value = world.split("=")
    with pytest.raises(InputError, match=f"skills: z was trained with family.{name} = {value}; must be as"):
        stands(family, learner, controller, f"family.{world}")
