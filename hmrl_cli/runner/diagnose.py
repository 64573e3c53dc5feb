"""What the skills of a run do, and how a meta-run explores."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli.compute.finite import check_finite
from hmrl_cli.errors import one_line
from hmrl_cli.evaluation import exploration
from hmrl_cli.evaluation.skills import skill_diagnostics
from hmrl_cli.lazy import jax, np
from hmrl_cli.report.figures import paths_svg
from hmrl_cli.report.viewer import episodes
from hmrl_cli.runner.assembly import seed_keys
from hmrl_cli.runner.signals import unless_stopped
from hmrl_cli.runner.trained import Trained, open_trained
from hmrl_cli.storage import files
from hmrl_cli.storage.reader import Info

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.types import Key, Params, State

SKILL_EPISODES = 8  # of each skill, for its diagnostics


def explore(run: Info, progress: Progress, draws: int = 8, episodes: int = 8) -> tuple[dict[str, Any], str]:
    """How a meta-run explores before any update: `evaluation.explored`, lists over seeds, and a picture, SVG.

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
    return found, paths_svg(np.asarray(paths), "draws")


def diagnose(
    path: Path,
    trained: Trained,
    deterministic: bool,
    *,
    stop: Callable[[], int | None] = lambda: None,
    check: Callable[[], None] = lambda: None,
    note: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Run every skill of every seed; write `skills.json`, `skills.svg` and `skills.html`; return the numbers.

    The picture shows the paths of all seeds, the page plays every skill of the first one.  What cannot be
    drawn is noted, and is no error: a run is for the numbers.  `check` is called before anything is written,
    and raises where nothing may be.

    Raises:
        Diverged: a number is not finite; nothing was written.
        Interrupted: `stop` asked for it; nothing was written.
    """
    parts, epoch = trained.parts, trained.epoch

    def one_seed(key: Any, state: State, skills: Params) -> Any:
        family, learner = parts.act_on(skills), parts.make_learner(skills)
        task_key, run_key = jax.random.split(key)
        task = family.sample(task_key, "train")
        return skill_diagnostics(
            run_key,
            family,
            learner,
            state,
            task,
            num_episodes=SKILL_EPISODES,
            deterministic=deterministic,
        )

    def all_seeds() -> Any:
        keys = seed_keys(trained.experiment).evaluate
        found = jax.jit(jax.vmap(one_seed))(keys, trained.state, trained.skills)
        return jax.tree.map(np.asarray, found)

    numbers, paths, films = unless_stopped(all_seeds, stop, epoch)
    check_finite(**numbers)
    found = {name: value.tolist() for name, value in numbers.items()}
    document = {
        "epoch": epoch,
        "arrays_sha256": trained.arrays_sha256,
        "deterministic": deterministic,
        **found,
    }
    check()
    files.write_json(path / "skills.json", document)
    first = jax.tree.map(lambda x: x[0], films)
    title, labels = f"{path.resolve().name}: skills", _skill_labels(document)
    _draw(path / "skills.svg", lambda: paths_svg(paths, "skills"), note)
    _draw(path / "skills.html", lambda: episodes.page(title, parts.act_on(None), first, labels), note)
    return document


def _draw(file: Path, draw: Callable[[], str], note: Callable[[str], None]) -> None:
    """Write what `draw` returns, or note why it could not; an older picture would be one of other skills."""
    try:
        text = draw()
    except Exception as error:  # a library's, of fonts or settings, after hours of training
        file.unlink(missing_ok=True)
        note(f"{file}: was not drawn: {type(error).__name__}: {one_line(error)[:200]}")
    else:
        files.write_text(file, text)


def _skill_labels(document: dict[str, Any]) -> list[str]:
    """A line for each skill of the first seed: how well it is told from the others, and where it leads."""
    columns = (document[name][0] for name in ("accuracy_per_skill", "displacement", "direction"))
    return [
        f"skill {skill}: named in {accuracy:.0%}, ends {distance:.2f} away at {math.degrees(angle):.0f}°"
        for skill, (accuracy, distance, angle) in enumerate(zip(*columns, strict=True))
    ]
