"""Adaptation of a trained meta-run to held-out tasks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli import config
from hmrl_cli.compute import devices, processes
from hmrl_cli.compute.finite import check_finite
from hmrl_cli.config.layers import leaves
from hmrl_cli.config.plugin_files import label
from hmrl_cli.errors import ConfigError, telling_limits
from hmrl_cli.evaluation import adaptation, exploration
from hmrl_cli.evaluation.tasks import tasks_digest
from hmrl_cli.runner import programs
from hmrl_cli.runner.assembly import Parts, assemble, check_located, make_family, seed_keys
from hmrl_cli.runner.diagnose import diagnose
from hmrl_cli.runner.tasks import split_name, tasks_of
from hmrl_cli.runner.trained import Trained, open_trained
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage import evaluations, files, provenance, reader
from hmrl_cli.storage.document import SIZES
from hmrl_cli.storage.locks import locked

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.types import Array, Reward, Split


def evaluate(
    run: reader.Info,
    *,
    split: Split | None = None,
    tasks_file: Path | str | None = None,
    reward: Reward = "sparse",
    protocol: str | None = None,
    sets: Sequence[str] = (),
    progress: Progress,
    **settings: Any,
) -> dict[str, Any]:
    """Adapt a run's meta-parameters to held-out tasks, or diagnose the skills of a skill run.

    Several processes share the tasks.  Process 0 alone reads checkpoints, diagnoses skills and writes.

    Args:
        run: the run.
        split: which tasks; None: "test".
        tasks_file: a user's tasks, in place of a split.
        reward: the reward that the learner adapts to.
        protocol: a named way to adapt (see `config.protocols`); None: that of the run.
        sets: lines of TOML, of the [evaluation] table, above the protocol.
        progress: shows the phases and notes.
        settings: values of the [evaluation] table by name, above `sets`; None keeps the value of the run.

    Returns:
        the document in `eval/` of the run, named as `storage.evaluations` says; or that of the skills, which
        only process 0 has.

    Raises:
        ConfigError: a setting is unknown, out of range, or does nothing for this run.
        InputError: the run, its checkpoint or the task file cannot be used.
        Diverged: a result is not finite.
        MachineLimit: memory is short; the message names the settings to lower.
        RunDirError: another process is training the skill run.
        StorageError: the result cannot be written; a missing permission is found before the computation.
    """
    progress.phase("loading")
    if tasks_file is not None:
        tasks_file = Path(tasks_file)
        for name, value in {"split": split, "num_tasks": settings.get("num_tasks")}.items():
            if value is not None:
                raise ConfigError(f"{name}: found together with tasks_file; must be one of the two")
    split = split or "test"
    is_first = processes.is_first()
    if is_first:
        files.check_writable(run.path)
    given = {name: value for name, value in settings.items() if value is not None}
    if run.experiment.algorithm.command == "pretrain-skills":
        asked = given or tasks_file or protocol or (split, reward) != ("test", "sparse")
        budget = _diagnosis(run, sets, adapts=bool(asked))
        with devices.alone():
            return _evaluate_skills(run, progress, budget) if is_first else {}
    budget = config.with_evaluation(run.experiment, sets, given, protocol).evaluation
    name = split_name(split, tasks_file)
    changed = config.changed_evaluation(run.experiment, budget, protocol)
    if tasks_file is not None:  # the settings that choose tasks of a split do nothing
        changed = {key: value for key, value in changed.items() if key not in ("num_tasks", "split_seed")}
    file = run.path / "eval" / f"{evaluations.stem(name, reward, protocol, changed)}.json"
    tasks = tasks_of(make_family(run.experiment.family, reward), split, budget, tasks_file)
    trained = open_trained(run, reward, progress, together=True)
    if is_first:
        evaluations.check_not_later(file, trained.epoch, run.path)
    if trained.epoch < (epochs := run.experiment.training.epochs):
        how = "has diverged" if run.status.get("state") == "diverged" else "is not trained to its end"
        progress.note(f"{run.path}: {how}: epoch {trained.epoch} of {epochs}")
    check_located(budget, trained.parts)
    budget = adaptation.calibrated(budget, trained.parts.family, compiled_for(trained, reward))
    at_once = min(len(tasks), adaptation.TASKS_AT_ONCE)
    with telling_limits(lambda: f"evaluation.episodes below {budget.episodes}, or below {at_once} tasks"):
        numbers = _adapt(trained, reward, tasks, budget, progress)
    document = {
        "schema": 1,
        "run": str(run.path),
        "protocol": {"name": protocol, "changed": changed},
        **_protocol(trained, budget),
        "split": name,
        "reward": reward,
        "num_tasks": len(tasks),
        **numbers,
        "tasks_sha256": tasks_digest(tasks),
        **provenance.surroundings(),
    }
    if is_first:
        evaluations.write(file, document, progress.note)
    return document


def _adapt(
    trained: Trained, reward: Reward, tasks: Array, budget: Evaluation, progress: Progress
) -> dict[str, Any]:
    """The part of an evaluation document that holds the numbers: lines, curves, and where it explored.

    Raises:
        Diverged: a number is not finite.
    """
    parts = assemble(trained.experiment, trained.skills_from, reward, exploration.traced)
    of_reward = parts.note_on_reward(trained.experiment.family.reward, reward)
    for text in filter(None, (parts.note(trained.state, budget), of_reward)):
        progress.note(text)
    progress.phase("reference lines")
    lines = adaptation.reference_lines(trained.parts.family, tasks, compiled_for(trained, reward))
    progress.phase("evaluating")
    keys = seed_keys(trained.experiment).evaluate
    learned = (parts.make_learner, trained.state, trained.skills)
    compiled = compiled_for(trained, reward, budget)
    curves = adaptation.adaptation_curves(keys, *learned, tasks, budget, compiled)
    references = [values for values in lines["per_task"].values() if values is not None]
    check_finite(returns=curves.returned, reference_lines=references)
    explored = None
    if curves.episodes is not None:
        family = trained.parts.family
        goals = exploration.goals_of(family, tasks)
        places, reached = curves.episodes.frames, curves.episodes.reached
        trials = trained.parts.learner.learns_from == "one"
        explored = exploration.visits(places, reached, goals, family.upright, trials)
    return adaptation.curve_document(curves, lines) | {"explored": explored}


def compiled_for(trained: Trained, reward: Reward, budget: Evaluation | None = None) -> adaptation.Compile:
    """A function that compiles the reference lines, or the adaptation by a budget; numbers are arguments."""
    kept = functools.partial(programs.compiled, reward=reward)
    if budget is None:
        return functools.partial(
            kept, name="reference lines", experiments=(trained.experiment,), sections=("family",)
        )
    settings = leaves(budget.model_dump(exclude={"diagnosis", "num_tasks", "split_seed"}))
    fixed = {key: bool(x) if isinstance(x, float) else x for key, x in settings}
    experiments = (trained.experiment, trained.skills_from)
    return functools.partial(kept, name="adaptation", experiments=experiments, budget=fixed)


def _diagnosis(run: reader.Info, sets: Sequence[str], adapts: bool) -> Evaluation:
    """The settings of a diagnosis of skills."""
    if adapts:
        raise ConfigError(
            f"{run.path}: is a run of skills, which do not adapt; must be evaluated without --tasks, "
            "--split, --reward, --protocol, --adapt-steps, --episodes and --num-tasks"
        )
    return config.with_evaluation(run.experiment, sets, {}).evaluation


def _evaluate_skills(run: reader.Info, progress: Progress, budget: Evaluation) -> dict[str, Any]:
    """The document of a skill run."""
    with locked(run.path) as lock:  # its training ends with writing the same files
        trained = open_trained(run, "sparse", progress)  # skills ignore the reward
        found = diagnose(run.path, trained, budget, check=lock.check, note=progress.note)
        return {"schema": 1, "run": str(run.path), **found}


def _protocol(trained: Trained, budget: Evaluation) -> dict[str, Any]:
    """The part of an evaluation document that says what was evaluated, and how it adapts."""
    experiment = trained.experiment
    return {
        "family": label(experiment.family.name),
        "algorithm": label(experiment.algorithm.name),
        "epoch": trained.epoch,
        "arrays_sha256": trained.arrays_sha256,
        "num_seeds": experiment.training.num_seeds,
        "episodes": budget.episodes,
        "env_steps": _experience(trained.parts, budget),
        "learns_from": trained.parts.learner.learns_from,
        "adaptation": dict(leaves(budget.model_dump(exclude={*SIZES, "diagnosis"}))),
    }


def _experience(parts: Parts, budget: Evaluation) -> list[int]:
    """Environment steps of one task that an adaptation has learned from after 0 ... K updates, [K + 1]."""
    learns_from, first = parts.learner.learns_from, 0
    if learns_from == "none" and budget.tune_after is not None:
        learns_from, first = "all", budget.tune_after
    episodes = {"all": budget.episodes, "one": 1, "none": 0}[learns_from]
    updates = [max(count - first, 0) for count in range(budget.adapt_steps + 1)]
    return [count * episodes * parts.family.horizon for count in updates]
