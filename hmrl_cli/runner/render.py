"""HTML pages of episodes: of a trained policy, of skills, or of the scripted controller of a family."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli import config
from hmrl_cli.environment.frames import Frames, frame
from hmrl_cli.environment.rollout import advance
from hmrl_cli.evaluation import adaptation
from hmrl_cli.evaluation.skills import arrivals, run_skills
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.lazy import jax, jnp, np, root_key
from hmrl_cli.report.viewer.episodes import page
from hmrl_cli.runner import assembly
from hmrl_cli.runner.diagnose import SKILL_EPISODES, place_labels
from hmrl_cli.runner.trained import open_trained
from hmrl_cli.storage import files, outputs
from hmrl_cli.storage.reader import Info
from hmrl_cli.types import Continuous, EnvState, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.runner.progress import Progress
    from hmrl_cli.runner.trained import Trained
    from hmrl_cli.types import Array, Key, Reward, Split, Task


class Actor(NamedTuple):
    """A policy that decides every few steps, and acts at each step."""

    decide: Callable[[Key, EnvState], Any]  # -> decision
    act: Callable[[Key, EnvState, Any], Array]  # key, state, decision -> action
    every: int  # environment steps of one decision


def record_episode(key: Key, family: TaskFamily, task: Task, actor: Actor) -> Frames:
    """All states of one episode, leaves [horizon + 1, ...]; the family is neither lifted nor repeated."""
    reset_key, act_key = jax.random.split(key)
    start = family.reset(reset_key, task)

    def step(now: tuple[EnvState, Any], t: Array) -> Any:
        state, decision = now
        decide_key, step_key = jax.random.split(jax.random.fold_in(act_key, t))
        fresh = actor.decide(decide_key, state)
        decision = jax.tree.map(lambda new, old: jnp.where(t % actor.every == 0, new, old), fresh, decision)
        state = advance(family, state, actor.act(step_key, state, decision), task)
        return (state, decision), frame(family, state, task)

    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(actor.decide, key, start))
    _, frames = jax.lax.scan(step, (start, nothing), jnp.arange(family.horizon))
    return jax.tree.map(
        lambda first, rest: jnp.concatenate([first[None], rest]), frame(family, start, task), frames
    )


def controller(family: TaskFamily, task: Task) -> Actor:
    """The scripted controller of a family, which knows the task; uniform actions where it has none."""
    script = family.controller
    if script is not None:
        return Actor(lambda key, state: (), lambda key, state, _: script(state, task), 1)
    size = family.action.size
    if isinstance(family.action, Continuous):
        return Actor(lambda key, state: (), lambda key, *_: jax.random.uniform(key, (size,), minval=-1.0), 1)
    return Actor(lambda key, state: (), lambda key, *_: jax.random.randint(key, (), 0, size), 1)


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
    family = assembly.make_family(config.family_of(name), reward)
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
    run: Info, *, split: Split, reward: Reward, num_tasks: int, out: Path | None, progress: Progress
) -> Path:
    """Write an HTML page of a run's first seed: every skill, or the policy before and after adaptation.

    Args:
        run: the run.
        split: the split that the tasks are drawn from.  Skills act in its first task.
        reward: the reward that the policy adapts to.
        num_tasks: number of tasks, two episodes each.
        out: the file; None writes `render.html` in the run.
        progress: shows the phases and notes.

    Returns:
        the file.

    Raises:
        InputError: the run or its checkpoint cannot be used.
    """
    progress.phase("loading")
    trained = open_trained(run, reward, progress)
    tasks = sample_tasks(trained.parts.family, split, num_tasks)
    progress.phase("recording episodes")
    key = assembly.seed_keys(trained.experiment).evaluate[0]
    if trained.parts.learns_skills:
        family = trained.parts.act_on(None)
        frames, labels = _record_skills(key, trained, tasks[0])
    else:
        family = trained.parts.family
        frames, labels = _record_adaptation(key, trained, tasks, split)
    out = out or run.path / "render.html"
    files.write_text(out, page(run.path.resolve().name, family, frames, labels))
    return out


def _record_skills(key: Key, trained: Trained, task: Task) -> tuple[Frames, list[str]]:
    """One episode of every skill, leaves [num_skills, ...]; and labels, of places with their arrivals."""
    parts = trained.parts
    learner, family = parts.make_learner(None), parts.act_on(None)
    library = learner.skills(learner.freeze(jax.tree.map(lambda x: x[0], trained.state)))
    deterministic = trained.experiment.evaluation.deterministic
    finds = library.locate is not None
    run = functools.partial(
        run_skills, num_episodes=SKILL_EPISODES if finds else 1, deterministic=deterministic
    )
    episodes = jax.jit(lambda key: run(key, family, library, task))(key)
    labels = [f"skill {skill}" for skill in range(len(library.examples))]
    if finds:
        found = arrivals(library, episodes.obs, episodes.valid)
        labels = place_labels(library.examples, np.asarray(found["arrived"]))
    return jax.tree.map(lambda x: x[:, 0], episodes.frames), labels


def _record_adaptation(key: Key, trained: Trained, tasks: Array, split: Split) -> tuple[Frames, list[str]]:
    """Two episodes of every task, before and after adaptation, leaves [2 num_tasks, ...]; and labels."""
    parts = trained.parts
    budget = adaptation.calibrated(trained.experiment.evaluation, parts.family)
    state, skills = jax.tree.map(lambda x: x[0], (trained.state, trained.skills))
    learner = parts.make_learner(skills)
    act = _carry_out(trained, skills)
    moments = (0, budget.adapt_steps) if budget.adapt_steps else (0,)
    how = {"deterministic": True} if budget.deterministic else {}  # which not every learner knows

    def one(key: Key, task: Task) -> Frames:
        adapt_key, *record_keys = jax.random.split(key, 3)

        def after(record_key: Key, num_steps: int) -> Frames:
            adapted, _ = learner.adapt(
                adapt_key, state, task, budget.model_copy(update={"adapt_steps": num_steps})
            )
            behaviour_key, record_key = jax.random.split(record_key)
            behave = learner.behaviour(behaviour_key, adapted, **how)
            actor = Actor(lambda key, state: behave(key, state.obs)[0], act, parts.steps_per_decision)
            return record_episode(record_key, parts.family, task, actor)

        shots = [after(k, steps) for k, steps in zip(record_keys, moments, strict=False)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *shots)

    frames = jax.jit(jax.vmap(one))(jax.random.split(key, len(tasks)), tasks)
    frames = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), frames)
    return frames, [f"{split} task {i + 1}: {_when(n)}" for i in range(len(tasks)) for n in moments]


def _when(num_steps: int) -> str:
    if num_steps == 0:
        return "before adaptation"
    return f"after {num_steps} update{'s' if num_steps > 1 else ''}"


def _carry_out(trained: Trained, skills: Any) -> Callable[[Key, EnvState, Any], Array]:
    """A function key, state, decision -> action: the action of the chosen skill, or the decision itself."""
    hierarchy, skill_learner = trained.experiment.hierarchy, trained.parts.skill_learner
    if hierarchy is None or hierarchy.use == "start" or skill_learner is None:
        return lambda key, state, decision: decision
    library = skill_learner.skills(skills)

    def act(key: Key, state: EnvState, skill: Array) -> Array:
        pi = library.policy(library.params, state.obs, skill)
        return pi.sample(key) if hierarchy.stochastic else pi.mode()

    return act
