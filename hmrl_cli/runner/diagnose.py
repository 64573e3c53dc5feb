"""Diagnostics of the skills of a run, and of the exploration of a meta-run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli.compute.finite import check_finite
from hmrl_cli.config import changed_evaluation
from hmrl_cli.errors import one_line
from hmrl_cli.evaluation import exploration, goals
from hmrl_cli.evaluation.skills import skill_diagnostics
from hmrl_cli.lazy import jax, np
from hmrl_cli.report.figures import paths_svg
from hmrl_cli.report.viewer import episodes
from hmrl_cli.runner import programs
from hmrl_cli.runner.assembly import seed_keys
from hmrl_cli.runner.signals import unless_stopped
from hmrl_cli.runner.trained import Trained, open_trained
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage import evaluations, files
from hmrl_cli.storage.reader import Info

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.types import Key, Params, State

SKILL_EPISODES = 8  # episodes of each skill
PROTOCOL = ((goals.coverage, "random_skills"), (goals.zero_shot, "goals"))  # and the setting that asks for it


def explore(run: Info, progress: Progress, draws: int = 8, episodes: int = 8) -> tuple[dict[str, Any], str]:
    """How a meta-run explores one training task before any update.

    Args:
        run: a meta-run.
        progress: receives notes on damaged checkpoints.
        draws: draws of the exploration latent for each seed.
        episodes: episodes for each draw.

    Returns:
        the numbers of `evaluation.explored`, lists over seeds; and an SVG of the paths, one panel per seed.

    Raises:
        InputError: the run or every checkpoint cannot be used.
    """
    trained = open_trained(run, "sparse", progress)

    def one_seed(key: Key, state: State, skills: Params) -> Any:
        family, learner = trained.parts.act_on(skills), trained.parts.make_learner(skills)
        task = family.sample(key, "train")
        return exploration.explored(key, learner, family, state, task, draws=draws, episodes=episodes)

    keys = seed_keys(trained.experiment).evaluate
    numbers, paths = jax.jit(jax.vmap(one_seed))(keys, trained.state, trained.skills)
    found = {name: np.asarray(value).tolist() for name, value in numbers.items()}
    return found, paths_svg(np.asarray(paths), "draws", trained.parts.family.upright)


def diagnose(
    path: Path,
    trained: Trained,
    settings: Evaluation,
    *,
    stop: Callable[[], int | None] = lambda: None,
    check: Callable[[], None] = lambda: None,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Run every skill of every seed, and write `skills.json`, `skills.svg` and `skills.html`.

    The SVG shows the paths of all seeds.  The HTML page plays every skill of the first seed.  A failure to
    draw either is a note and no error, because the numbers are the result.  Where settings differ from the
    run's own, the names begin like "skills-deterministic=", so that the run's own files keep.

    Args:
        path: the run directory.
        trained: the skill run at one checkpoint.
        settings: whether skills act by their most likely action, and what is measured beside the diagnosis.
        stop: returns the number of a signal that asked to stop, or None.
        check: raises where the run directory may not be written to; called before the first write.
        note: is called with what could not be drawn.

    Returns:
        the content of `skills.json`: each measure as lists over seeds.

    Raises:
        Diverged: a number is not finite; nothing was written.
        InputError: there is a diagnosis of a later epoch, whose checkpoint is damaged.
        Interrupted: `stop` returned a signal; nothing was written.
    """
    parts, epoch = trained.parts, trained.epoch
    stem = evaluations.with_changes("skills", changed_evaluation(trained.experiment, settings))
    evaluations.check_not_later(path / f"{stem}.json", epoch, path)
    numbers, paths, recorded = unless_stopped(lambda: _run(trained, settings), stop, epoch)
    numbers = _without_blind_goals(numbers, note)
    check_finite(**numbers)
    found = {name: value.tolist() for name, value in numbers.items()}
    document = {
        "epoch": epoch,
        "arrays_sha256": trained.arrays_sha256,
        "deterministic": settings.deterministic,
        "diagnosis": settings.diagnosis.model_dump(),
        **found,
    }
    check()
    files.write_json(path / f"{stem}.json", document)
    first = jax.tree.map(lambda x: x[0], recorded)
    title, labels = f"{path.resolve().name}: skills", _skill_labels(document)
    _draw(path / f"{stem}.svg", lambda: paths_svg(paths, "skills", parts.family.upright), note)
    films = [episodes.Film(f"all {len(labels)} skills at once", "at once", range(len(labels)))]
    _draw(path / f"{stem}.html", lambda: episodes.page(title, parts.act_on(None), first, labels, films), note)
    return document


def _run(trained: Trained, settings: Evaluation) -> Any:
    """Diagnostics, paths and recorded episodes of the skills of every seed, numpy leaves [S, ...]."""
    parts = trained.parts

    def one_seed(key: Any, state: State, skills: Params) -> Any:
        family, learner = parts.act_on(skills), parts.make_learner(skills)
        task_key, run_key, *measure_keys = jax.random.split(key, 2 + len(PROTOCOL))
        of_skills = (family, learner, state, family.sample(task_key, "train"))
        numbers, paths, frames = skill_diagnostics(
            run_key, *of_skills, num_episodes=SKILL_EPISODES, deterministic=settings.deterministic
        )
        for measure_key, (measure, wanted) in zip(measure_keys, PROTOCOL, strict=True):
            if getattr(settings.diagnosis, wanted):
                numbers |= measure(measure_key, *of_skills, settings.diagnosis, settings.deterministic)
        return numbers, paths, frames

    keys = seed_keys(trained.experiment).evaluate
    arguments = (keys, trained.state, trained.skills)
    run = programs.compiled(
        jax.jit(jax.vmap(one_seed)),
        arguments,
        (trained.experiment, trained.skills_from),
        name="skills",
        deterministic=settings.deterministic,
        diagnosis=settings.diagnosis.model_dump(),
    )
    found = run(*arguments)
    return jax.tree.map(np.asarray, found)


def _without_blind_goals(numbers: dict[str, Any], note: Callable[[str], None]) -> dict[str, Any]:
    """The numbers, without those on goals if the same skill was named for all goals."""
    named = numbers.pop("goal_named", None)
    if named is None or named.any():
        return numbers
    note("goals were not measured: what skills are told apart by does not depend on the position")
    return {name: value for name, value in numbers.items() if not name.startswith("goal_")}


def _draw(file: Path, draw: Callable[[], str], note: Callable[[str], None]) -> None:
    """Write what `draw` returns, or note its error and remove an older file, which shows other skills."""
    try:
        text = draw()
    except Exception as error:  # a library's, of fonts or settings, after hours of training
        file.unlink(missing_ok=True)
        note(f"{file}: was not drawn: {type(error).__name__}: {one_line(error)[:200]}")
    else:
        files.write_text(file, text)


def _skill_labels(document: dict[str, Any]) -> list[str]:
    """A line for each skill of the first seed: how often it is named or arrives, and where it ends."""
    if "place" in document:
        return place_labels(document["place"][0], document["arrived"][0])
    columns = (document[name][0] for name in ("accuracy_per_skill", "displacement", "direction"))
    return [
        f"skill {skill}: named in {accuracy:.0%}, ends {distance:.2f} away at {math.degrees(angle):.0f}°"
        for skill, (accuracy, distance, angle) in enumerate(zip(*columns, strict=True))
    ]


def place_labels(places: Iterable[Iterable[float]], arrived: Iterable[float]) -> list[str]:
    """A line for each of M skills that are places [M, skill size]: the place, and its share of arrivals."""
    return [
        f"skill {skill}: place ({', '.join(f'{z:.2f}' for z in place)}), {share:.0%} arrive"
        for skill, (place, share) in enumerate(zip(places, arrived, strict=True))
    ]
