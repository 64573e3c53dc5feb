"""The main job on the kinematic point, as small as it goes: train, die, resume."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli import config
from hmrl_cli.config import plugins
from hmrl_cli.errors import ConfigError, Diverged, Interrupted, StorageError
from hmrl_cli.runner import assembly, evaluate
from hmrl_cli.runner import train as training
from hmrl_cli.runner.progress import Silent
from hmrl_cli.storage import checkpoints, reader
from hmrl_cli.storage.metrics import read_metrics
from tests import trainings
from tests.trainings import ALGORITHMS, content, longer, resolve, train

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


# the algorithms whose runs take longest to compile, and two ways of standing on skills
_ON_PPO = ("algorithm.observe=identity", "algorithm.ppo.hidden=[16]", "algorithm.ppo.minibatches=4")


SLOW = {
    "vic": _ON_PPO,
    "dads": _ON_PPO,
    "metra": _ON_PPO,
    "csf": _ON_PPO,
    "vgcrl": (*_ON_PPO, "algorithm.q=learned", "algorithm.hidden=[8]"),
    "pearl": (
        "algorithm.tasks_per_update=2",
        "algorithm.gradient_steps=2",
        "algorithm.buffer_capacity=200",
        "algorithm.context_size=20",
        "algorithm.sac.hidden=[16]",
    ),
    "rl2": (),
    "varibad": (),
    "first_explore": (),
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


def content_of_a_run_that_died(path, resolved):
    """Resumed, it is the same program as it was, which a cache of compiled programs holds."""
    with pytest.raises(RuntimeError, match="power cut"):
        train(path, resolved, progress=Dies(3))
    assert len((path / "metrics.jsonl").read_bytes().splitlines()) == 3  # one beyond the checkpoint
    known = len(trainings.PROGRAMS)
    train(path, resolved, resume=True)
    assert len(trainings.PROGRAMS) == known
    return content(path)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_run_that_died_ends_as_one_that_never_did(algorithm, runs, tmp_path):
    resolved = resolve(algorithm, "training.num_seeds=2")
    assert content_of_a_run_that_died(tmp_path / "run", resolved) == content(runs / algorithm)


def test_every_algorithm_names_the_metric_that_tells_how_training_goes(runs):
    for algorithm in ALGORITHMS:
        assert plugins.load("algorithms", algorithm).Config.metric in read_metrics(runs / algorithm)[0]
    assert all(plugins.load("algorithms", name).Config.metric for name in plugins.names("algorithms"))


KILLED = """
import os, signal, sys
from pathlib import Path
from hmrl_cli.runner.progress import Silent
from tests.trainings import resolve, train

class Killed(Silent):
    def epoch(self, epoch, total, metrics, steps_per_second):
        if epoch == 3:
            os.kill(os.getpid(), signal.SIGKILL)

train(Path(sys.argv[1]), resolve("maml", "training.num_seeds=2"), progress=Killed())
"""


def test_a_run_that_was_killed_ends_as_one_that_never_was(runs, tmp_path):
    """By SIGKILL, in a process of its own; `test_reliability.py` kills at random times."""
    path, root = tmp_path / "run", Path(__file__).parents[2]
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(len(jax.devices()))}
    done = subprocess.run([sys.executable, "-c", KILLED, path], cwd=root, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert reader.read(path).status["state"] == "killed"
    train(path, resolve("maml", "training.num_seeds=2"), resume=True)
    assert content(path) == content(runs / "maml")


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", SLOW)
def test_any_algorithm_goes_on_exactly(algorithm, runs, tmp_path):
    skills = {"maesn": runs / "diayn", "ppo": runs / "diayn_ppo"}.get(algorithm)
    resolved = resolve(algorithm, *SLOW[algorithm], skills=skills)
    train(tmp_path / "whole", resolved)
    whole = content(tmp_path / "whole")
    assert content_of_a_run_that_died(tmp_path / "cut", resolved) == whole
    assert resolved.experiment.algorithm.metric in read_metrics(tmp_path / "whole")[0]
    shorter = ("training.epochs=2", *SLOW[algorithm])
    train(tmp_path / "two", resolve(algorithm, *shorter, skills=skills))
    train(tmp_path / "four", longer(tmp_path / "two", 4))
    assert content(tmp_path / "four") == whole


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


def takes_long(*_):
    time.sleep(1)
    raise AssertionError("was waited for")


def test_a_signal_ends_a_run_and_what_was_trained_is_kept(monkeypatch, runs, tmp_path):
    resolved = resolve("maml", "training.num_seeds=2")
    path = tmp_path / "run"
    for after, epochs in (("compiling", []), (1, [1]), ("compiling", [1]), (3, [3, 2])):
        stops = Stops(after)
        with monkeypatch.context() as patch, pytest.raises(Interrupted, match="epoch") as caught:
            if after == "compiling":
                patch.setattr(trainings, "PROGRAMS", {})
                patch.setattr(trainings, "_compile_epoch", takes_long)
            train(path, resolved, resume=path.exists(), progress=stops, stop=lambda stops=stops: stops.asked)
        assert caught.value.exit_code == 75
        assert checkpoints.epochs(path / "checkpoints") == epochs
        assert ("before the first epoch" in str(caught.value)) == (epochs == [])
    train(tmp_path / "run", resolved, resume=True)
    assert content(tmp_path / "run") == content(runs / "maml")


def test_what_a_learner_says_of_its_training_is_noted_at_the_end(monkeypatch, runs, tmp_path):
    told = Silent()
    monkeypatch.setattr(told, "note", (notes := []).append, raising=False)
    monkeypatch.setattr(
        assembly.Parts, "note", lambda self, state, budget: f"{len(jax.tree.leaves(state)[0])} rows"
    )
    train(tmp_path / "r", resolve("maml", "training.num_seeds=2"), progress=told)
    assert notes == ["2 rows"]


def test_another_seed_is_another_run(runs, tmp_path):
    train(tmp_path / "run", resolve("maml", "training.num_seeds=2", "training.seed=5"))
    assert content(tmp_path / "run")[0] != content(runs / "maml")[0]


@pytest.mark.slow
def test_a_learner_from_scratch_explores_through_skills(runs, tmp_path):
    """A run keeps its bonus, and is measured like any other."""
    sets = ("hierarchy.steps_per_skill=2", "bonus.name=icm", "algorithm.ppo.minibatches=4")
    resolved = resolve("ppo", *sets, skills=runs / "diayn")
    train(tmp_path / "run", resolved)
    assert reader.read(tmp_path / "run").experiment.bonus.name == "icm"
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])["bonus"] > 0
    result = evaluate.evaluate(reader.read(tmp_path / "run"), num_tasks=2, adapt_steps=2, progress=Silent())
    assert np.shape(result["per_task"]["return"]) == (1, 2, 3)


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


def test_what_a_choice_of_skills_makes_idle_is_refused_or_noted(runs):
    over_skills = partial(resolve, "maesn", "hierarchy.steps_per_skill=2", skills=runs / "diayn")
    with pytest.raises(
        ConfigError, match=r"algorithm\.init_std: found 0\.3, but the actions are a choice of skills"
    ):
        training.check(over_skills("algorithm.init_std=0.3"), print)
    notes = []
    training.check(resolve("maesn", "algorithm.init_std=0.3"), notes.append)
    told = over_skills("algorithm.init_std=0.3")
    from_file = told._replace(origins={**told.origins, "algorithm.init_std": "mine.toml"})
    assert notes == []
    training.check(from_file, notes.append)
    assert len(notes) == 1 and "from mine.toml" in notes[0]


def test_the_price_of_an_early_end_is_refused_where_no_episode_ends_early():
    costs = partial(config.resolve, "pretrain-skills", sets=["algorithm.fall_price=9"])
    with pytest.raises(ConfigError, match=r"fall_price: found 9\.0, but no episode of the family ends early"):
        training.check(costs("wheeled/vgcrl"), print)
    training.check(costs("ant_goal/vgcrl"), print)
