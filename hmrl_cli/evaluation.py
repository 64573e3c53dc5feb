"""How good it is: adaptation curves on held-out tasks, reference lines, and what a set of skills does."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.devices import side_by_side
from hmrl_cli.distributions import take
from hmrl_cli.empowerment import lower_bound
from hmrl_cli.film import Film, frame
from hmrl_cli.lazy import jax, jnp, np, root_key
from hmrl_cli.rollout import advance, unroll
from hmrl_cli.schema import Evaluation
from hmrl_cli.statistics import fraction_summary, rate_summary, score_summary
from hmrl_cli.types import (
    Adaptation,
    Continuous,
    EnvState,
    MetaLearner,
    SkillLearner,
    SkillLibrary,
    TaskFamily,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hmrl_cli.types import Array, Key, Params, Split, State, Task

REFERENCE_EPISODES = 4  # per task; resets are noisy
CALIBRATION_TASKS = 40  # of the training split
LEAST_GAIN = 0.2  # of the way from doing nothing to knowing the goal: more than what actions cost
TASKS_AT_ONCE = 64  # on each device; bounds memory, whatever the number of tasks


def sample_tasks(family: TaskFamily, split: Split, num_tasks: int) -> Array:
    """The tasks of a split [num_tasks, task_size]: the same for every run, with keys of their own."""
    key = jax.random.fold_in(root_key(0), zlib.crc32(split.encode()))
    return jax.vmap(lambda k: family.sample(k, split))(jax.random.split(key, num_tasks))


def tasks_digest(tasks: Array) -> str:
    """sha256 of the tasks' bytes: two evaluations with equal digests met the same tasks."""
    return hashlib.sha256(np.asarray(tasks, np.float32).tobytes()).hexdigest()


def reference_lines(family: TaskFamily, tasks: Array) -> dict[str, Any]:
    """What doing nothing and what a scripted controller that knows the goal achieve on the tasks.

    Nothing is an action of zeros, or action 0 where actions are discrete.  Returns are undiscounted means
    over tasks and resets.

    Args:
        family: a plain one, neither lifted nor held.
        tasks: [num_tasks, task_size].

    Returns:
        "flat" and "feasible", the returns, with `_success` and `_reached` the rates; of each task under
        "per_task".  Without a controller, all that is feasible is None.
    """
    controller = family.controller
    continuous = isinstance(family.action, Continuous)
    nothing = jnp.zeros(family.action.size) if continuous else jnp.int32(0)

    def episode(key: Key, task: Task, effort: Array) -> tuple[Array, Array, Array]:
        def step(state: EnvState, _: None) -> tuple[EnvState, Array]:
            action = effort * controller(state, task) if controller else nothing
            state = advance(family, state, action, task)
            return state, state.reward

        final, rewards = jax.lax.scan(step, family.reset(key, task), None, family.horizon)
        return rewards.sum(), jnp.float32(final.success), jnp.float32(final.reached)

    # both lines in one program: an effort of 0 does nothing
    efforts = jnp.array([0.0, 1.0] if controller else [0.0])

    @jax.jit
    def run(tasks: Array) -> tuple[Array, Array, Array]:
        keys = jax.random.split(root_key(0), (len(tasks), REFERENCE_EPISODES))
        over_episodes = jax.vmap(episode, in_axes=(0, None, None))
        over_tasks = jax.vmap(over_episodes, in_axes=(0, 0, None))
        over_efforts = jax.vmap(over_tasks, in_axes=(None, None, 0))
        return jax.tree.map(lambda x: x.mean(axis=2), over_efforts(keys, tasks, efforts))

    rolled_out = dict(zip(("", "_success", "_reached"), map(np.asarray, run(tasks)), strict=True))
    lines: dict[str, Any] = {"per_task": {}}
    for row, name in enumerate(("flat", "feasible")):
        exists = row < len(efforts)
        lines["per_task"][name] = rolled_out[""][row].tolist() if exists else None
        lines |= {
            f"{name}{of}": float(values[row].mean()) if exists else None for of, values in rolled_out.items()
        }
    return lines


def calibrated(budget: Evaluation, family: TaskFamily) -> Evaluation:
    """The budget with the gain that a refit takes for a find, where it says none.

    That is a share of the mean way from doing nothing to the scripted controller, on training tasks: it has
    the units of the return, and is the same for all that learn on a family.  Without a controller it is 0.

    Args:
        budget: how to adapt.
        family: a plain one, with the reward that is adapted to.
    """
    if budget.rule != "refit" or budget.least_gain is not None or family.controller is None:
        return budget
    lines = reference_lines(family, sample_tasks(family, "train", CALIBRATION_TASKS))
    gain = LEAST_GAIN * max(lines["feasible"] - lines["flat"], 0.0)
    return budget.model_copy(update={"least_gain": float(f"{gain:.3g}")})  # as tables show it


def adaptation_curves(
    key: Key,
    make_learner: Callable[[Params], MetaLearner],
    state: State,
    skills: Params,
    tasks: Array,
    budget: Evaluation,
) -> Adaptation:
    """Adapt every seed's meta-parameters to every task, leaves numpy [seed, task, ...].

    Args:
        key: [S] one per seed.
        make_learner: the learner over given skill parameters.
        state: leaves [S, ...].
        skills: parameters of the skills, leaves [S, ...], or None.
        tasks: [num_tasks, task_size].
        budget: updates, episodes, and how they are used.
    """

    def one_task(trained: tuple[State, Params], key: Key, task: Task) -> Adaptation:
        state, skills = trained
        return make_learner(skills).adapt(key, state, task, budget)[1]

    def one_seed(key: Key, state: State, skills: Params) -> Adaptation:
        keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(jnp.arange(len(tasks)))
        return side_by_side(one_task, (state, skills), keys, tasks, at_once=TASKS_AT_ONCE)

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one_seed))(key, state, skills))


def explored(
    key: Key, learner: MetaLearner, family: TaskFamily, state: State, task: Task, *, draws: int, episodes: int
) -> tuple[dict[str, Array], Array]:
    """How a meta-learner explores before any update: with structure, where its draws decide where it goes.

    Args:
        key: of one seed.
        learner: over that family.
        family: as the learner meets it.
        state: of the learner.
        task: any; the reward is not looked at.
        draws: M, of what one episode's exploration needs, such as a latent.
        episodes: N with each of them.

    Returns:
        numbers, and paths [M, N, T + 1, 2].  `end_spread` is the root mean square distance of ends from their
        centre; `share_of_draws` the share of its square that lies between draws (the intraclass correlation
        of a one-way analysis of variance: near 0 where draws do not matter, 1 where they decide).
    """
    adapt_key, draw_key, run_key = jax.random.split(key, 3)
    start, _ = learner.adapt(adapt_key, state, task, Evaluation(adapt_steps=0, episodes=1))

    def path(draw_key: Key, key: Key) -> Array:
        steps, final = unroll(key, learner.behaviour(draw_key, start), family, task)
        return family.features["xy"](jnp.concatenate([steps.obs, final.obs[None]]))

    keys = jax.random.split(run_key, (draws, episodes))
    per_draw = jax.vmap(path, in_axes=(None, 0))
    paths = jax.vmap(per_draw)(jax.random.split(draw_key, draws), keys)
    ends = paths[:, :, -1]
    within = ends.var(axis=1, ddof=1).sum(axis=-1).mean()
    between = ends.mean(axis=1).var(axis=0, ddof=1).sum() - within / episodes
    share = jnp.maximum(between, 0.0) / (jnp.maximum(between, 0.0) + within + 1e-20)
    spread = jnp.sqrt(jnp.sum((ends - ends.mean(axis=(0, 1))) ** 2, axis=-1).mean())
    return {"end_spread": spread, "share_of_draws": share}, paths


def curve_document(curves: Adaptation, lines: dict[str, Any]) -> dict[str, Any]:
    """The part of an evaluation document that tells how the tasks went, as plain lists.

    The fraction is None where there is no feasible line, or no way up to it.
    """
    per_task = lines["per_task"]
    feasible = per_task["feasible"]
    return {
        **{name: value for name, value in lines.items() if name != "per_task"},
        "steps": list(range(curves.returned.shape[-1])),
        "return": score_summary(curves.returned),
        "success": rate_summary(curves.success),
        "reached": rate_summary(curves.reached),
        "fraction": feasible and fraction_summary(curves.returned, per_task["flat"], feasible),
        "per_task": {
            "return": curves.returned.tolist(),
            "success": curves.success.tolist(),
            "reached": curves.reached.tolist(),
            **per_task,
        },
    }


class SkillEpisodes(NamedTuple):
    """Episodes of a library's examples: M skills, N episodes of each."""

    obs: Array  # [M, N, T + 1, obs_size]  from the reset on
    log_prob: Array  # [M, N, T]  of sampled actions
    valid: Array  # [M, N, T]  0 after an early end
    film: Film  # leaves [M, N, T + 1, ...]


def run_skills(
    key: Key,
    family: TaskFamily,
    library: SkillLibrary,
    task: Task,
    num_episodes: int,
    deterministic: bool = False,
) -> SkillEpisodes:
    """Run every example of a library, by sampled actions or by the most likely ones."""

    def episode(key: Key, skill: Array) -> SkillEpisodes:
        reset_key, act_key = jax.random.split(key)
        start = family.reset(reset_key, task)

        def step(state: EnvState, t: Array) -> tuple[EnvState, SkillEpisodes]:
            pi = library.policy(library.params, state.obs, skill)
            action, log_prob = take(pi, jax.random.fold_in(act_key, t), deterministic=deterministic)
            new = advance(family, state, action, task)
            shot = frame(family, new, task)
            return new, SkillEpisodes(new.obs, log_prob, 1.0 - state.done, shot)

        _, steps = jax.lax.scan(step, start, jnp.arange(family.horizon))
        first, rest = (start.obs, frame(family, start, task)), (steps.obs, steps.film)
        obs, shots = jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), first, rest)
        return steps._replace(obs=obs, film=shots)

    keys = jax.random.split(key, (len(library.examples), num_episodes))
    return jax.vmap(jax.vmap(episode, in_axes=(0, None)))(keys, library.examples)


def skill_diagnostics(
    key: Key,
    family: TaskFamily,
    learner: SkillLearner,
    state: State,
    task: Task,
    *,
    num_episodes: int,
    deterministic: bool = False,
) -> tuple[dict[str, Array], Array, Film]:
    """What the skills of one seed do, for the M examples of the library.

    Returns:
        numbers, paths [M, N, T + 1, 2], and a film of each skill's first episode, leaves [M, T + 1, ...].

    The numbers:

    * accuracy: how often the discriminator names the skill, from what it sees after a step: the state, or as
      its algorithm says the last few, the first and this one, or the last two;
    * mutual_information: E[log q(z|.) - log p(z)] in nats, p(z) even over the examples, a lower bound of what
      that tells of Z (Barber & Agakov 2003): I(S;Z) where it is the state;
    * effective_skills: exp of the entropy of the discriminator's mean answer, at most M;
    * displacement: distance from start to end, per skill; direction: of its mean end, in radians;
    * end_spread: scatter of one skill's ends about their centre, to be small against the displacement;
    * coverage: distinct cells of 0.25 length units that all skills visit;
    * action_entropy: H[A|S,Z] in nats, differential where actions are continuous; of what the policy draws,
      which a family clips, so that it may exceed log 2 per dimension.
    """
    library = learner.skills(learner.freeze(state))
    obs, log_prob, valid, films = run_skills(key, family, library, task, num_episodes, deterministic)
    count = valid.sum()
    log_q = learner.discriminate(state, obs)  # [M, N, T, M]
    own = jnp.stack([log_q[z, ..., z] for z in range(len(log_q))])
    right = jnp.stack([log_q[z].argmax(axis=-1) == z for z in range(len(log_q))])
    mean_answer = jnp.sum(jnp.exp(log_q) * valid[..., None], axis=(0, 1, 2)) / count
    paths = family.features["xy"](obs)
    ends = paths[:, :, -1] - paths[:, :, 0]
    centres = ends.mean(axis=1)
    return (
        {
            "accuracy": jnp.sum(right * valid) / count,
            "accuracy_per_skill": jnp.sum(right * valid, axis=(1, 2)) / valid.sum(axis=(1, 2)),
            "mutual_information": lower_bound(own, -jnp.log(len(log_q)), valid),
            "effective_skills": jnp.exp(-jnp.sum(mean_answer * jnp.log(mean_answer + 1e-20))),
            "displacement": jnp.linalg.norm(ends, axis=-1).mean(axis=1),
            "direction": jnp.arctan2(centres[:, 1], centres[:, 0]),
            "end_spread": jnp.linalg.norm(ends - centres[:, None], axis=-1).mean(axis=1),
            "coverage": _distinct_cells(paths.reshape(-1, 2), 0.25),
            "action_entropy": -jnp.sum(log_prob * valid) / count,
        },
        paths,
        jax.tree.map(lambda x: x[:, 0], films),
    )


def _distinct_cells(places: Array, size: float) -> Array:
    """How many cells of a square grid the places [M, 2] fall into."""
    cells = jnp.clip(jnp.floor(places / size), -500, 499).astype(jnp.int32) + 500
    return jnp.zeros(1000 * 1000, jnp.bool_).at[cells[:, 0] * 1000 + cells[:, 1]].set(True).sum()
