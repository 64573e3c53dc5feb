"""Adaptation curves on test tasks, and reference returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from hmrl_cli.compute import processes
from hmrl_cli.compute.devices import everywhere, side_by_side
from hmrl_cli.environment.rollout import advance
from hmrl_cli.evaluation.statistics import fraction_summary, rate_summary, score_summary
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.lazy import jax, jnp, np, root_key
from hmrl_cli.schema import Evaluation, Strict
from hmrl_cli.types import (
    Adaptation,
    Continuous,
    EnvState,
    MetaLearner,
    TaskFamily,
)

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Params, State, Task

Numbers = dict[str, Any]  # arrays [] by the names of settings, nested as they are
Compile = Callable[[Any, tuple[Any, ...]], Any]  # jitted program, arguments -> what to call with them
Settings = TypeVar("Settings", bound=Strict)

REFERENCE_EPISODES = 4  # per task; resets are noisy
CALIBRATION_TASKS = 40  # of the training split
LEAST_GAIN = 0.2  # share of the difference from flat to feasible; larger than differences of action costs
TASKS_AT_ONCE = 64  # tasks in parallel on each device; bounds memory


def as_jitted(program: Any, arguments: tuple[Any, ...]) -> Any:
    """A jitted program, which compiles when it is called."""
    return program


def reference_lines(family: TaskFamily, tasks: Array, compiled: Compile = as_jitted) -> dict[str, Any]:
    """Returns of doing nothing ("flat") and of a scripted controller that sees the task ("feasible").

    Doing nothing is an action of zeros, or action 0 if actions are discrete.  Returns are undiscounted means
    over tasks and resets.

    Args:
        family: a family without temporal abstraction.
        tasks: [num_tasks, task_size].
        compiled: compiles a jitted program for its arguments.

    Returns:
        "flat" and "feasible", the mean returns; the same names with `_success` and `_reached`, the rates;
        under "per_task", the returns of each task.  Without a controller the feasible values are None.
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

    # one program for both lines: effort 0 makes the action 0
    efforts = jnp.array([0.0, 1.0] if controller else [0.0])

    @jax.jit
    def run(tasks: Array) -> tuple[Array, Array, Array]:
        keys = jax.random.split(root_key(0), (len(tasks), REFERENCE_EPISODES))
        over_episodes = jax.vmap(episode, in_axes=(0, None, None))
        over_tasks = jax.vmap(over_episodes, in_axes=(0, 0, None))
        over_efforts = jax.vmap(over_tasks, in_axes=(None, None, 0))
        return jax.tree.map(lambda x: x.mean(axis=2), over_efforts(keys, tasks, efforts))

    results = compiled(run, (tasks,))(tasks)
    rolled_out = dict(zip(("", "_success", "_reached"), map(np.asarray, results), strict=True))
    lines: dict[str, Any] = {"per_task": {}}
    for row, name in enumerate(("flat", "feasible")):
        exists = row < len(efforts)
        lines["per_task"][name] = rolled_out[""][row].tolist() if exists else None
        lines |= {
            f"{name}{of}": float(values[row].mean()) if exists else None for of, values in rolled_out.items()
        }
    return lines


def calibrated(budget: Evaluation, family: TaskFamily, compiled: Compile = as_jitted) -> Evaluation:
    """The budget with a `least_gain`, if its rule needs one and it has none.

    The gain is `LEAST_GAIN` of the mean difference from flat to feasible return, over training tasks.  It has
    the unit of a return, and does not depend on the learner.  Without a controller, or with one that earns no
    more than doing nothing, it stays None.  Then `skill_prior` uses a learned one, and others count any gain.

    Args:
        budget: settings of the adaptation.
        family: a family without temporal abstraction, with the reward of the adaptation.
        compiled: see `reference_lines`.
    """
    if budget.rule == "gradient" or budget.least_gain is not None or family.controller is None:
        return budget
    lines = reference_lines(family, sample_tasks(family, "train", CALIBRATION_TASKS), compiled)
    gain = LEAST_GAIN * (lines["feasible"] - lines["flat"])
    if gain <= 0:
        return budget
    return budget.model_copy(update={"least_gain": float(f"{gain:.3g}")})  # as tables show it


def adaptation_curves(
    key: Key,
    make_learner: Callable[[Params], MetaLearner],
    state: State,
    skills: Params,
    tasks: Array,
    budget: Evaluation,
    compiled: Compile = as_jitted,
) -> Adaptation:
    """Adapt every seed's meta-parameters to every task, on the devices of all processes.

    Args:
        key: [S], one for each seed.
        make_learner: skill parameters -> learner.
        state: leaves [S, ...].
        skills: parameters of the skills, leaves [S, ...], or None.
        tasks: [num_tasks, task_size].
        budget: number of updates and episodes, and settings of the updates.
        compiled: see `reference_lines`.

    Returns:
        numpy arrays [seed, task, adapt_steps + 1], on every process.
    """
    given = processes.placed((key, state, skills, tasks, numbers_of(budget)), everywhere())
    run = compiled(adaptation_program(make_learner, budget), given)
    curves: Adaptation = processes.gathered(run(*given))
    return curves


def adaptation_program(
    make_learner: Callable[[Params], MetaLearner], budget: Evaluation
) -> Callable[..., Adaptation]:
    """The jitted function behind `adaptation_curves`: key, state, skills, tasks, `numbers_of` -> results.

    Tasks and numbers are arguments, so new tasks and new numbers need no new program.
    """

    def one_task(shared: tuple[State, Params, Numbers], key: Key, task: Task) -> Adaptation:
        state, skills, numbers = shared
        return make_learner(skills).adapt(key, state, task, _with_numbers(budget, numbers))[1]

    def one_seed(key: Key, state: State, skills: Params, tasks: Array, numbers: Numbers) -> Adaptation:
        keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(jnp.arange(len(tasks)))
        return side_by_side(one_task, (state, skills, numbers), keys, tasks, at_once=TASKS_AT_ONCE)

    return jax.jit(jax.vmap(one_seed, in_axes=(0, 0, 0, None, None)))


def numbers_of(settings: Strict) -> Numbers:
    """The settings that are real numbers, by name.  Those of 0 are left out: they turn something off."""
    found: Numbers = {}
    for name, value in settings:
        if isinstance(value, Strict):
            found[name] = numbers_of(value)
        elif isinstance(value, float) and value:
            found[name] = jnp.float32(value)
    return found


def _with_numbers(settings: Settings, numbers: Numbers) -> Settings:
    """The settings with arrays for the numbers that `numbers_of` has found in them."""
    new = {
        name: _with_numbers(getattr(settings, name), value) if isinstance(value, dict) else value
        for name, value in numbers.items()
    }
    return settings.model_copy(update=new)


def curve_document(curves: Adaptation, lines: dict[str, Any]) -> dict[str, Any]:
    """The part of an evaluation document with the results, as plain lists.

    "fraction" is None without a feasible line, or if it is not certainly above the flat line.

    Args:
        curves: arrays [seed, task, adapt_steps + 1].
        lines: as `reference_lines` returns them.
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
