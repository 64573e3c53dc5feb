"""Adaptation of a trained meta-run to held-out tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli import config
from hmrl_cli.compute.finite import check_finite
from hmrl_cli.config.layers import leaves
from hmrl_cli.errors import ConfigError
from hmrl_cli.evaluation import adaptation
from hmrl_cli.evaluation.tasks import tasks_digest
from hmrl_cli.runner.assembly import Parts, make_family, seed_keys
from hmrl_cli.runner.diagnose import diagnose
from hmrl_cli.runner.tasks import split_name, tasks_of
from hmrl_cli.runner.trained import Trained, open_trained
from hmrl_cli.schema import Evaluation, Experiment
from hmrl_cli.storage import files, reader
from hmrl_cli.storage.locks import held

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.types import Reward, Split


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
    experiment = reader.read(path).experiment
    files.check_writable(path)
    given = {name: value for name, value in settings.items() if value is not None}
    if experiment.algorithm.command == "pretrain-skills":
        deterministic = _deterministic(path, experiment, sets, adapts=bool(given or tasks_file))
        return _evaluate_skills(path, reward, progress, deterministic)
    budget = config.with_evaluation(experiment, sets, given).evaluation
    name = split_name(split, tasks_file)
    tasks = tasks_of(make_family(experiment.family, reward), split, budget.num_tasks, tasks_file)
    trained = open_trained(path, reward, progress)
    parts = trained.parts
    budget = adaptation.calibrated(budget, parts.family)
    progress.phase("reference lines")
    lines = adaptation.reference_lines(parts.family, tasks)
    progress.phase("adapting")
    keys = seed_keys(experiment).evaluate
    curves = adaptation.adaptation_curves(
        keys, parts.make_learner, trained.state, trained.skills, tasks, budget
    )
    references = [values for values in lines["per_task"].values() if values is not None]
    check_finite(returns=curves.returned, reference_lines=references)
    document = {
        "schema": 1,
        "run": str(path),
        **_protocol(trained, budget),
        "split": name,
        "reward": reward,
        "num_tasks": len(tasks),
        **adaptation.curve_document(curves, lines),
        "tasks_sha256": tasks_digest(tasks),
    }
    with files.writing(path / "eval"):
        (path / "eval").mkdir(exist_ok=True)
    files.write_json(path / "eval" / f"{name}-{reward}.json", document)
    return document


def _deterministic(path: Path, experiment: Experiment, sets: Sequence[str], adapts: bool) -> bool:
    """Whether skills are to act by their most likely action, the one setting that their diagnosis has."""
    if adapts:
        raise ConfigError(
            f"{path}: is a run of skills, which do not adapt; must be evaluated without --tasks, "
            "--adapt-steps, --episodes and --num-tasks"
        )
    return config.with_evaluation(experiment, sets, {}).evaluation.deterministic


def _evaluate_skills(path: Path, reward: Reward, progress: Progress, deterministic: bool) -> dict[str, Any]:
    """The document of a skill run."""
    with held(path) as lock:  # its training ends with writing the same files
        trained = open_trained(path, reward, progress)
        found = diagnose(path, trained, deterministic, check=lock.check, note=progress.note)
        return {"schema": 1, "run": str(path), **found}


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
        "adaptation": dict(leaves(budget.model_dump(exclude={"num_tasks", "adapt_steps", "episodes"}))),
    }


def _experience(parts: Parts, budget: Evaluation) -> list[int]:
    """Environment steps of a task that an adaptation has seen before each column, [K + 1]."""
    episodes = {"all": budget.episodes, "one": 1, "none": 0}[parts.make_learner(None).learns_from]
    return [update * episodes * parts.family.horizon for update in range(budget.adapt_steps + 1)]
