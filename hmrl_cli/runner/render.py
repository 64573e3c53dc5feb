"""HTML pages of episodes: of an adaptation, of skills, or of the scripted controller of a family."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmrl_cli import config
from hmrl_cli.environment.frames import Episodes, Frames, frames_of, recorded
from hmrl_cli.environment.rollout import advance
from hmrl_cli.evaluation import adaptation
from hmrl_cli.evaluation.skills import arrivals, run_skills
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.lazy import jax, jnp, np, root_key
from hmrl_cli.report.viewer.episodes import Film, page
from hmrl_cli.runner import assembly
from hmrl_cli.runner.diagnose import SKILL_EPISODES, place_labels
from hmrl_cli.runner.evaluate import compiled_for
from hmrl_cli.runner.trained import open_trained
from hmrl_cli.storage import files, outputs
from hmrl_cli.storage.reader import Info
from hmrl_cli.types import Continuous, EnvState, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.runner.trained import Trained
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Reward, Split, Task

MAX_EPISODES = 400  # of an adaptation on one page


def record_episode(
    key: Key, family: TaskFamily, task: Task, act: Callable[[Key, EnvState], Array]
) -> Frames | None:
    """All states of one episode of a recorded family, leaves [horizon + 1, ...]."""
    reset_key, act_key = jax.random.split(key)

    def step(state: EnvState, t: Array) -> tuple[EnvState, None]:
        return advance(family, state, act(jax.random.fold_in(act_key, t), state), task), None

    start = family.reset(reset_key, task)
    return frames_of(jax.lax.scan(step, start, jnp.arange(family.horizon))[0])


def controller(family: TaskFamily, task: Task) -> Callable[[Key, EnvState], Array]:
    """The scripted controller of a family, which knows the task; uniform actions where it has none."""
    script = family.controller
    if script is not None:
        return lambda key, state: script(state, task)
    size = family.action.size
    if isinstance(family.action, Continuous):
        return lambda key, state: jax.random.uniform(key, (size,), minval=-1.0)
    return lambda key, state: jax.random.randint(key, (), 0, size)


def render_family(
    name: str, *, split: Split, reward: Reward, num_tasks: int, out: Path | None, progress: Progress
) -> Path:
    """Write an HTML page of a family's scripted controller, one episode for each task.

    Args:
        name: a family, with its default settings, or a preset, with the family settings of the preset.
        split: the split that the tasks are drawn from.
        reward: the reward that the page shows.
        num_tasks: number of tasks.
        out: the file; None writes NAME.html, with a dash for a slash.
        progress: shows the phase.

    Returns:
        the file.
    """
    family = recorded(assembly.make_family(config.family_of(name), reward))
    tasks = sample_tasks(family, split, num_tasks)
    progress.phase("recording episodes")
    keys = jax.random.split(root_key(0), num_tasks)
    frames = jax.jit(jax.vmap(lambda key, task: record_episode(key, family, task, controller(family, task))))(
        keys, tasks
    )
    who = "scripted controller" if family.controller else "random actions"
    labels = [f"{split} task {i + 1}: {who}" for i in range(num_tasks)]
    out = out or outputs.page_of(name)
    files.write_text(out, page(f"{name}: {who}", family, frames, labels))
    return out


def render_run(
    run: Info,
    *,
    split: Split,
    reward: Reward,
    num_tasks: int,
    out: Path | None,
    protocol: str | None = None,
    sets: Sequence[str] = (),
    progress: Progress,
) -> Path:
    """Write an HTML page of a run's first seed: every skill, or every episode of an adaptation.

    The adaptation is the one that `evaluate` measures: the same tasks, settings and random draws.  A film
    shows all skills at once.  A film of each task shows all of its episodes in turn, whose paths stay.

    Args:
        run: the run.
        split: the split that the tasks are drawn from.  Skills act in its first task.
        reward: the reward that the policy adapts to.
        num_tasks: number of tasks to adapt to, the first ones of an evaluation.
        out: the file; None writes `render.html` in the run.
        protocol: a named way to adapt; None: that of the run.
        sets: lines of TOML, of the [evaluation] table, above the protocol.
        progress: shows the phases and notes.

    Returns:
        the file.

    Raises:
        ConfigError: a protocol or a setting is unknown, or does nothing for this run.
        InputError: the run or its checkpoint cannot be used.
    """
    progress.phase("loading")
    budget = config.with_evaluation(run.experiment, sets, protocol=protocol).evaluation
    trained = open_trained(run, reward, progress)
    parts = trained.parts
    tasks = sample_tasks(parts.family, split, num_tasks, budget.split_seed)
    progress.phase("recording episodes")
    key = assembly.seed_keys(trained.experiment).evaluate[0]
    if parts.learns_skills:
        family = parts.act_on(None)
        frames, labels = _record_skills(key, trained, tasks[0], budget.deterministic)
        films = [Film(f"all {len(labels)} skills at once", "at once", range(len(labels)))]
    else:
        assembly.check_located(budget, parts)
        family = parts.family
        played, everything = _record_adaptation(key, trained, reward, tasks, budget, progress)
        frames, labels = _joined(played), [f"{split} {label}" for label in _labels(played)]
        films = _films(played, everything, split)
    out = out or run.path / "render.html"
    files.write_text(out, page(run.path.resolve().name, family, frames, labels, films))
    return out


def _record_skills(key: Key, trained: Trained, task: Task, deterministic: bool) -> tuple[Frames, list[str]]:
    """One episode of every skill, leaves [num_skills, ...]; and labels, of places with their arrivals."""
    parts = trained.parts
    learner, family = parts.learner, parts.act_on(None)
    library = learner.skills(learner.freeze(jax.tree.map(lambda x: x[0], trained.state)))
    finds = library.locate is not None
    run = functools.partial(
        run_skills, num_episodes=SKILL_EPISODES if finds else 1, deterministic=deterministic
    )
    episodes = jax.jit(lambda key: run(key, family, library, task))(key)
    labels = [f"skill {skill}" for skill in range(len(library.examples))]
    if finds:
        found = arrivals(library, episodes.obs, episodes.frames.done)
        labels = place_labels(library.examples, np.asarray(found["arrived"]))
    return jax.tree.map(lambda x: x[:, 0], episodes.frames), labels


def _record_adaptation(
    key: Key, trained: Trained, reward: Reward, tasks: Array, budget: Evaluation, progress: Progress
) -> tuple[Episodes, Episodes]:
    """The episodes of an adaptation that a page plays, and all, leaves [task, batch, episode, ...]."""
    budget = adaptation.calibrated(budget, trained.parts.family, compiled_for(trained, reward))
    parts = assembly.assemble(trained.experiment, trained.skills_from, reward, recorded)
    batches = budget.adapt_steps + 1
    shown = max(1, min(budget.episodes, MAX_EPISODES // (len(tasks) * batches)))
    if shown < budget.episodes:
        progress.note(f"the page shows the first {shown} of {budget.episodes} episodes of each batch")
    state, skills = jax.tree.map(lambda x: x[:1], (trained.state, trained.skills))
    curves = adaptation.adaptation_curves(key[None], parts.make_learner, state, skills, tasks, budget)
    everything = jax.tree.map(lambda x: x[0], curves.episodes)
    return jax.tree.map(lambda x: x[:, :, :shown], everything), everything


def _joined(episodes: Episodes) -> Frames:
    """The frames of episodes [task, batch, episode, ...], leaves [task * batch * episode, ...]."""
    joined: Frames = jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), episodes.frames)
    return joined


def _labels(played: Episodes) -> list[str]:
    return [
        f"task {task + 1}: {_when(batch)}, episode {number + 1}: {_outcome(played, (task, batch, number))}"
        for task, batch, number in np.ndindex(played.counted.shape)
    ]


def _films(played: Episodes, everything: Episodes, split: Split) -> list[Film]:
    """A film of the adaptation to each task: of episodes of the page, if the page plays all of them."""
    films = []
    for task, of_task in enumerate(everything.counted):
        count = of_task.size
        episodes: Any = range(task * count, (task + 1) * count)
        if played.counted.shape != everything.counted.shape:
            episodes = jax.tree.map(lambda x, task=task: x[task].reshape(-1, *x.shape[3:]), everything.frames)
        films.append(Film(f"{split} task {task + 1}: all {count} episodes in turn", "in turn", episodes))
    return films


def _when(num_steps: int) -> str:
    if num_steps == 0:
        return "before adaptation"
    return f"after {num_steps} update{'s' if num_steps > 1 else ''}"


def _outcome(played: Episodes, which: tuple[int, ...]) -> str:
    """Whether an episode met its goal, and whether the results of its batch count it."""
    success, done = played.frames.success[which], played.frames.done[which]
    last = done.argmax() if done.any() else len(done) - 1
    outcome = "success" if success[last] else "reached" if success[:last].any() else "not reached"
    return outcome if played.counted[which] else f"{outcome}, not counted"
