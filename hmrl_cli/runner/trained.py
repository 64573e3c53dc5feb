"""A run as its newest intact checkpoint has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.errors import InputError
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.runner.assembly import Parts, assemble, state_shapes
from hmrl_cli.schema import Experiment
from hmrl_cli.storage import reader

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.types import Params, Reward, State


def skills_experiment(experiment: Experiment) -> Experiment | None:
    """How the skills of an experiment were trained.

    Raises:
        InputError: they cannot be acted through.
    """
    if experiment.hierarchy is None:
        return None
    source = experiment.hierarchy.skills
    trained = reader.trained_as(source)
    if trained.hierarchy is not None or trained.training.action_repeat != 1:
        raise InputError(
            f"hierarchy.skills: {source} acts through skills or repeated actions; must act directly"
        )
    theirs, ours = (dict(e.family) for e in (trained, experiment))
    for field in sorted(theirs.keys() - experiment.family.of_tasks):
        if theirs[field] != ours[field]:
            raise InputError(
                f"hierarchy.skills: {source} was trained with family.{field} = {theirs[field]!r}; "
                f"must be as here, {ours[field]!r}"
            )
    return trained


class Trained(NamedTuple):
    """A run as its newest intact checkpoint has it."""

    experiment: Experiment
    parts: Parts
    epoch: int
    state: State  # leaves [S, ...]
    skills: Params  # leaves [S, ...], or None
    arrays_sha256: str  # of the checkpoint


def open_trained(path: Path, reward: Reward, progress: Progress, only: int | None = None) -> Trained:
    """Read a run as its newest intact checkpoint has it, or that of `only` this epoch.

    `reward` is what a meta-run meets; skills know no reward, and keep the family they were learned in.

    Raises:
        InputError: the run or every checkpoint cannot be used.
    """
    experiment = reader.read(path).experiment
    skills_from = reader.read_skills(path)
    parts = assemble(
        experiment, skills_from, reward if experiment.algorithm.command == "meta-train" else None
    )
    found = reader.read_checkpoint(path, state_shapes(experiment, parts), only)
    if found.note:
        progress.note(found.note)
    state, skills = jax.tree.map(jnp.asarray, found.tree)
    return Trained(experiment, parts, found.epoch, state, skills, found.arrays_sha256)
