"""A trained run: its parts, and the state in its newest intact checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.compute import processes
from hmrl_cli.errors import InputError
from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.runner.assembly import Parts, assemble, state_shapes
from hmrl_cli.storage import reader, upstream

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.types import Params, Reward, State

DIGEST = 32  # bytes of a SHA-256


def skills_experiment(experiment: Experiment, skills: upstream.Source | None) -> Experiment | None:
    """The experiment that trained an experiment's skills; None if it acts through no skills.

    Raises:
        InputError: the experiment cannot act through these skills.
    """
    if skills is None:
        return None
    source, trained = skills.source, skills.experiment
    if trained.hierarchy is not None or trained.training.action_repeat != 1:
        raise InputError(
            f"hierarchy.skills: {source} acts through skills or repeated actions; must act directly"
        )
    theirs, ours = (dict(e.family) for e in (trained, experiment))
    for field in sorted(theirs.keys() - experiment.family.of_tasks - {"name"}):  # which `open_skills` checks
        if theirs[field] != ours[field]:
            raise InputError(
                f"hierarchy.skills: {source} was trained with family.{field} = {theirs[field]!r}; "
                f"must be as here, {ours[field]!r}"
            )
    return trained


class Trained(NamedTuple):
    """A run and the state in one of its checkpoints."""

    experiment: Experiment
    parts: Parts
    epoch: int
    state: State  # leaves [S, ...]
    skills: Params  # leaves [S, ...], or None
    arrays_sha256: str  # of the checkpoint
    skills_from: Experiment | None  # that trained the skills which the run acts through


def open_trained(
    run: reader.Info, reward: Reward, progress: Progress, only: int | None = None, together: bool = False
) -> Trained:
    """Assemble a run and restore the state in a checkpoint.

    Args:
        run: the run.
        reward: the reward of a meta-run.  A skill run keeps its own family, because skills ignore the reward.
        progress: receives a note where a newer checkpoint is damaged.
        only: the epoch of the one checkpoint to use; None uses the newest intact one.
        together: every process calls this function, and has what process 0 reads.

    Raises:
        InputError: the run or its skills.toml is not valid, or no checkpoint can be used.
    """
    experiment, skills_from = run.experiment, reader.read_skills(run)
    parts = assemble(
        experiment, skills_from, reward if experiment.algorithm.command == "meta-train" else None
    )
    shapes = state_shapes(experiment, parts)

    def read() -> Any:
        found = reader.read_checkpoint(run, shapes, only)
        if found.note:
            progress.note(found.note)
        digest = np.frombuffer(bytes.fromhex(found.arrays_sha256), np.uint8)
        return np.int32(found.epoch), digest, found.tree

    like = (jax.ShapeDtypeStruct((), np.int32), jax.ShapeDtypeStruct((DIGEST,), np.uint8), shapes)
    epoch, digest, tree = processes.from_first(read, like) if together else read()
    state, skills = jax.tree.map(jnp.asarray, tree)
    sha256 = np.asarray(digest).tobytes().hex()
    return Trained(experiment, parts, int(epoch), state, skills, sha256, skills_from)
