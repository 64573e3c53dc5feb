"""The package from Python."""

from pathlib import Path

import pytest

import hmrl_cli
from hmrl_cli.errors import ConfigError, HmrlError, Interrupted, RunDirError
from hmrl_cli.runner.train import settled
from hmrl_cli.storage import reader, upstream
from tests.runner.test_train import Stops
from tests.trainings import SMALL, content, one_program, resolve, train

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


def test_the_package_offers_the_commands_as_functions(runs):
    """`runs` has the skills and what stands on them by these functions."""
    skills, run = runs / "diayn", runs / "hmrl"
    assert reader.read(skills).status["state"] == reader.read(run).status["state"] == "complete"
    lifted = ("hierarchy.steps_per_skill=2", "training.num_seeds=3")
    assert hmrl_cli.meta_train("point/smoke", *SMALL, *lifted, skills=skills, run_dir=run, resume=True) == run
    assert hmrl_cli.resume(run) == run
    assert hmrl_cli.evaluate(run, split="train", adapt_steps=1)["split"] == "train"
    compared = hmrl_cli.compare(run)
    assert {(row["family"], row["seeds"]) for row in compared["rows"]} == {("point", 3)}
    with pytest.raises(RunDirError, match="never overwritten"):
        hmrl_cli.pretrain_skills("point/smoke", *SMALL, run_dir=skills)


def test_wrong_arguments_are_errors_of_hmrl(runs):
    run = runs / "maml"
    for wrong, told in ({"split": "foo"}, "split: found 'foo'"), ({"tasks_file": "one.npz"}, r"one\.npz"):
        with pytest.raises(HmrlError, match=told):
            hmrl_cli.evaluate(run, **wrong)
    with pytest.raises(HmrlError, match="more_epochs: found '3'; must be 1 or more"):
        hmrl_cli.resume(run, more_epochs="3")
    with pytest.raises(HmrlError, match="maml twice; must be different runs"):
        hmrl_cli.compare(run, run)
    with pytest.raises(HmrlError, match="rule: found 'x'"):
        hmrl_cli.evaluate(run, sets="evaluation.rule = 'x'")
    with pytest.raises(HmrlError, match=r"no\.toml"):
        hmrl_cli.pretrain_skills(Path("no.toml"))
    with pytest.raises(HmrlError, match=r"--set: found \['training.epochs=1'\]; must be a text"):
        hmrl_cli.pretrain_skills("point/smoke", ["training.epochs=1"])
    for of_split in ({"split": "test"}, {"num_tasks": 3}):
        with pytest.raises(HmrlError, match=f"^{next(iter(of_split))}: found together with tasks_file"):
            hmrl_cli.evaluate(run, tasks_file="tasks.npz", **of_split)
    with pytest.raises(
        HmrlError, match="task: found 4294967296; must be a whole number from 0 to 4294967295"
    ):
        hmrl_cli.adapt(run, task=2**32)


@pytest.mark.parametrize(
    ("call", "settings", "told"),
    [
        ("evaluate", {"splt": "test"}, "splt: unknown argument; did you mean 'split'?"),
        ("evaluate", {"reword": "dense"}, "reword: unknown argument; did you mean 'reward'?"),
        ("evaluate", {"episode": 3}, "episode: unknown argument; did you mean 'episodes'?"),
        ("evaluate", {"stops": 3}, "stops: unknown argument; did you mean relabel={'stops': ...}?"),
        ("adapt", {"sed": 1}, "sed: unknown argument; did you mean 'seed'?"),
        ("gym_env", {"rewrd": "dense"}, "rewrd: unknown argument; did you mean 'reward'?"),
        ("brax_env", {"progress": None}, "progress: unknown argument"),
    ],
)
def test_a_mistyped_argument_is_told_the_arguments(call, settings, told):
    with pytest.raises(ConfigError) as caught:
        getattr(hmrl_cli, call)("point", **settings)
    first, second = str(caught.value).splitlines()
    names = second.removeprefix("must be one of: ").split(", ")
    assert first == told and "reward" in names and "progress" not in names
    assert ("episodes" in names) == (call in ("evaluate", "adapt"))
    assert ("tasks_file" in names) == (call == "evaluate") and ("split" in names) == (call != "adapt")


def test_a_number_of_tasks_is_chosen_as_by_the_command(tmp_path):
    """A run of an earlier version may hold "auto", and keeps it."""
    auto = 'algorithm.tasks_at_once = "auto"'
    with pytest.warns(UserWarning, match="tasks_at_once: 2 of 2 tasks fit"):
        run = hmrl_cli.meta_train("point/smoke", auto, run_dir=tmp_path / "run")
    file = run / "config.toml"
    assert "tasks_at_once = 0" in file.read_text()
    assert hmrl_cli.meta_train("point/smoke", auto, run_dir=run, resume=True) == run
    file.write_text(file.read_text().replace("tasks_at_once = 0", 'tasks_at_once = "auto"'))
    resolved, sources = upstream.resolve("meta-train", "point/smoke", [auto], {})
    assert settled(resolved, run, sources, print).experiment.algorithm.tasks_at_once == "auto"


def test_a_run_is_resumed(runs, tmp_path):
    """Interrupted, it goes on to the bytes of a run that never was; complete, it may be trained on."""
    stops = Stops(after=2)
    resolved = resolve("maml", "training.num_seeds=2")
    with pytest.raises(Interrupted):
        train(tmp_path / "run", resolved, progress=stops, stop=lambda: stops.asked)
    with one_program():
        assert hmrl_cli.resume(tmp_path / "run") == tmp_path / "run"
        assert content(tmp_path / "run") == content(runs / "maml")
        longer = hmrl_cli.resume(runs / "maml", more_epochs=2, new_dir=tmp_path / "longer")
    info = reader.read(longer)
    assert (info.status["epoch"], info.experiment.training.init_from) == (6, str(runs / "maml"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"new_dir": "x"}, "new_dir: found without more_epochs"),
        ({"more_epochs": 0}, "more_epochs: found 0; must be 1 or more"),
    ],
)
def test_what_cannot_be_resumed_is_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        hmrl_cli.resume("nowhere", **settings)
