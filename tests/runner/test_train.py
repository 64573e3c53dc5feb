"""The main job on the kinematic point, as small as it goes: train, die, resume, evaluate, report."""

import json
import os
import resource
import shutil
import signal
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hmrl_cli
from hmrl_cli import config
from hmrl_cli.config import plugins
from hmrl_cli.errors import ConfigError, Diverged, InputError, Interrupted, RunDirError, StorageError
from hmrl_cli.evaluation import adaptation
from hmrl_cli.report import page as pages
from hmrl_cli.report import viewer
from hmrl_cli.report.comparison import compare
from hmrl_cli.runner import assembly, describe, diagnose, evaluate, render, signals
from hmrl_cli.runner import tasks as task_files
from hmrl_cli.runner import train as training
from hmrl_cli.runner.progress import Silent
from hmrl_cli.runner.trained import open_trained, skills_experiment
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage import checkpoints, reader
from hmrl_cli.storage.locks import held
from hmrl_cli.storage.naming import open_run
from hmrl_cli.types import Adaptation, AdaptState
from tests import toys

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once

ALGORITHMS = ("diayn", "diayn_ppo", "maml", "maesn", "ppo")
# what an algorithm has beside the smoke preset
SETTINGS = {
    "diayn_ppo": (
        "algorithm.discriminate=xy",
        "algorithm.observe=identity",
        "algorithm.ppo.hidden=[16]",
        "algorithm.ppo.minibatches=4",
    ),
    "ppo": ("algorithm.episodes_per_update=4", "bonus.name=rnd", "bonus.hidden=[8]"),
    "rl2": (
        "algorithm.trials_per_update=4",
        "algorithm.episodes_per_trial=2",
        "algorithm.memory_size=8",
        "algorithm.ppo.hidden=[8]",
        "algorithm.ppo.minibatches=2",
    ),
    "sac": (
        "algorithm.episodes_per_update=4",
        "algorithm.gradient_steps=4",
        "algorithm.buffer_capacity=100",
        "bonus.name=counts",
        "bonus.bits=8",
    ),
}


# the algorithms whose runs take longest to compile, and two ways of standing on skills
_ON_PPO = ("algorithm.observe=identity", "algorithm.ppo.hidden=[16]", "algorithm.ppo.minibatches=4")
SLOW = {
    "vic": _ON_PPO,
    "dads": _ON_PPO,
    "metra": _ON_PPO,
    "csf": _ON_PPO,
    "pearl": (
        "algorithm.tasks_per_update=2",
        "algorithm.gradient_steps=2",
        "algorithm.buffer_capacity=200",
        "algorithm.context_size=20",
        "algorithm.sac.hidden=[16]",
    ),
    "rl2": (),
    "sac": (),
    "maesn": ("hierarchy.steps_per_skill=2",),
    "ppo": ('hierarchy.use="start"', *_ON_PPO[1:]),
}


class Dies(Silent):
    """Ends the process, as it were, right after the metrics of an epoch were written."""

    def __init__(self, epoch):
        self.last = epoch

    def epoch(self, epoch, total, metrics, steps_per_second):
        if epoch == self.last:
            raise RuntimeError("power cut")


class Fills(Silent):
    """Leaves no room on the disk, as it were, from an epoch on."""

    def __init__(self, epoch):
        self.first = epoch

    def epoch(self, epoch, total, metrics, steps_per_second):
        if epoch == self.first:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


class Stops(Silent):
    """Asks to stop, as TERM does, once this phase or epoch has been seen."""

    def __init__(self, after):
        self.after, self.asked = after, None

    def phase(self, name):
        self._see(name)

    def epoch(self, epoch, total, metrics, steps_per_second):
        self._see(epoch)

    def _see(self, what):
        if what == self.after:
            self.asked = signal.SIGTERM


def resolve(algorithm, *sets, skills=None):
    smaller = ["family.horizon=6", "training.epochs=4", "training.checkpoint_every=2"]
    smaller += [*SETTINGS.get(algorithm, ()), *sets]
    if algorithm != "diayn":
        smaller.append(f"algorithm.name={algorithm}")
    flags = {"hierarchy.skills": str(skills)} if skills else {}
    command = plugins.load("algorithms", algorithm).Config.command
    return config.resolve(command, "point/smoke", smaller, flags)


def train(path, resolved, resume=False, progress=None, stop=lambda: None):
    with open_run(resolved, path, resume) as run:
        summary = training.train(resolved, run, resume, progress or Silent(), stop)
        run.complete(summary)
    return summary


def content(path):
    """What must not depend on whether a run was interrupted."""
    epoch, arrays_sha256 = checkpoints.fingerprint(path / "checkpoints")
    assert epoch == 4
    return arrays_sha256, (path / "metrics.jsonl").read_bytes()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One whole run of each of the algorithms, and an HMRL run over the skills."""
    folder = tmp_path_factory.mktemp("runs")
    for algorithm in ALGORITHMS:
        train(folder / algorithm, resolve(algorithm, "training.num_seeds=2"))
    hierarchical = resolve(
        "maesn", "hierarchy.steps_per_skill=2", "training.num_seeds=3", skills=folder / "diayn"
    )
    train(folder / "hmrl", hierarchical)
    return folder


def content_of_a_run_that_died(path, resolved, monkeypatch):
    """Resumed, it is the same program as it was, which a cache of compiled programs holds."""
    compile_epoch, compiled = training._compile_epoch, []

    def seen(*arguments):
        compiled.append(jax.tree.map(jax.typeof, arguments[2:]))
        return compile_epoch(*arguments)

    monkeypatch.setattr(training, "_compile_epoch", seen)
    with pytest.raises(RuntimeError, match="power cut"):
        train(path, resolved, progress=Dies(3))
    assert len((path / "metrics.jsonl").read_bytes().splitlines()) == 3  # one beyond the checkpoint
    train(path, resolved, resume=True)
    assert compiled[0] == compiled[1]
    return content(path)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_run_that_died_ends_as_one_that_never_did(algorithm, runs, tmp_path, monkeypatch):
    resolved = resolve(algorithm, "training.num_seeds=2")
    assert content_of_a_run_that_died(tmp_path / "run", resolved, monkeypatch) == content(runs / algorithm)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", SLOW)
def test_any_algorithm_goes_on_exactly(algorithm, runs, tmp_path, monkeypatch):
    skills = {"maesn": runs / "diayn", "ppo": runs / "diayn_ppo"}.get(algorithm)
    resolved = resolve(algorithm, *SLOW[algorithm], skills=skills)
    train(tmp_path / "whole", resolved)
    whole = content(tmp_path / "whole")
    assert content_of_a_run_that_died(tmp_path / "cut", resolved, monkeypatch) == whole


def test_a_run_ends_as_any_other_after_a_full_disk(runs, tmp_path):
    resolved, limits = resolve("maml", "training.num_seeds=2"), resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "run"
    try:
        with pytest.raises(StorageError, match="cannot be written") as caught:
            train(path, resolved, progress=Fills(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.exit_code == 74 and checkpoints.epochs(path / "checkpoints") == [2]
    train(path, resolved, resume=True)
    assert content(path) == content(runs / "maml")


def test_a_signal_ends_a_run_and_what_was_trained_is_kept(runs, tmp_path):
    resolved = resolve("maml", "training.num_seeds=2")
    path = tmp_path / "run"
    for after, epochs in (("compiling", []), (1, [1]), ("compiling", [1]), (3, [3, 2])):
        stops = Stops(after)
        with pytest.raises(Interrupted, match="epoch") as caught:
            train(path, resolved, resume=path.exists(), progress=stops, stop=lambda stops=stops: stops.asked)
        assert caught.value.exit_code == 75
        assert checkpoints.epochs(path / "checkpoints") == epochs
        assert ("before the first epoch" in str(caught.value)) == (epochs == [])
    train(tmp_path / "run", resolved, resume=True)
    assert content(tmp_path / "run") == content(runs / "maml")


def test_another_seed_is_another_run(runs, tmp_path):
    train(tmp_path / "run", resolve("maml", "training.num_seeds=2", "training.seed=5"))
    assert content(tmp_path / "run")[0] != content(runs / "maml")[0]


def test_a_run_can_be_watched(runs, monkeypatch):
    """Every skill; and the policy before and after adaptation, directly or through the skills."""
    documents = []
    monkeypatch.setattr(viewer, "page", lambda document: documents.append(document) or "page")
    settings = {"split": "test", "reward": "sparse", "num_tasks": 2, "out": None, "progress": Silent()}
    for name in ("diayn", "maesn", "hmrl"):
        assert render.render_run(runs / name, **settings) == runs / name / "render.html"
    labels = [[episode["label"] for episode in document["episodes"]] for document in documents]
    assert labels[0] == ["skill 0", "skill 1", "skill 2", "skill 3"]
    moments = ("before adaptation", "after 1 update")
    assert labels[1] == labels[2] == [f"test task {i}: {when}" for i in (1, 2) for when in moments]
    assert {episode["frames"] for document in documents for episode in document["episodes"]} == {7}


def test_exploration_is_shown_directly_and_through_skills(runs):
    for name, seeds in (("maml", 2), ("hmrl", 3)):
        numbers, picture = diagnose.explore(runs / name, Silent(), draws=3, episodes=2)
        assert set(numbers) == {"end_spread", "share_of_draws"}
        assert all(len(per_seed) == seeds for per_seed in numbers.values())
        assert min(numbers["end_spread"]) > 0 and 0 <= min(numbers["share_of_draws"]) <= 1
        assert picture.startswith("<svg") and picture.count('<g id="axes_') == seeds


def test_an_evaluation_tells_everything_the_contract_asks(runs):
    result = evaluate.evaluate(runs / "maesn", split="hidden", reward="sparse", progress=Silent())
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
    again = evaluate.evaluate(runs / "maesn", split="hidden", reward="sparse", progress=Silent())
    assert again == result


def test_a_family_without_a_controller_is_evaluated_reported_and_watched(runs, tmp_path, monkeypatch):
    original = plugins.load("families", "point").make
    assembly.make_family.cache_clear()
    try:
        monkeypatch.setattr(
            plugins.load("families", "point"), "make", lambda x: original(x)._replace(controller=None)
        )
        shutil.copytree(runs / "maml", tmp_path / "maml")
        result = evaluate.evaluate(tmp_path / "maml", progress=Silent())
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


def test_an_evaluation_may_adapt_in_another_way(runs):
    rule = ["evaluation.rule=refit", "evaluation.fallback=0.5", "evaluation.imitation_steps=2"]
    rule.append("evaluation.late_fallback=0.5")
    result = evaluate.evaluate(runs / "maesn", num_tasks=2, adapt_steps=2, sets=rule, progress=Silent())
    told = {"rule": "refit", "imitation_steps": 2, "late_fallback": 0.5, "fallback": 0.5, "latent_std": 1.0}
    assert told | {"tune_after": None, "step_decay": None} == {
        name: result["adaptation"][name] for name in (*told, "tune_after", "step_decay")
    }
    assert result["adaptation"]["least_gain"] > 0  # as calibrated
    episodes, horizon = result["episodes"], 6
    assert result["env_steps"] == [0, episodes * horizon, 2 * episodes * horizon]
    assert np.isfinite(result["per_task"]["return"]).all()
    with pytest.raises(ConfigError, match=r"of a trained run, only evaluation\.\* can be set"):
        evaluate.evaluate(runs / "maesn", sets=["family.horizon=3"], progress=Silent())
    with pytest.raises(ConfigError, match=r"evaluation\.episodes: found 1; must be 2 or more"):
        evaluate.evaluate(runs / "maesn", episodes=1, progress=Silent())
    with pytest.raises(ConfigError, match=r"imitation_steps: found 0; must be more with maml, which has no"):
        evaluate.evaluate(runs / "maml", sets=["evaluation.rule=refit"], progress=Silent())
    with pytest.raises(ConfigError, match=r"latent_std: found 3\.0, but maml has no latent; must be 1\.0"):
        evaluate.evaluate(runs / "maml", sets=["evaluation.latent_std=3.0"], progress=Silent())
    with pytest.raises(ConfigError, match="diayn: is a run of skills, which do not adapt"):
        evaluate.evaluate(runs / "diayn", episodes=2, progress=Silent())
    with pytest.raises(ConfigError, match=r"evaluation\.num_tasks: found 2, but skills do not adapt"):
        evaluate.evaluate(runs / "diayn", sets=["evaluation.num_tasks=2"], progress=Silent())
    with pytest.raises(ConfigError, match="deterministic: found true, but the updates of maml are made of"):
        evaluate.evaluate(runs / "maml", sets=["evaluation.deterministic=true"], progress=Silent())
    with pytest.raises(ConfigError, match="speed"):
        evaluate.evaluate(runs / "maesn", speed=2, progress=Silent())


@pytest.mark.parametrize(("name", "counted"), [("maml", 5), ("rl2", 1), ("ppo", 0)])
def test_only_episodes_that_are_learned_from_are_counted(name, counted):
    parts = assembly.assemble(resolve(name).experiment)
    budget = Evaluation(adapt_steps=2, episodes=5)
    steps = counted * parts.family.horizon
    assert evaluate._experience(parts, budget) == [0, steps, 2 * steps]


def test_what_has_no_inner_loop_adapts_in_no_other_way():
    with pytest.raises(ConfigError, match=r"fallback: found 0\.3, but ppo has no inner loop; must be 0\.0"):
        resolve("ppo", "evaluation.fallback=0.3")


def test_a_controller_keeps_the_skills_it_stands_on(runs, tmp_path):
    """Wherever the skill run went, and with a skill seed for every seed of its own, in turn."""
    hmrl = tmp_path / "hmrl"
    shutil.copytree(runs / "hmrl", hmrl)
    hidden = runs / "diayn-moved"
    (runs / "diayn").rename(hidden)
    try:
        result = evaluate.evaluate(hmrl, num_tasks=2, episodes=3, adapt_steps=2, progress=Silent())
    finally:
        hidden.rename(runs / "diayn")
    assert np.shape(result["per_task"]["return"]) == (3, 2, 3)
    parts = assembly.assemble(reader.read(hmrl).experiment, config.load(hmrl / "skills.toml"))
    shapes = assembly.state_shapes(reader.read(hmrl).experiment, parts)
    _, skills = reader.read_checkpoint(hmrl, shapes).tree
    trained = reader.read(runs / "diayn").experiment
    source = assembly.assemble(trained)
    state, _ = reader.read_checkpoint(runs / "diayn", assembly.state_shapes(trained, source)).tree
    for own, original in zip(
        jax.tree.leaves(skills), jax.tree.leaves(source.make_learner(None).freeze(state)), strict=True
    ):
        np.testing.assert_array_equal(own, original[np.array([0, 1, 0])])


def test_a_seed_has_the_same_skills_alone_and_beside_others(runs):
    def loaded(*seeds):
        resolved = resolve("maesn", "hierarchy.steps_per_skill=2", *seeds, skills=runs / "diayn")
        skills_from = skills_experiment(resolved.experiment)
        parts = assembly.assemble(resolved.experiment, skills_from)
        return jax.tree.leaves(training._load_skills(resolved.experiment, skills_from, parts, None))

    for both, alone in zip(loaded("training.num_seeds=2"), loaded("training.seed=1"), strict=True):
        np.testing.assert_array_equal(both[1], alone[0])
        assert both.ndim == 1 or not np.array_equal(both[0], both[1]) or not both.any()


def test_the_users_tasks_are_met(runs, tmp_path):
    np.savez(tmp_path / "mine.npz", tasks=np.array([[0.3, 0.1], [0.0, -0.2]]))
    result = evaluate.evaluate(runs / "maml", tasks_file=tmp_path / "mine.npz", progress=Silent())
    assert result["split"] == "tasks-mine" and np.shape(result["per_task"]["return"])[1] == 2
    described = describe.describe_family("point", "test", tmp_path / "mine.npz")
    assert described["num_tasks"] == 2 and described["action"] == {"kind": "continuous", "size": 2}
    # 100 steps at the origin, 0.316 and 0.2 from the goals
    np.testing.assert_allclose(described["dense"]["flat"], -100 * (np.hypot(0.3, 0.1) + 0.2) / 2, rtol=1e-5)
    assert described["dense"]["feasible"] > -1 and len(described["sparse"]["per_task"]["flat"]) == 2


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"goals": np.zeros((2, 2))}, "holds no array 'tasks', only 'goals'"),
        ({"tasks": np.zeros((2, 3))}, r"shape \(2, 3\); must be \(number of tasks, 2\)"),
        ({"tasks": np.zeros((0, 2))}, r"shape \(0, 2\)"),
        ({"tasks": np.array([["a", "b"]])}, "dtype <U1; must be numbers"),
        ({"tasks": np.array([[0.0, 1.0], [np.nan, 0.0]])}, r"row 1 of tasks is \[nan, 0.0\]; must be finite"),
        ({"tasks": np.array([[0, -(2**63)]])}, "row 0 .* must be finite"),
        ({"tasks": np.array([[0.0, 1e300]])}, "row 0 .* must be finite, below 1e\\+06"),
        ({"tasks": np.array([[None, None]])}, "tasks holds Python objects"),
    ],
)
def test_bad_task_files_are_refused_by_name(arrays, complaint, tmp_path):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=complaint) as caught:
        task_files.read_tasks(tmp_path / "bad.npz", toys.walker())
    assert "bad.npz" in str(caught.value) and len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("name", "rows", "complaint"),
    [
        ("pusher", [[4.0] + 15 * [0.0], [4.5] + 15 * [0.0]], "row 1 .* no task of pusher"),
        (
            "half_cheetah_dir",
            [[-1.0], [1.0], [0.5]],
            r"row 2 of tasks is \[0.5\], no task of half_cheetah_dir",
        ),
    ],
)
def test_rows_that_are_no_task_are_refused(name, rows, complaint, tmp_path):
    family = assembly.make_family(config.family_of(name))
    np.savez(tmp_path / "tasks.npz", tasks=rows[:-1])
    assert task_files.read_tasks(tmp_path / "tasks.npz", family).shape == (len(rows) - 1, family.task_size)
    np.savez(tmp_path / "tasks.npz", tasks=rows)
    with pytest.raises(InputError, match=complaint):
        task_files.read_tasks(tmp_path / "tasks.npz", family)


def test_files_that_are_no_archive_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "good.npz", tasks=np.random.default_rng(0).normal(size=(50, 2)))
    whole = (tmp_path / "good.npz").read_bytes()
    np.save(tmp_path / "plain.npy", np.zeros((2, 2)))
    contents = [b"PK\x03\x04 not really", b"", (tmp_path / "plain.npy").read_bytes()]
    contents += [whole[:size] for size in range(0, len(whole), 97)]
    contents += [whole[:place] + b"\xff\xff" + whole[place + 2 :] for place in range(60, 260, 20)]
    for content in contents:
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"bad.npz: "):
            task_files.read_tasks(tmp_path / "bad.npz", toys.walker())


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", tasks=np.zeros((1000, 2)))
    monkeypatch.setattr(task_files, "MAX_BYTES", 16_000)
    with pytest.raises(InputError, match=r"bomb.npz: unpacks to more than 16,000 bytes"):
        task_files.read_tasks(tmp_path / "bomb.npz", toys.walker())


def test_a_skill_length_that_does_not_divide_the_horizon_is_refused(runs):
    with pytest.raises(
        ConfigError,
        match=r"steps_per_skill: a decision every 4 steps does not divide the horizon of point, 6",
    ):
        training.check(resolve("maesn", "hierarchy.steps_per_skill=4", skills=runs / "diayn"))


def test_a_feature_that_the_family_lacks_is_refused():
    with pytest.raises(ConfigError, match="discriminate: point has no feature 'speed'"):
        training.check(resolve("diayn", "algorithm.discriminate=speed"))


def test_a_bonus_for_a_feature_that_the_family_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"bonus.observe: point has no feature 'speed', only identity, xy"):
        training.check(resolve("ppo", "bonus.observe=speed"))
    with pytest.raises(ConfigError, match=r"bonus.name: found 'rnd', but maml takes no bonus; .* ppo, sac"):
        resolve("maml", "bonus.name=rnd")


@pytest.mark.slow
def test_a_learner_from_scratch_explores_through_skills(runs, tmp_path):
    """A run keeps its bonus, and is measured like any other."""
    sets = ("hierarchy.steps_per_skill=2", "bonus.name=icm", "algorithm.ppo.minibatches=4")
    resolved = resolve("ppo", *sets, skills=runs / "diayn")
    train(tmp_path / "run", resolved)
    assert reader.read(tmp_path / "run").experiment.bonus.name == "icm"
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])["bonus"] > 0
    result = evaluate.evaluate(tmp_path / "run", num_tasks=2, adapt_steps=2, progress=Silent())
    assert np.shape(result["per_task"]["return"]) == (1, 2, 3)


@pytest.mark.slow
def test_a_policy_starts_as_the_best_skill(runs, tmp_path):
    """Its first policy is one of the skills, folded, and it is an ordinary run from then on."""
    skills = reader.read(runs / "diayn_ppo")
    hidden = ("algorithm.ppo.hidden=[16]", "algorithm.ppo.minibatches=4")
    start = resolve("ppo", 'hierarchy.use="start"', *hidden, skills=runs / "diayn_ppo")
    parts = assembly.assemble(start.experiment, skills.experiment)
    assert parts.held == 1 and parts.act_on(None).horizon == 6
    trained = open_trained(runs / "diayn_ppo", "sparse", Silent())
    frozen = jax.tree.map(lambda x: x[0], trained.parts.make_learner(None).freeze(trained.state))
    state = jax.jit(lambda key: training._begin(start.experiment, parts, key, frozen))(jax.random.key(0))
    library, obs = parts.skill_learner.skills(frozen), jnp.array([0.3, -0.2])
    act = parts.make_learner(frozen).behaviour
    adapted = AdaptState({"policy": state.agent.policy, "observed": state.observed}, None)
    first = act(jax.random.key(0), adapted)(jax.random.key(1), obs)[0]
    of_skills = [library.policy(frozen, obs, z).sample(jax.random.key(1)) for z in library.examples]
    assert min(np.abs(first - skill).max() for skill in of_skills) < 1e-5
    train(tmp_path / "run", start)
    result = evaluate.evaluate(tmp_path / "run", num_tasks=2, adapt_steps=0, progress=Silent())
    assert np.shape(result["per_task"]["return"]) == (1, 2, 1)


def test_only_what_fits_starts_as_a_skill(runs, tmp_path):
    with pytest.raises(
        ConfigError, match="use: found 'start' for ppo and skills of diayn; must be ppo and sk"
    ):
        training.check(resolve("ppo", 'hierarchy.use="start"', skills=runs / "diayn"))
    other = resolve("ppo", 'hierarchy.use="start"', "algorithm.ppo.hidden=[5]", skills=runs / "diayn_ppo")
    with pytest.raises(ConfigError, match=r"algorithm\.ppo\.hidden: found"):
        training.check(other)
    with pytest.raises(ConfigError, match="use: found 'start' for maesn and skills of diayn; must be ppo"):
        training.check(resolve("maesn", 'hierarchy.use="start"', skills=runs / "diayn"))


def test_the_plan_counts_environment_steps(runs):
    plan = training.check(resolve("maesn", "hierarchy.steps_per_skill=3", skills=runs / "diayn"))
    # 2 tasks, 4 episodes, before and after the inner update, 6 steps each
    assert plan["steps_per_update"] == 2 * 4 * 2 * 6 and plan["updates"] == 4
    assert training.check(resolve("maesn", "training.action_repeat=2"))["steps_per_update"] == 2 * 4 * 2 * 6


def test_the_package_offers_the_commands_as_functions(tmp_path):
    small = ("family.horizon=6", "training.epochs=4", "training.checkpoint_every=2")
    two = "training.num_seeds=2"  # as `runs` has, whose programs are compiled
    skills = hmrl_cli.pretrain_skills("point/smoke", *small, two, run_dir=tmp_path / "skills")
    lifted = ("hierarchy.steps_per_skill=2", "training.num_seeds=3")
    run = hmrl_cli.meta_train("point/smoke", *small, *lifted, skills=skills, run_dir=tmp_path / "run")
    assert reader.read(run).status["state"] == "complete"
    assert hmrl_cli.meta_train("point/smoke", *small, *lifted, skills=skills, run_dir=run, resume=True) == run
    assert hmrl_cli.evaluate(run, split="train", adapt_steps=1)["split"] == "train"
    with pytest.raises(RunDirError, match="never overwritten"):
        hmrl_cli.pretrain_skills("point/smoke", *small, run_dir=skills)


def test_divergence_names_the_leaf_and_keeps_what_was_finite(monkeypatch, runs, tmp_path):
    """An environment that gives NaN from the third epoch on."""
    path, resolved = tmp_path / "run", resolve("maml", "training.num_seeds=2")
    with pytest.raises(RuntimeError, match="power cut"):
        train(path, resolved, progress=Dies(3))
    train_on = partial(train, path, resolved, resume=True)
    original = plugins.load("families", "point").make

    def poisoned(settings):
        family = original(settings)
        return family._replace(step=lambda *a: family.step(*a)._replace(reward=jnp.float32(jnp.nan)))

    assembly.make_family.cache_clear()
    try:
        with monkeypatch.context() as patch, pytest.raises(Diverged, match="optimizer/direction") as caught:
            patch.setattr(plugins.load("families", "point"), "make", poisoned)
            train_on()
    finally:
        assembly.make_family.cache_clear()
    assert caught.value.exit_code == 76 and "epoch 3" in str(caught.value)
    assert reader.read(path).status["state"] == "diverged"
    train_on()
    assert content(path) == content(runs / "maml")


def test_a_result_that_is_not_finite_is_not_written(monkeypatch, runs):
    bad = np.zeros((2, 3, 2))
    bad[1, 2, 0] = np.nan
    monkeypatch.setattr(adaptation, "adaptation_curves", lambda *_: Adaptation(bad, bad, bad))
    with pytest.raises(Diverged, match=r"returns\[1, 2, 0\] is not finite, and was not written"):
        evaluate.evaluate(runs / "maml", split="train", reward="dense", num_tasks=3, progress=Silent())
    assert not (runs / "maml" / "eval" / "train-dense.json").exists()


def test_nothing_is_computed_that_cannot_be_written(monkeypatch, runs):
    (runs / "maml" / "eval").mkdir(exist_ok=True)
    locked = str(runs / "maml" / "eval")
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != locked)  # root may write anywhere
    monkeypatch.setattr(assembly, "assemble", None)
    with pytest.raises(StorageError, match="eval: cannot be written to"):
        evaluate.evaluate(runs / "maml", progress=Silent())


def test_skills_are_not_diagnosed_while_they_are_trained(runs):
    with held(runs / "diayn"), pytest.raises(RunDirError, match="to read it: once that has ended"):
        evaluate.evaluate(runs / "diayn", progress=Silent())


def test_skills_are_diagnosed_and_drawn(runs):
    numbers = json.loads((runs / "diayn" / "skills.json").read_text())
    digest = checkpoints.fingerprint(runs / "diayn" / "checkpoints")
    assert (numbers["epoch"], numbers["arrays_sha256"]) == digest
    assert np.shape(numbers["displacement"]) == (2, 4) and 0 <= numbers["accuracy"][0] <= 1
    picture = (runs / "diayn" / "skills.svg").read_text()
    assert picture.startswith("<svg") and picture.count('<g id="axes_') == 2
    page = (runs / "diayn" / "skills.html").read_text()
    assert "diayn: skills" in page and page.count('"label":"skill ') == 4
    result = evaluate.evaluate(runs / "diayn", progress=Silent())
    assert result["accuracy"] == numbers["accuracy"]


def test_skills_are_diagnosed_by_their_most_likely_actions_where_that_is_asked_for(monkeypatch, runs):
    assert json.loads((runs / "diayn" / "skills.json").read_text())["deterministic"] is False
    monkeypatch.setattr(
        evaluate, "diagnose", lambda path, trained, deterministic, **_: {"mode": deterministic}
    )
    for sets, mode in (((), False), (["evaluation.deterministic=true"], True)):
        assert evaluate.evaluate(runs / "diayn", sets=sets, progress=Silent())["mode"] is mode


def test_a_signal_ends_the_diagnosis_of_skills(runs, tmp_path):
    trained = open_trained(runs / "diayn", "sparse", Silent())
    with pytest.raises(Interrupted, match="checkpoint of epoch 4 is safe"):
        diagnose.diagnose(tmp_path, trained, False, stop=lambda: signal.SIGTERM)
    while signals.goes_on():
        time.sleep(0.1)
    assert not list(tmp_path.iterdir())


def test_reports_compare_what_met_the_same_tasks_and_stand_alone(runs, tmp_path):
    for name in ("maml", "maesn"):
        evaluate.evaluate(runs / name, split="test", progress=Silent())
    compared = compare([runs / "maml", runs / "maesn"])
    rows = compared["rows"]
    assert {(row["run"], row["split"]) for row in rows} >= {("maml", "test"), ("maesn", "test")}
    assert ("maml", "maesn", "test") in {
        (one["run"], one["minus"], one["split"]) for one in compared["differences"]
    }
    assert {row["adaptation"] for row in rows} >= {"own update"}
    other = runs / "maesn" / "eval" / "test-sparse.json"
    document = json.loads(other.read_text())
    document["adaptation"] |= {"rule": "refit", "imitation_steps": 2}
    other.write_text(json.dumps(document))
    (row,) = [row for row in compare([runs / "maesn"])["rows"] if row["split"] == "test"]
    assert row["adaptation"] == "rule refit, imitation_steps 2"
    assert row["env_steps"] == document["env_steps"][-1] > 0
    page = pages.write([runs / "maml", runs / "maesn", runs / "diayn"], tmp_path / "r.html").read_text()
    assert page.count("<svg") == 2 and "default-src 'none'" in page and "<script" not in page
    assert not [link for link in page.split('"') if link.startswith("http") and "w3.org" not in link]
    with pytest.raises(InputError, match="diayn: is a run of skills, which do not adapt"):
        pages.write([runs / "diayn"], tmp_path / "skills.svg")
    with pytest.raises(ConfigError, match=r"-o: found 'r.pdf'; must end in .html"):
        pages.write([runs / "maml"], tmp_path / "r.pdf")
    assert pages.write([runs / "maml"], tmp_path / "r.svg").read_text().startswith("<svg")
    assert (
        page == pages.write([runs / "maml", runs / "maesn", runs / "diayn"], tmp_path / "s.html").read_text()
    )
    newest = runs / "maml" / "checkpoints" / "4"
    newest.rename(tmp_path / "4")
    with pytest.raises(InputError, match="is of epoch 4, and not of the newest checkpoint, 2") as caught:
        compare([runs / "maml"])
    assert str(caught.value).endswith(" --reward sparse")
    (tmp_path / "4").rename(newest)
    evaluate.evaluate(runs / "maesn", split="test", num_tasks=2, progress=Silent())
    with pytest.raises(InputError, match="test-sparse: its tasks are not those of the other runs"):
        compare([runs / "maml", runs / "maesn"])


@pytest.mark.parametrize(
    ("algorithm", "sets", "complaint"),
    [
        ("maesn", ["algorithm.tasks_per_update=9"], "tasks_per_update: found 9; must be at most .*, 4"),
        ("diayn", ["algorithm.buffer_capacity=10"], "buffer_capacity: found 10; must hold one update, 24"),
        ("maml", ["algorithm.hidden=[0]"], "algorithm.hidden.0: found 0"),
        ("maml", ["algorithm.hidden=[65536, 65536, 65536]"], "the state would take 1312 GiB"),
    ],
)
def test_sizes_that_cannot_work_are_refused_before_anything_is_compiled(algorithm, sets, complaint):
    with pytest.raises(ConfigError, match=complaint):
        training.check(resolve(algorithm, *sets))


def test_skills_of_another_body_are_refused(runs):
    config_of_another = reader.read(runs / "diayn").experiment.family
    assert config_of_another.sparse_radius != 0.2
    with pytest.raises(InputError, match=r"trained with family.sparse_radius = 0.1; must be as here, 0.2"):
        training.check(
            resolve("maesn", "family.sparse_radius=0.2", "hierarchy.steps_per_skill=2", skills=runs / "diayn")
        )


def test_actions_are_not_held_through_skills(runs):
    with pytest.raises(ConfigError, match="action_repeat: found 2; must be 1 with a hierarchy"):
        resolve("maesn", "training.action_repeat=2", skills=runs / "diayn")


@pytest.mark.slow
def test_skills_can_be_learned_over_skills_but_not_acted_through(runs, tmp_path):
    over = resolve("diayn", f"hierarchy.skills={runs / 'diayn'}", "hierarchy.steps_per_skill=2")
    summary = train(tmp_path / "over", over)
    assert np.shape(summary["skills"]["displacement"]) == (1, 4)
    with pytest.raises(InputError, match="must act directly"):
        training.check(resolve("maesn", "hierarchy.steps_per_skill=2", skills=tmp_path / "over"))
