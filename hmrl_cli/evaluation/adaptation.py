"""How good it is: adaptation curves on held-out tasks, reference lines, and what a set of skills does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hmrl_cli.compute.devices import side_by_side
from hmrl_cli.environment.rollout import advance
from hmrl_cli.evaluation.statistics import fraction_summary, rate_summary, score_summary
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.lazy import jax, jnp, np, root_key
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import (
    Adaptation,
    Continuous,
    EnvState,
    MetaLearner,
    TaskFamily,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hmrl_cli.types import Array, Key, Params, State, Task

REFERENCE_EPISODES = 4  # per task; resets are noisy
CALIBRATION_TASKS = 40  # of the training split
LEAST_GAIN = 0.2  # of the way from doing nothing to knowing the goal: more than what actions cost
TASKS_AT_ONCE = 64  # on each device; bounds memory, whatever the number of tasks


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
    """The budget with the gain that counts as a find, where it says none.

    That is a share of the mean way from doing nothing to the scripted controller, on training tasks: it has
    the units of the return, and is the same for all that learn on a family.  Without a controller it is 0.

    Args:
        budget: how to adapt.
        family: a plain one, with the reward that is adapted to.
    """
    if budget.rule == "gradient" or budget.least_gain is not None or family.controller is None:
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
