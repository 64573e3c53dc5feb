"""Trainings on the kinematic point, as small as they go."""

import contextlib

import pytest

from hmrl_cli import config
from hmrl_cli.config import plugins
from hmrl_cli.lazy import jax
from hmrl_cli.runner import programs
from hmrl_cli.runner import train as training
from hmrl_cli.runner.progress import Silent
from hmrl_cli.storage import checkpoints, reader
from hmrl_cli.storage.naming import open_run

SMALL = ("family.horizon=6", "training.epochs=4", "training.checkpoint_every=2")
ALGORITHMS = ("diayn", "diayn_ppo", "maml", "maesn")


_IN_TRIALS = (
    "algorithm.trials_per_update=4",
    "algorithm.episodes_per_trial=2",
    "algorithm.memory_size=8",
    "algorithm.ppo.hidden=[8]",
    "algorithm.ppo.minibatches=2",
)
# what an algorithm has beside the smoke preset
SETTINGS = {
    "diayn_ppo": (
        "algorithm.discriminate=xy",
        "algorithm.observe=identity",
        "algorithm.ppo.hidden=[16]",
        "algorithm.ppo.minibatches=4",
    ),
    "vgcrl": (
        "algorithm.discriminate=xy",
        "algorithm.reach=1",
        "algorithm.observe=identity",
        "algorithm.episodes_per_update=8",
        "algorithm.ppo.hidden=[16]",
        "algorithm.ppo.minibatches=4",
    ),
    "ppo": ("algorithm.episodes_per_update=4", "bonus.name=rnd", "bonus.hidden=[8]"),
    "rl2": _IN_TRIALS,
    "first_explore": _IN_TRIALS,
    "varibad": (
        "algorithm.trials_per_update=4",
        "algorithm.episodes_per_trial=2",
        "algorithm.belief.latent_size=2",
        "algorithm.belief.memory_size=8",
        "algorithm.belief.buffer_trials=8",
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


def resolve(algorithm, *sets, skills=None):
    smaller = [*SMALL, *SETTINGS.get(algorithm, ()), *sets]
    if algorithm != "diayn":
        smaller.append(f"algorithm.name={algorithm}")
    flags = {"hierarchy.skills": str(skills)} if skills else {}
    command = plugins.load("algorithms", algorithm).Config.command
    return config.resolve(command, "point/smoke", smaller, flags)


def longer(run, epochs):
    """What trains a run on to so many epochs."""
    settings = {"epochs": epochs, "init_from": str(run), "continues": True}
    flags = {f"training.{name}": value for name, value in settings.items()}
    return config.of_run(reader.read(run).experiment, run / "config.toml", flags)


_compile_epoch = training._compile_epoch
PROGRAMS = {}  # of an epoch, by all that they depend on


def _compiled_once(experiment, skills_from, parts, keys, state, skills):
    """One program for all runs of an experiment, as long as state and skills are of the same types."""
    leaves, tree = jax.tree.flatten((state, skills))
    make_family = plugins.load("families", experiment.family.name).make  # which a test may replace
    both = (one for one in (experiment, skills_from) if one)
    settings = [one.model_dump_json(exclude=programs.NOT_TRACED) for one in both]
    known_by = (*settings, make_family, tree, *map(jax.typeof, leaves))
    if known_by not in PROGRAMS:
        PROGRAMS[known_by] = _compile_epoch(experiment, skills_from, parts, keys, state, skills)
    return PROGRAMS[known_by]


@contextlib.contextmanager
def one_program():
    """Within, runs of one experiment are trained by one program, which is compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_compile_epoch", _compiled_once)
        yield


def train(path, resolved, resume=False, progress=None, stop=lambda: None):
    with one_program(), open_run(resolved, path, resume) as run:
        summary = training.train(resolved, run, resume, progress or Silent(), stop)
        run.complete(summary)
    return summary


def content(path):
    """What must not depend on whether a run was interrupted."""
    epoch, arrays_sha256 = checkpoints.fingerprint(path / "checkpoints")
    assert epoch == 4
    return arrays_sha256, (path / "metrics.jsonl").read_bytes()
