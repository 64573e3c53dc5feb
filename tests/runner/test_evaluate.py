"""Evaluations of trained runs."""

import json
import os
import shutil

import numpy as np
import pytest

from hmrl_cli.compute import processes
from hmrl_cli.config import plugins
from hmrl_cli.errors import ConfigError, Diverged, MachineLimit, StorageError
from hmrl_cli.evaluation import adaptation
from hmrl_cli.report import page as pages
from hmrl_cli.report.comparison import compare
from hmrl_cli.runner import assembly, describe, evaluate, render
from hmrl_cli.runner.progress import Silent
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage import reader
from hmrl_cli.types import Adaptation
from tests.trainings import resolve

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


def test_an_evaluation_tells_everything_the_contract_asks(runs, monkeypatch):
    result = evaluate.evaluate(
        reader.read(runs / "maesn"), split="hidden", reward="sparse", progress=Silent()
    )
    assert result == json.loads((runs / "maesn" / "eval" / "hidden-sparse.json").read_text())
    assert {
        "schema",
        "run",
        "family",
        "split",
        "reward",
        "flat",
        "feasible",
        "steps",
        "return",
        "success",
    } <= {*result}
    assert {"reached", "fraction", "per_task", "tasks_sha256", "flat_success", "flat_reached"} <= {*result}
    assert len(result["per_task"]["flat"]) == len(result["per_task"]["feasible"]) == 3
    assert result["steps"] == [0, 1] and len(result["return"]["low"]) == 2
    assert np.shape(result["per_task"]["return"]) == np.shape(result["per_task"]["success"]) == (2, 3, 2)
    (runs / "maesn" / "eval" / "hidden-sparse.json").unlink()
    monkeypatch.setattr(processes, "is_first", lambda: False)  # another process computes, and writes nothing
    again = evaluate.evaluate(reader.read(runs / "maesn"), split="hidden", reward="sparse", progress=Silent())
    assert again == result and not (runs / "maesn" / "eval" / "hidden-sparse.json").exists()
    assert evaluate.evaluate(reader.read(runs / "diayn"), progress=Silent()) == {}


@pytest.mark.slow
def test_a_family_without_a_controller_is_evaluated_reported_and_watched(runs, tmp_path, monkeypatch):
    original = plugins.load("families", "point").make
    assembly.make_family.cache_clear()
    try:
        monkeypatch.setattr(
            plugins.load("families", "point"), "make", lambda x: original(x)._replace(controller=None)
        )
        shutil.copytree(runs / "maml", tmp_path / "maml")
        result = evaluate.evaluate(reader.read(tmp_path / "maml"), progress=Silent())
        assert result["feasible"] is result["fraction"] is result["per_task"]["feasible"] is None
        assert len(result["per_task"]["flat"]) == result["num_tasks"] and np.isfinite(result["flat"])
        rows = compare([tmp_path / "maml"])["rows"]
        assert all(row["fraction"] is row["feasible"] is None for row in rows if row["split"] == "test")
        pages.write([tmp_path / "maml"], tmp_path / "maml.html")
        described = describe.describe_family("point/smoke")
        assert described["dense"]["feasible"] is None and described["dense"]["flat_reached"] == 0
        settings = {"split": "test", "reward": "sparse", "num_tasks": 1, "progress": Silent()}
        page = render.render_family("point/smoke", out=tmp_path / "x.html", **settings).read_text()
        assert "test task 1: random actions" in page
    finally:
        assembly.make_family.cache_clear()


@pytest.mark.slow
def test_an_evaluation_may_adapt_in_another_way(runs):
    rule = ["evaluation.rule=refit", "evaluation.fallback=0.5", "evaluation.imitation_steps=2"]
    rule.append("evaluation.late_fallback=0.5")
    result = evaluate.evaluate(
        reader.read(runs / "maesn"), num_tasks=2, adapt_steps=2, sets=rule, progress=Silent()
    )
    told = {"rule": "refit", "imitation_steps": 2, "late_fallback": 0.5, "fallback": 0.5, "latent_std": 1.0}
    assert told | {"tune_after": None, "step_decay": None} == {
        name: result["adaptation"][name] for name in (*told, "tune_after", "step_decay")
    }
    assert result["adaptation"]["least_gain"] > 0  # as calibrated
    episodes, horizon = result["episodes"], 6
    assert result["env_steps"] == [0, episodes * horizon, 2 * episodes * horizon]
    assert np.isfinite(result["per_task"]["return"]).all()
    with pytest.raises(ConfigError, match=r"of a trained run, only evaluation\.\* can be set"):
        evaluate.evaluate(reader.read(runs / "maesn"), sets=["family.horizon=3"], progress=Silent())
    with pytest.raises(ConfigError, match=r"evaluation\.episodes: found 1; must be 2 or more"):
        evaluate.evaluate(reader.read(runs / "maesn"), episodes=1, progress=Silent())
    with pytest.raises(ConfigError, match=r"imitation_steps: found 0; must be more with maml, which has no"):
        evaluate.evaluate(reader.read(runs / "maml"), sets=["evaluation.rule=refit"], progress=Silent())
    with pytest.raises(ConfigError, match=r"latent_std: found 3\.0, but maml has no latent"):
        evaluate.evaluate(reader.read(runs / "maml"), sets=["evaluation.latent_std=3.0"], progress=Silent())
    with pytest.raises(ConfigError, match="diayn: is a run of skills, which do not adapt"):
        evaluate.evaluate(reader.read(runs / "diayn"), episodes=2, progress=Silent())
    for asked in ({"split": "hidden"}, {"reward": "dense"}):
        with pytest.raises(ConfigError, match="without --tasks, --split, --reward, "):
            evaluate.evaluate(reader.read(runs / "diayn"), **asked, progress=Silent())
    with pytest.raises(ConfigError, match=r"evaluation\.num_tasks: found 2, but skills do not adapt"):
        evaluate.evaluate(reader.read(runs / "diayn"), sets=["evaluation.num_tasks=2"], progress=Silent())
    with pytest.raises(ConfigError, match="deterministic: found true, but the updates of maml are made of"):
        evaluate.evaluate(
            reader.read(runs / "maml"), sets=["evaluation.deterministic=true"], progress=Silent()
        )
    with pytest.raises(ConfigError, match="speed"):
        evaluate.evaluate(reader.read(runs / "maesn"), speed=2, progress=Silent())


@pytest.mark.slow
def test_evaluations_keep(runs, tmp_path):
    """A document for each way and budget: none replaces one with other settings."""
    shutil.copytree(runs / "maesn", tmp_path / "maesn")
    run, folder = reader.read(tmp_path / "maesn"), tmp_path / "maesn" / "eval"
    shutil.rmtree(folder, ignore_errors=True)
    few = ["evaluation.imitation_steps=2", "evaluation.fallback=0.5"]
    asked = (
        ("test-sparse", {}),
        ("test-sparse-num_tasks=2", {"num_tasks": 2}),
        ("test-sparse-explore-imitation_steps=2-fallback=0.5", {"protocol": "explore", "sets": few}),
        ("test-sparse-own", {"protocol": "own"}),
        ("test-sparse", {"sets": ["evaluation.episodes=4"], "num_tasks": 3}),  # as the run has them
    )
    for name, settings in asked:
        before = {file: file.read_bytes() for file in folder.glob("*")}
        result = evaluate.evaluate(run, **settings, progress=Silent())
        assert json.loads((folder / f"{name}.json").read_text()) == result
        assert result["protocol"]["name"] == settings.get("protocol")
        assert all(file.read_bytes() == content for file, content in before.items())
    assert {file.stem for file in folder.iterdir()} == {name for name, _ in asked}
    assert result["protocol"]["changed"] == {}
    assert result["numerics"]["jax_enable_x64"] is False
    assert "jax_default_matmul_precision" in result["numerics"]
    assert result["machine"]["devices"][0].startswith("cpu") and "jax" in result["versions"]
    with pytest.raises(ConfigError, match=r"must be evaluated without .*--protocol"):
        evaluate.evaluate(reader.read(runs / "diayn"), protocol="own", progress=Silent())


@pytest.mark.parametrize(("name", "counted"), [("maml", 5), ("rl2", 1), ("ppo", 0)])
def test_only_episodes_that_are_learned_from_are_counted(name, counted):
    parts = assembly.assemble(resolve(name).experiment)
    budget = Evaluation(adapt_steps=2, episodes=5)
    steps = counted * parts.family.horizon
    assert evaluate._experience(parts, budget) == [0, steps, 2 * steps]


@pytest.mark.parametrize(
    ("name", "sets", "reads"),
    [
        ("rl2", (), True),
        ("pearl", (), True),
        ("pearl", ("algorithm.context_reward=success",), False),
        ("maml", (), False),
    ],
)
def test_a_reward_that_a_learner_never_read_is_noted(name, sets, reads):
    parts = assembly.assemble(resolve(name, *sets).experiment)
    note = parts.note_on_reward("dense", "sparse")
    assert ("tells tasks apart by dense rewards, and now meets sparse ones" in note) == reads
    assert parts.note_on_reward("dense", "dense") == ""


def test_a_learner_that_goes_on_learning_counts_episodes_from_then_on():
    parts = assembly.assemble(resolve("ppo").experiment)
    budget = Evaluation(adapt_steps=3, episodes=5, tune_after=1)
    steps = 5 * parts.family.horizon
    assert evaluate._experience(parts, budget) == [0, 0, steps, 2 * steps]


def test_what_has_no_inner_loop_adapts_in_no_other_way():
    with pytest.raises(ConfigError, match=r"fallback: found 0\.3, but ppo has no inner loop"):
        resolve("ppo", "evaluation.fallback=0.3")


def test_the_users_tasks_are_met(runs, tmp_path):
    np.savez(tmp_path / "mine.npz", tasks=np.array([[0.3, 0.1], [0.0, -0.2]]))
    result = evaluate.evaluate(
        reader.read(runs / "maml"), tasks_file=tmp_path / "mine.npz", progress=Silent()
    )
    assert result["split"] == "tasks-mine" and np.shape(result["per_task"]["return"])[1] == 2
    described = describe.describe_family("point", "test", tmp_path / "mine.npz")
    assert described["num_tasks"] == 2 and described["action"] == {"kind": "continuous", "size": 2}
    # 100 steps at the origin, 0.316 and 0.2 from the goals
    np.testing.assert_allclose(described["dense"]["flat"], -100 * (np.hypot(0.3, 0.1) + 0.2) / 2, rtol=1e-5)
    assert described["dense"]["feasible"] > -1 and len(described["sparse"]["per_task"]["flat"]) == 2


def test_memory_that_is_short_names_what_to_lower(monkeypatch, runs):
    def fails(*_):
        raise MemoryError

    monkeypatch.setattr(adaptation, "reference_lines", fails)
    with pytest.raises(MachineLimit, match=r"need less: evaluation.episodes below 4, or below 2 tasks"):
        evaluate.evaluate(reader.read(runs / "maml"), num_tasks=2, progress=Silent())


def test_a_result_that_is_not_finite_is_not_written(monkeypatch, runs):
    bad = np.zeros((2, 3, 2))
    bad[1, 2, 0] = np.nan
    monkeypatch.setattr(adaptation, "adaptation_curves", lambda *_: Adaptation(bad, bad, bad))
    with pytest.raises(Diverged, match=r"returns\[1, 2, 0\] is not finite, and was not written"):
        evaluate.evaluate(
            reader.read(runs / "maml"), split="train", reward="dense", num_tasks=3, progress=Silent()
        )
    assert not (runs / "maml" / "eval" / "train-dense.json").exists()


def test_nothing_is_computed_that_cannot_be_written(monkeypatch, runs):
    (runs / "maml" / "eval").mkdir(exist_ok=True)
    locked = str(runs / "maml" / "eval")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != locked)  # root may write anywhere
    monkeypatch.setattr(assembly, "assemble", None)
    with pytest.raises(StorageError, match="eval: cannot be written to"):
        evaluate.evaluate(reader.read(runs / "maml"), progress=Silent())


def test_skills_are_diagnosed_by_their_most_likely_actions_where_that_is_asked_for(monkeypatch, runs):
    assert json.loads((runs / "diayn" / "skills.json").read_text())["deterministic"] is False
    monkeypatch.setattr(
        evaluate, "diagnose", lambda path, trained, settings, **_: {"mode": settings.deterministic}
    )
    for sets, mode in (((), False), (["evaluation.deterministic=true"], True)):
        assert evaluate.evaluate(reader.read(runs / "diayn"), sets=sets, progress=Silent())["mode"] is mode
