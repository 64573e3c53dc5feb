"""From a configuration to a run and its evaluation: the library's front door."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli.compute import epochs
from hmrl_cli.compute.finite import non_finite_leaves
from hmrl_cli.config import Resolved
from hmrl_cli.config.consistency import check_unused
from hmrl_cli.errors import ConfigError, Diverged, InputError, Interrupted
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.runner import export
from hmrl_cli.runner.assembly import Parts, assemble, seed_keys, state_shapes
from hmrl_cli.runner.diagnose import diagnose
from hmrl_cli.runner.signals import unless_stopped
from hmrl_cli.runner.trained import Trained, skills_experiment
from hmrl_cli.schema import Experiment
from hmrl_cli.storage import checkpoints, exports, reader
from hmrl_cli.storage.folder import tell_nobody
from hmrl_cli.storage.metrics import read_metrics
from hmrl_cli.storage.naming import open_run
from hmrl_cli.types import Discrete

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.storage.writer import RunDir
    from hmrl_cli.types import Key, Params, State


def check(resolved: Resolved, note: Callable[[str], None] = tell_nobody) -> dict[str, Any]:
    """What a run would be, found without compiling anything; `note` gets what the user should know.

    Raises:
        ConfigError, InputError: it could not start.
    """
    experiment = resolved.experiment
    skills_from = skills_experiment(experiment)
    parts = assemble(experiment, skills_from)
    for idle in check_unused(experiment, resolved.origins, _unused_by(parts)):
        note(idle)
    shapes = state_shapes(experiment, parts)
    _check_begin(experiment, parts, shapes[1])
    training = experiment.training
    updates = training.epochs * training.updates_per_epoch
    state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 2 * state_bytes > memory:  # a checkpoint is a second copy, on the host
        raise ConfigError(
            f"the state would take {state_bytes / 2**30:.0f} GiB, and as much again while it is saved; "
            f"the machine has {memory / 2**30:.0f} GiB\n"
            "must be smaller: layers (hidden), seeds, tasks or replay buffer"
        )
    return {
        "family": experiment.family.name,
        "algorithm": experiment.algorithm.name,
        "skills": experiment.hierarchy.skills if experiment.hierarchy else None,
        "seeds": training.num_seeds,
        "updates": updates,
        "steps_per_update": parts.steps_per_update,
        "steps": updates * parts.steps_per_update,
        "state_bytes": state_bytes,
    }


def _unused_by(parts: Parts) -> dict[str, str]:
    """Settings that do nothing over the actions that the learner meets: dotted path -> why."""
    if parts.learns_skills or not isinstance(parts.act_on(None).action, Discrete):
        return {}
    return dict.fromkeys(
        ("algorithm.init_std", "algorithm.ppo.init_std"), "the actions are a choice of skills"
    )


def run(
    resolved: Resolved,
    path: Path | None,
    resume: bool,
    progress: Progress,
    *,
    argv: Sequence[str] = (),
    stop: Callable[[], int | None] = lambda: None,
) -> dict[str, Any]:
    """Create or resume the run of a command, and train it to its end unless that has been done.

    Args:
        resolved: what to run.
        path: the run directory; None chooses one, see `open_run`.
        resume: continue the run if it exists.
        progress: is told how it goes.
        argv: the command line, for the record.
        stop: see `train`.

    Returns:
        the run directory, its state and epoch, and what `train` returns.

    Raises:
        HmrlError: see `open_run` and `train`.
    """
    with open_run(resolved, path, resume, argv, progress.note) as directory:
        if directory.is_complete:
            progress.say("the run is complete already")
            summary = directory.status.get("summary", {})
        else:
            summary = train(resolved, directory, resume, progress, stop)
            directory.complete(summary)
    return {"run": str(directory.path), "state": "complete", "epoch": directory.epoch, **summary}


def train(
    resolved: Resolved,
    run: RunDir,
    resume: bool,
    progress: Progress,
    stop: Callable[[], int | None] = lambda: None,
) -> dict[str, Any]:
    """Train a run to its end, from its newest checkpoint where `resume` is set.

    Args:
        resolved: what to run.
        run: the open run directory.
        resume: continue from the newest intact checkpoint.
        progress: is told how it goes.
        stop: the number of a signal that asked to stop, or None; looked at after every epoch, and while
            epochs are compiled and skills diagnosed.

    Returns:
        the last epoch's metrics, and the diagnostics of a skill run.

    Raises:
        Diverged: a parameter or a metric is not finite.
        Interrupted: `stop` asked for it; a checkpoint was written of what had been trained.
        InputError: the skills or every checkpoint cannot be used.
    """
    experiment = resolved.experiment
    skills_from = skills_experiment(experiment)
    parts = assemble(experiment, skills_from)
    keys = seed_keys(experiment)
    progress.phase("loading")
    start, state, skills = _restored_or_begun(run, resume, parts, skills_from)
    progress.phase("compiling")
    epoch = unless_stopped(lambda: _compile_epoch(experiment, parts, keys, state, skills), stop, start)
    progress.phase("training")
    after_epoch = _Recorder(run, parts, skills, progress, stop)
    state = epochs.fit(
        epoch,
        keys.train,
        state,
        skills,
        start=start,
        num_epochs=experiment.training.epochs,
        after_epoch=after_epoch,
    )
    # from every device to the first; a large replay buffer is on one, and not copied
    state = jax.tree.map(lambda x: x if len(x.devices()) == 1 else jnp.asarray(np.asarray(x)), state)
    summary: dict[str, Any] = {"metrics": after_epoch.last or _last_metrics(run)}
    if parts.learns_skills:
        progress.phase("diagnosing skills")
        last_epoch, digest = checkpoints.fingerprint(run.path / "checkpoints", experiment.training.epochs)
        trained = Trained(experiment, parts, last_epoch, state, skills, digest)
        summary["skills"] = diagnose(
            run.path,
            trained,
            experiment.evaluation.deterministic,
            stop=stop,
            check=run.check,
            note=progress.note,
        )
    return summary


def _restored_or_begun(
    run: RunDir, resume: bool, parts: Parts, skills_from: Experiment | None
) -> tuple[int, State, Params]:
    """Finished epochs, state and skills, of the newest intact checkpoint or of a run that begins."""
    experiment = run.experiment
    found = run.load(state_shapes(experiment, parts)) if resume else None
    if found:
        return found.epoch, *jax.tree.map(jnp.asarray, found.tree)
    began_with = (reader.read_provenance(run.path).get("skills") or {}).get("arrays_sha256")
    skills = _load_skills(experiment, skills_from, parts, began_with)
    begin = jax.jit(jax.vmap(lambda key, params: _begin(experiment, parts, key, params)))
    state = begin(seed_keys(experiment).init, skills)
    # without JAX's weak types, which a checkpoint does not keep: with them a resumed run is another program
    return 0, jax.tree.map(lambda x: jnp.asarray(x, x.dtype), state), skills


def _last_metrics(run: RunDir) -> dict[str, Any]:
    """Of a run that had been trained to its end before it was resumed."""
    return {name: value for name, value in read_metrics(run.path)[-1].items() if name != "epoch"}


class _Recorder:
    """What the host does between two epochs: metrics, checkpoint, signals."""

    def __init__(
        self,
        run: RunDir,
        parts: Parts,
        skills: Params,
        progress: Progress,
        stop: Callable[[], int | None],
    ) -> None:
        self.run, self.skills, self.progress, self.stop = run, skills, progress, stop
        training = run.experiment.training
        self.training = training
        self.steps_per_seed = parts.steps_per_update * training.updates_per_epoch
        self.last: dict[str, Any] = {}

    def __call__(self, report: epochs.EpochResult) -> None:
        if not report.finite:
            bad = non_finite_leaves(report.state) or non_finite_leaves(report.metrics)
            raise Diverged(", ".join(bad[:3]), report.epoch)
        metrics = {
            name: value.tolist() if len(value) > 1 else value.item() for name, value in report.metrics.items()
        }
        self.last = {"env_steps": report.epoch * self.steps_per_seed, **metrics}
        self.run.record(report.epoch, self.last)
        means = {name: value.mean() for name, value in report.metrics.items()}
        speed = self.steps_per_seed * self.training.num_seeds / report.seconds
        self.progress.epoch(report.epoch, self.training.epochs, means, speed)
        signal = self.stop()
        is_last = report.epoch == self.training.epochs
        if signal or is_last or report.epoch % self.training.checkpoint_every == 0:
            self.run.save(report.epoch, (report.state, self.skills))
            self.run.event(f"epoch {report.epoch}: checkpoint, {speed:.0f} steps/s")
        if signal and not is_last:
            raise Interrupted(report.epoch, signal)


def _begin(experiment: Experiment, parts: Parts, key: Key, skills: Params) -> State:
    """The state of one seed before training."""
    learner = parts.make_learner(skills)
    if parts.skill_learner is None or experiment.hierarchy is None or experiment.hierarchy.use == "act":
        return learner.init(key)
    init_key, start_key = jax.random.split(key)
    state = learner.init(init_key)
    assert parts.skill_learner.fold is not None, "assemble has seen to that"
    fold = functools.partial(parts.skill_learner.fold, skills)
    return learner.start(start_key, state, parts.skill_learner.skills(skills), fold)


def _check_begin(experiment: Experiment, parts: Parts, skills: Params) -> None:
    """Raise ConfigError where training could not begin; `skills` are shapes, leaves [S, ...]."""
    try:
        jax.eval_shape(
            jax.vmap(lambda key, params: _begin(experiment, parts, key, params)),
            seed_keys(experiment).init,
            skills,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _compile_epoch(
    experiment: Experiment, parts: Parts, keys: epochs.Streams, state: State, skills: Params
) -> Any:
    def step(key: Any, state: State, skills: Params) -> Any:
        return parts.make_learner(skills).step(key, state)

    training = experiment.training
    epoch = epochs.make_epoch(step, training.updates_per_epoch, training.num_seeds)
    return epoch.lower(keys.train, state, skills).compile()


def _load_skills(
    experiment: Experiment, skills_from: Experiment | None, parts: Parts, began_with: str | None
) -> Params:
    """Frozen skills for every seed, leaves [S, ...]: seed i acts through those of skill seed i, in turn.

    By its number, not its place among the seeds, so that one trained alone has those it has beside others.

    Raises:
        InputError: they are damaged, or not those with this SHA-256.
    """
    if skills_from is None or experiment.hierarchy is None or parts.skill_learner is None:
        return None
    source = Path(experiment.hierarchy.skills)
    if exports.is_export(source):
        card = exports.read_card(source, "skills")
        digest, params = card.sha256, export.read(source, card)
    else:
        shapes = state_shapes(skills_from, assemble(skills_from))
        found = reader.read_checkpoint(source, shapes, reader.last_epoch(source))
        digest, params = found.arrays_sha256, parts.skill_learner.freeze(found.tree[0])
    if began_with not in (None, digest):
        raise InputError(f"hierarchy.skills: {source} has changed since this run began; start another run")
    ours, theirs = experiment.training, skills_from.training
    chosen = (ours.seed - theirs.seed + np.arange(ours.num_seeds)) % theirs.num_seeds
    return jax.tree.map(lambda x: jnp.asarray(x)[chosen], params)
