"""Plan, start, resume and train a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli import config
from hmrl_cli.compute import devices, epochs, processes
from hmrl_cli.compute.finite import non_finite_leaves
from hmrl_cli.config import Resolved
from hmrl_cli.config.consistency import check_unused
from hmrl_cli.errors import ConfigError, Diverged, Interrupted, telling_limits, telling_run
from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.runner import estimate, initial, programs
from hmrl_cli.runner.assembly import Parts, assemble, seed_keys, state_shapes
from hmrl_cli.runner.diagnose import diagnose
from hmrl_cli.runner.progress import by_importance
from hmrl_cli.runner.signals import unless_stopped
from hmrl_cli.runner.trained import Trained, skills_experiment
from hmrl_cli.storage import checkpoints, layout, reader, upstream
from hmrl_cli.storage.folder import ignore_note
from hmrl_cli.storage.follower import Follower
from hmrl_cli.storage.metrics import read_metrics
from hmrl_cli.storage.naming import open_run
from hmrl_cli.types import Discrete

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.storage.writer import RunDir
    from hmrl_cli.types import Params, State


def settled(
    resolved: Resolved, path: Path | None, sources: upstream.Sources, note: Callable[[str], None]
) -> Resolved:
    """Replace "auto" in `algorithm.tasks_at_once` by the least number that fits on any process.

    An existing run keeps its number on any machine.  A run of an earlier version may hold "auto", which runs
    all tasks at one time, and it keeps "auto".

    Args:
        resolved: what to run.
        path: of the run, which may be there to be resumed; None for a new one.
        sources: what `upstream.open_sources` returned for this experiment.
        note: is called with what was chosen.
    """
    experiment = resolved.experiment
    if getattr(experiment.algorithm, "tasks_at_once", None) != "auto":
        return resolved

    def with_number(number: int) -> Experiment:
        algorithm = experiment.algorithm.model_copy(update={"tasks_at_once": number})
        return experiment.model_copy(update={"algorithm": algorithm})

    kept = 0  # 0: no run; 1: its value is "auto"; else its number plus 2.  Only process 0 reads it
    if processes.is_first() and path is not None and layout.is_run(path):
        before: Any = reader.read_written(path).experiment.algorithm
        number = getattr(before, "tasks_at_once", 0)
        kept = 1 if number == "auto" else 2 + number
    if kept := processes.agreed(kept):
        return resolved if kept == 1 else resolved._replace(experiment=with_number(kept - 2))
    parts = assemble(with_number(0), skills_experiment(experiment, sources.skills))
    algorithm: Any = experiment.algorithm
    tasks = algorithm.tasks_per_update
    fit = -processes.agreed(-(estimate.tasks_at_once(experiment, parts) or tasks))
    note(f"algorithm.tasks_at_once: {fit} of {tasks} tasks fit into the memory of a device at one time")
    return resolved._replace(experiment=with_number(0 if fit == tasks else fit))


def check(
    resolved: Resolved,
    note: Callable[[str], None] = ignore_note,
    sources: upstream.Sources | None = None,
) -> dict[str, Any]:
    """The plan of a run: its parts, sizes and steps.  Nothing is compiled.

    Args:
        resolved: what to run.
        note: is called with what the user should know.
        sources: what `upstream.open_sources` returned for this experiment; None opens them.

    Returns:
        a JSON document: names, the numbers of seeds and updates, environment steps of each seed and of all,
        and the bytes that `estimate.memory` returns.

    Raises:
        ConfigError: the parts do not fit, or the state is too large for the machine.
        InputError: the experiment cannot act through these skills, or start from this parent.
    """
    experiment = resolved.experiment
    sources = sources or upstream.open_sources(experiment)
    skills_from = skills_experiment(experiment, sources.skills)
    parts = assemble(experiment, skills_from)
    for idle in check_unused(experiment, resolved.origins, _unused_by(parts)):
        note(idle)
    shapes = state_shapes(experiment, parts)
    initial.check(experiment, parts, shapes, sources, note)
    training = experiment.training
    updates = training.epochs * training.updates_per_epoch
    memory = estimate.memory(experiment, parts, shapes)
    state_bytes, ram = memory["state_bytes"], estimate.ram_bytes()
    if 2 * state_bytes > ram:  # a checkpoint is a second copy, on the host
        raise ConfigError(
            f"the state would take {state_bytes / 2**30:.0f} GiB, and as much again while it is saved; "
            f"the machine has {ram / 2**30:.0f} GiB\n"
            "must be smaller: layers (hidden), seeds, tasks or replay buffer"
        )
    if memory["device_bytes"] > memory["device_limit_bytes"]:
        needs, has = (memory[key] / 2**30 for key in ("device_bytes", "device_limit_bytes"))
        note(f"a device needs at least {needs:.1f} GiB, and has {has:.1f} GiB")
    return {
        "family": experiment.family.name,
        "algorithm": experiment.algorithm.name,
        "skills": experiment.hierarchy.skills if experiment.hierarchy else None,
        "init_from": training.init_from,
        "seeds": training.num_seeds,
        "updates": updates,
        "steps_per_update": parts.steps_per_update,
        "steps": updates * parts.steps_per_update,
        "total_steps": updates * parts.steps_per_update * training.num_seeds,
        **memory,
    }


def _unused_by(parts: Parts) -> dict[str, str]:
    """Settings that have no effect in the family, or on a policy over skills: dotted path -> reason."""
    idle = {} if parts.family.terminates else {"algorithm.fall_price": "no episode of the family ends early"}
    if parts.learns_skills or not isinstance(parts.act_on(None).action, Discrete):
        return idle
    continuous = ("init_std", "ppo.init_std", "sac.entropy_per_action")
    return idle | {f"algorithm.{name}": "the actions are a choice of skills" for name in continuous}


def run(
    resolved: Resolved,
    path: Path | None,
    resume: bool,
    progress: Progress,
    *,
    argv: Sequence[str] = (),
    stop: Callable[[], int | None] = lambda: None,
    sources: upstream.Sources | None = None,
    written: config.Written | None = None,
) -> dict[str, Any]:
    """Create or resume the run of a command, and train it to its end unless that has been done.

    Args:
        resolved: what to run.
        path: the run directory; None chooses one, see `open_run`.
        resume: continue the run if it exists.
        progress: shows phases, epochs and notes.
        argv: the command line, for provenance.json.
        stop: see `train`.
        sources: see `check`.
        written: the content of the config.toml of the run to resume; None reads it.

    Returns:
        a JSON document: the run directory, its state and epoch, and the summary that `train` returns.

    Raises:
        MachineLimit: memory is short; the message names the settings to lower.
        HmrlError: see `open_run` and `train`.
    """
    with _directory(resolved, path, resume, progress, argv, sources, written) as directory:
        if processes.agreed(directory.is_complete):
            progress.say("the run is complete already")
            summary = directory.status.get("summary", {})
        else:
            less = partial(_less_memory, resolved.experiment, directory.sources)
            with telling_run(directory.path), telling_limits(less):
                summary = train(resolved, directory, resume, progress, stop)
            directory.complete(summary)
    return {"run": str(directory.path), "state": "complete", "epoch": directory.epoch, **summary}


def _less_memory(experiment: Experiment, sources: upstream.Sources) -> str:
    parts = assemble(experiment, skills_experiment(experiment, sources.skills))
    return estimate.less_memory(experiment, parts, state_shapes(experiment, parts))


def _directory(
    resolved: Resolved,
    path: Path | None,
    resume: bool,
    progress: Progress,
    argv: Sequence[str],
    sources: upstream.Sources | None,
    written: config.Written | None,
) -> RunDir | Follower:
    """The run directory of process 0; another process only follows."""
    if processes.is_first():
        return open_run(resolved, path, resume, argv, progress.note, sources, written)
    return Follower(resolved.experiment, sources or upstream.open_sources(resolved.experiment))


def train(
    resolved: Resolved,
    run: RunDir | Follower,
    resume: bool,
    progress: Progress,
    stop: Callable[[], int | None] = lambda: None,
) -> dict[str, Any]:
    """Train a run to its end, from its newest checkpoint where `resume` is set.

    Args:
        resolved: what to run.
        run: the open run directory.
        resume: continue from the newest intact checkpoint.
        progress: shows phases, epochs and notes.
        stop: returns the number of a signal that asked to stop, or None.  It is called after every epoch,
            and during compilation and the diagnosis of skills.

    Returns:
        a JSON document: the metrics of the last epoch, and the diagnostics of a skill run.

    Raises:
        Diverged: a parameter or a metric is not finite.
        Interrupted: `stop` returned a signal; a checkpoint of the finished epochs was written.
        InputError: the skills or the parent cannot be used, or all checkpoints are damaged.
    """
    experiment = resolved.experiment
    skills_from = skills_experiment(experiment, run.sources.skills)
    parts = assemble(experiment, skills_from)
    keys = seed_keys(experiment)
    progress.phase("loading")
    start, state, skills = _begin(run, resume, parts)
    progress.phase("compiling")
    epoch = unless_stopped(
        lambda: _compile_epoch(experiment, skills_from, parts, keys, state, skills), stop, run.epoch
    )
    if start > run.epoch and run.sources.parent:
        run.adopt(initial.metrics_of(run.sources.parent))
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
    state, skills = jax.tree.map(
        lambda x: x if len(x.devices()) == 1 else jnp.asarray(processes.gathered(x)), (state, skills)
    )
    if isinstance(run, Follower):
        return {}
    if text := parts.note(state, experiment.evaluation):
        progress.note(text)
    summary: dict[str, Any] = {"metrics": after_epoch.last or _last_metrics(run)}
    if parts.learns_skills:
        progress.phase("diagnosing skills")
        last_epoch, digest = checkpoints.fingerprint(run.path / "checkpoints", experiment.training.epochs)
        trained = Trained(experiment, parts, last_epoch, state, skills, digest, skills_from)
        with devices.alone():
            summary["skills"] = diagnose(
                run.path,
                trained,
                experiment.evaluation,
                stop=stop,
                check=run.check,
                note=progress.note,
            )
    return summary


def _begin(run: RunDir | Follower, resume: bool, parts: Parts) -> tuple[int, State, Params]:
    """`restored_or_begun` of process 0, on the devices of all processes."""
    like = (jax.ShapeDtypeStruct((2,), np.int32), *state_shapes(run.experiment, parts))

    def begun() -> Any:
        assert not isinstance(run, Follower)
        start, state, skills = initial.restored_or_begun(run, resume, parts)
        return np.array([start, run.epoch], np.int32), state, skills

    numbers, state, skills = processes.from_first(begun, like)
    start, run.epoch = numbers.tolist()
    sharding = epochs.sharding_of(run.experiment.training.num_seeds)
    return start, *processes.placed((state, skills), sharding)


def _last_metrics(run: RunDir) -> dict[str, Any]:
    """The metrics of the last epoch of a run that needed no further epoch when it was resumed."""
    return {name: value for name, value in read_metrics(run.path)[-1].items() if name != "epoch"}


class _Recorder:
    """The work of the host after each epoch: metrics, checkpoint, signals."""

    def __init__(
        self,
        run: RunDir | Follower,
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

    def __call__(self, result: epochs.EpochResult) -> None:
        if not result.finite:
            state = processes.gathered(result.state)
            bad = non_finite_leaves(state) or non_finite_leaves(result.metrics)
            raise Diverged(", ".join(bad[:3]), result.epoch)
        metrics = {
            name: value.tolist() if len(value) > 1 else value.item() for name, value in result.metrics.items()
        }
        self.last = {"env_steps": result.epoch * self.steps_per_seed, **metrics}
        self.run.record(result.epoch, self.last)
        means = {name: value.mean() for name, value in result.metrics.items()}
        speed = self.steps_per_seed * self.training.num_seeds / result.seconds
        shown = by_importance(means, self.run.experiment.algorithm.metric)
        self.progress.epoch(result.epoch, self.training.epochs, shown, speed)
        signal = processes.agreed(self.stop() or 0)
        is_last = result.epoch == self.training.epochs
        if signal or is_last or result.epoch % self.training.checkpoint_every == 0:
            tree = (result.state, self.skills)
            self.run.save(result.epoch, tree if jax.process_count() == 1 else processes.gathered(tree))
            self.run.event(f"epoch {result.epoch}: checkpoint, {speed:.0f} steps/s")
        if signal and not is_last:
            raise Interrupted(result.epoch, signal)


def _compile_epoch(
    experiment: Experiment,
    skills_from: Experiment | None,
    parts: Parts,
    keys: epochs.Streams,
    state: State,
    skills: Params,
) -> Any:
    def step(key: Any, state: State, skills: Params) -> Any:
        return parts.make_learner(skills).step(key, state)

    training = experiment.training
    epoch = epochs.make_epoch(step, training.updates_per_epoch, training.num_seeds)
    train_keys = processes.placed(keys.train, epochs.sharding_of(training.num_seeds))
    arguments = (train_keys, state, skills)
    return programs.compiled(epoch, arguments, (experiment, skills_from), name="epoch")
