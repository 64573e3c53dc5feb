"""From a configuration to a run and its evaluation: the library's front door."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli import checkpoints, config, evaluation, exports, files, film, frozen, loop, records, report
from hmrl_cli.assembly import (
    Parts,
    Trained,
    assemble,
    make_family,
    open_trained,
    seed_keys,
    skills_experiment,
    state_shapes,
)
from hmrl_cli.config import Resolved
from hmrl_cli.errors import ConfigError, Diverged, Interrupted
from hmrl_cli.interruption import unless_stopped
from hmrl_cli.layers import parse_set
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.schema import Evaluation, Experiment
from hmrl_cli.task_files import split_name, tasks_of
from hmrl_cli.types import Continuous

if TYPE_CHECKING:
    from hmrl_cli.progress import Progress
    from hmrl_cli.rundir import RunDir
    from hmrl_cli.types import Key, Params, Reward, Split, State

SKILL_EPISODES = 8  # of each skill, for its diagnostics


def check(resolved: Resolved) -> dict[str, Any]:
    """What a run would be, found without compiling anything.

    Raises:
        ConfigError, InputError: it could not start.
    """
    experiment = resolved.experiment
    skills_from = skills_experiment(experiment)
    parts = assemble(experiment, skills_from)
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
    state = loop.fit(
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
        last_epoch, digest = checkpoints.fingerprint(run.path / "checkpoints")
        trained = Trained(experiment, parts, last_epoch, state, skills, digest)
        summary["skills"] = diagnose(run.path, trained, experiment.evaluation.deterministic, stop)
    return summary


def _restored_or_begun(
    run: RunDir, resume: bool, parts: Parts, skills_from: Experiment | None
) -> tuple[int, State, Params]:
    """Finished epochs, state and skills, of the newest intact checkpoint or of a run that begins."""
    experiment = run.experiment
    found = run.load(state_shapes(experiment, parts)) if resume else None
    if found:
        return found.epoch, *jax.tree.map(jnp.asarray, found.tree)
    skills = _load_skills(experiment, skills_from, parts)
    begin = jax.jit(jax.vmap(lambda key, params: _begin(experiment, parts, key, params)))
    state = begin(seed_keys(experiment).init, skills)
    # without JAX's weak types, which a checkpoint does not keep: with them a resumed run is another program
    return 0, jax.tree.map(lambda x: jnp.asarray(x, x.dtype), state), skills


def _last_metrics(run: RunDir) -> dict[str, Any]:
    """Of a run that had been trained to its end before it was resumed."""
    return {name: value for name, value in records.read_metrics(run.path)[-1].items() if name != "epoch"}


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

    def __call__(self, report: loop.Report) -> None:
        if not report.finite:
            bad = loop.non_finite_leaves(report.state) or loop.non_finite_leaves(report.metrics)
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


def evaluate(
    path: Path,
    *,
    split: Split = "test",
    tasks_file: Path | None = None,
    reward: Reward = "sparse",
    sets: Sequence[str] = (),
    progress: Progress,
    **settings: Any,
) -> dict[str, Any]:
    """Adapt a run's meta-parameters to held-out tasks, or diagnose the skills of a skill run.

    Args:
        path: the run directory.
        split: which tasks.
        tasks_file: in place of the split.
        reward: to adapt to.
        sets: lines of TOML, of the [evaluation] table.
        progress: is told how it goes.
        settings: of the [evaluation] table by their names, on top; None is as in the run.

    Returns:
        the document that is also written to `eval/<split>-<reward>.json` of the run.

    Raises:
        ConfigError: a setting cannot be.
        InputError: the run, its checkpoint or the task file cannot be used.
        Diverged: a result is not finite.
        RunDirError: it is a skill run that is still being trained.
        StorageError: the result cannot be written; missing permission is noticed before anything is computed.
    """
    progress.phase("loading")
    experiment = records.read(path).experiment
    files.check_writable(path)
    given = {name: value for name, value in settings.items() if value is not None}
    if experiment.algorithm.command == "pretrain-skills":
        deterministic = _deterministic(path, experiment, sets, adapts=bool(given or tasks_file))
        return _evaluate_skills(path, reward, progress, deterministic)
    trained = open_trained(path, reward, progress)
    parts = trained.parts
    budget = config.with_evaluation(experiment, sets, given).evaluation
    tasks = tasks_of(parts.family, split, budget.num_tasks, tasks_file)
    progress.phase("reference lines")
    lines = evaluation.reference_lines(parts.family, tasks)
    progress.phase("adapting")
    keys = seed_keys(experiment).evaluate
    curves = evaluation.adaptation_curves(
        keys, parts.make_learner, trained.state, trained.skills, tasks, budget
    )
    _check_finite(returns=curves.returned, reference_lines=[*lines["per_task"].values()])
    name = split_name(split, tasks_file)
    document = {
        "schema": 1,
        "run": str(path),
        **_protocol(trained, budget),
        "split": name,
        "reward": reward,
        "num_tasks": len(tasks),
        **evaluation.curve_document(curves, lines),
        "tasks_sha256": evaluation.tasks_digest(tasks),
    }
    files.write_json(path / "eval" / f"{name}-{reward}.json", document)
    return document


def _deterministic(path: Path, experiment: Experiment, sets: Sequence[str], adapts: bool) -> bool:
    """Whether skills are to act by their most likely action, the one setting that their diagnosis has."""
    budget = config.with_evaluation(experiment, sets, {}).evaluation
    named = {name for line in sets for name in parse_set(line)["evaluation"]}
    if adapts or named - {"deterministic"}:
        raise ConfigError(
            f"{path}: is a run of skills, which do not adapt; must be evaluated without --tasks, "
            "--adapt-steps, --episodes, --num-tasks, and --set but for evaluation.deterministic"
        )
    return budget.deterministic


def _evaluate_skills(path: Path, reward: Reward, progress: Progress, deterministic: bool) -> dict[str, Any]:
    """The document of a skill run."""
    with files.held(path):  # its training ends with writing the same files
        trained = open_trained(path, reward, progress)
        return {"schema": 1, "run": str(path), **diagnose(path, trained, deterministic)}


def _protocol(trained: Trained, budget: Evaluation) -> dict[str, Any]:
    """The part of an evaluation document that tells what was evaluated, and how it adapts."""
    experiment = trained.experiment
    return {
        "family": experiment.family.name,
        "algorithm": experiment.algorithm.name,
        "epoch": trained.epoch,
        "arrays_sha256": trained.arrays_sha256,
        "num_seeds": experiment.training.num_seeds,
        "episodes": budget.episodes,
        "env_steps": _experience(trained.parts, budget),
        "adaptation": budget.model_dump(exclude={"num_tasks", "adapt_steps", "episodes"}),
    }


def explore(path: Path, progress: Progress, draws: int = 8, episodes: int = 8) -> tuple[dict[str, Any], str]:
    """How a meta-run explores before any update: `evaluation.explored`, lists over seeds, and a picture, SVG.

    Raises:
        InputError: the run or every checkpoint cannot be used.
    """
    trained = open_trained(path, "sparse", progress)

    def one_seed(key: Key, state: State, skills: Params) -> Any:
        family, learner = trained.parts.act_on(skills), trained.parts.make_learner(skills)
        task = family.sample(key, "train")
        return evaluation.explored(key, learner, family, state, task, draws=draws, episodes=episodes)

    keys = seed_keys(trained.experiment).evaluate
    numbers, paths = jax.jit(jax.vmap(one_seed))(keys, trained.state, trained.skills)
    found = {name: np.asarray(value).tolist() for name, value in numbers.items()}
    return found, report.paths_svg(np.asarray(paths), "draws")


def _experience(parts: Parts, budget: Evaluation) -> list[int]:
    """Environment steps of a task that an adaptation has seen before each column, [K + 1]."""
    episodes = {"all": budget.episodes, "one": 1, "none": 0}[parts.make_learner(None).learns_from]
    return [update * episodes * parts.family.horizon for update in range(budget.adapt_steps + 1)]


def diagnose(
    path: Path, trained: Trained, deterministic: bool, stop: Callable[[], int | None] = lambda: None
) -> dict[str, Any]:
    """Run every skill of every seed; write `skills.json`, `skills.svg` and `skills.html`; return the numbers.

    The picture shows the paths of all seeds, the page plays every skill of the first one.

    Raises:
        Diverged: a number is not finite; nothing was written.
        Interrupted: `stop` asked for it; nothing was written.
    """
    experiment, parts, epoch, state, skills, digest = trained

    def one_seed(key: Any, state: State, skills: Params) -> Any:
        family, learner = parts.act_on(skills), parts.make_learner(skills)
        task_key, run_key = jax.random.split(key)
        task = family.sample(task_key, "train")
        return evaluation.skill_diagnostics(
            run_key,
            family,
            learner,
            state,
            task,
            num_episodes=SKILL_EPISODES,
            deterministic=deterministic,
        )

    def all_seeds() -> Any:
        found = jax.jit(jax.vmap(one_seed))(seed_keys(experiment).evaluate, state, skills)
        return jax.tree.map(np.asarray, found)

    numbers, paths, films = unless_stopped(all_seeds, stop, epoch)
    _check_finite(**numbers)
    found = {name: value.tolist() for name, value in numbers.items()}
    document = {"epoch": epoch, "arrays_sha256": digest, "deterministic": deterministic, **found}
    files.write_json(path / "skills.json", document)
    files.write_text(path / "skills.svg", report.paths_svg(paths, "skills"))
    first = jax.tree.map(lambda x: x[0], films)
    page = film.page(f"{path.resolve().name}: skills", parts.act_on(None), first, _skill_labels(document))
    files.write_text(path / "skills.html", page)
    return document


def _check_finite(**results: Any) -> None:
    """Raise Diverged with the name of a result, [seed, ...], that is not finite, and where."""
    for name, value in results.items():
        bad = np.argwhere(~np.isfinite(value))
        if len(bad):
            raise Diverged(f"{name.replace('_', ' ')}{bad[0].tolist()}")


def _skill_labels(document: dict[str, Any]) -> list[str]:
    """A line for each skill of the first seed: how well it is told from the others, and where it leads."""
    columns = (document[name][0] for name in ("accuracy_per_skill", "displacement", "direction"))
    return [
        f"skill {skill}: named in {accuracy:.0%}, ends {distance:.2f} away at {math.degrees(angle):.0f}°"
        for skill, (accuracy, distance, angle) in enumerate(zip(*columns, strict=True))
    ]


def describe_family(name: str, split: Split = "test", tasks_file: Path | None = None) -> dict[str, Any]:
    """A family's sizes and its reference lines on a split or a task file, found by rolling out.

    Args:
        name: of a family, with its default settings, or of a preset, with those of the preset.
        split: which tasks.
        tasks_file: in place of the split.
    """
    family_config = config.family_of(name)
    families = {reward: make_family(family_config, reward) for reward in ("dense", "sparse")}
    family = families["dense"]
    tasks = tasks_of(family, split, Evaluation().num_tasks, tasks_file)
    return {
        "name": family.name,
        "obs_size": family.obs_size,
        "action": {
            "kind": "continuous" if isinstance(family.action, Continuous) else "discrete",
            "size": family.action.size,
        },
        "horizon": family.horizon,
        "num_tasks": len(tasks),
        "split": split_name(split, tasks_file),
        **{reward: evaluation.reference_lines(family, tasks) for reward, family in families.items()},
    }


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
    experiment: Experiment, parts: Parts, keys: loop.Streams, state: State, skills: Params
) -> Any:
    def step(key: Any, state: State, skills: Params) -> Any:
        return parts.make_learner(skills).step(key, state)

    training = experiment.training
    epoch = loop.make_epoch(step, training.updates_per_epoch, training.num_seeds)
    return epoch.lower(keys.train, state, skills).compile()


def _load_skills(experiment: Experiment, skills_from: Experiment | None, parts: Parts) -> Params:
    """Frozen skills for every seed, leaves [S, ...]: seed i acts through those of skill seed i, in turn."""
    if skills_from is None or experiment.hierarchy is None or parts.skill_learner is None:
        return None
    source = Path(experiment.hierarchy.skills)
    if exports.is_export(source):
        params = frozen.read(source, exports.read_card(source, "skills"))
    else:
        found = records.read_checkpoint(source, state_shapes(skills_from, assemble(skills_from)))
        params = parts.skill_learner.freeze(found.tree[0])
    chosen = np.arange(experiment.training.num_seeds) % skills_from.training.num_seeds
    return jax.tree.map(lambda x: jnp.asarray(x)[chosen], params)
