"""Coverage and reached goals of skills, by METRA's protocol (Park et al. 2024, 2310.08887).

State coverage counts the cells that random skills visit.  For zero-shot goals, a skill is named at each step
by what was learned, and nothing is learned about the goals.  Shares of episodes near a goal are those of
Zheng et al. (2025, 2412.08021).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hmrl_cli.evaluation.skills import distinct_cells, run_skills
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.schema import Diagnosis
from hmrl_cli.types import Discrete, SkillLearner, SkillLibrary, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Distribution, Key, Params, State, Task


def coverage(
    key: Key,
    family: TaskFamily,
    learner: SkillLearner,
    state: State,
    task: Task,
    settings: Diagnosis,
    deterministic: bool,
) -> dict[str, Array]:
    """`state_coverage` []: number of cells of a square grid that random skills visit in one episode each."""
    library, (draw_key, run_key) = learner.skills(learner.freeze(state)), jax.random.split(key)
    count = settings.random_skills
    if learner.draw is None:
        skills = jnp.asarray(library.examples)[jnp.arange(count) % len(library.examples)]
    else:
        skills = learner.draw(draw_key, count)
    episodes = run_skills(run_key, family, library._replace(examples=skills), task, 1, deterministic)
    return {"state_coverage": distinct_cells(_ground(family, episodes.obs), settings.cell)}


def zero_shot(
    key: Key,
    family: TaskFamily,
    learner: SkillLearner,
    state: State,
    task: Task,
    settings: Diagnosis,
    deterministic: bool,
) -> dict[str, Array]:
    """Measure how near skills come to goals, in one episode each.  `skill_for` names the skills.

    Goals are drawn uniformly from a square about the start, or a line for bodies in a vertical plane.

    Returns:
        goal_distance: mean distance from the goal at the end, in length units.
        goal_arrived: share of episodes that end within `near` of the goal; an early end is no arrival.
        goal_reached: share of episodes that are within `near` at some step.
        goal_stays: share of steps within `near`.
        goal_named: largest difference of the skills named at the start; 0: they ignore the goal's position.
        Nothing, if no skill can be named.
    """
    library = learner.skills(learner.freeze(state))
    name = skill_for(learner, state, library)
    if name is None:
        return {}
    draw_key, reset_key, run_key = jax.random.split(key, 3)
    goals = settings.goal_range * jax.random.uniform(draw_key, (settings.goals, 2), minval=-1.0)
    goals *= _axes(family)
    start = family.reset(reset_key, task).obs
    goals += family.features["xy"](start)

    def policy(params: Params, obs: Array, goal: Array) -> Distribution:
        return library.policy(params, obs, name(obs, goal))

    seen = jax.vmap(lambda goal: moved(family, start, goal))(goals)
    named = jax.vmap(lambda goal: name(start, goal))(seen)
    toward = library._replace(policy=policy, examples=seen)
    episodes = run_skills(run_key, family, toward, task, 1, deterministic)
    away = jnp.linalg.norm(family.features["xy"](episodes.obs) - goals[:, None, None], axis=-1)
    near = (away[..., 1:] < settings.near) * episodes.valid
    return {
        "goal_distance": away[..., -1].mean(),
        "goal_arrived": jnp.mean(near[..., -1] * (1.0 - episodes.frames.done[..., -1])),
        "goal_reached": near.any(axis=-1).mean(),
        "goal_stays": near.mean(),
        "goal_named": jnp.max(named.max(axis=0) - named.min(axis=0)),
    }


def _axes(family: TaskFamily) -> Array:
    """1 for each axis [2] of "xy" along which places count, else 0.  In the x-z plane only x counts."""
    return jnp.array([1.0, 0.0]) if family.upright else jnp.ones(2)


def _ground(family: TaskFamily, obs: Array) -> Array:
    """Positions [..., 2] on the ground; a body in the x-z plane stays on a line."""
    return family.features["xy"](obs) * _axes(family)


def skill_for(
    learner: SkillLearner, state: State, library: SkillLibrary
) -> Callable[[Array, Array], Array] | None:
    """A function: observation, observation of a goal, [obs_size] each -> the skill that leads there.

    It is `SkillLearner.toward`; else for places the goal's place, and for N skills the one to which the
    discriminator assigns a step to the goal.  None: the learner has none of them.
    """
    learned, locate = learner.toward, library.locate
    if learned is not None:
        return lambda obs, goal: learned(state, obs, goal)
    if locate is not None:
        return lambda obs, goal: locate(library.params, goal)
    if isinstance(library.skill, Discrete):
        return lambda obs, goal: learner.discriminate(state, jnp.stack([obs, goal]))[0].argmax()
    return None


def moved(family: TaskFamily, obs: Array, place: Array) -> Array:
    """An observation [obs_size] with its position at a place [2]; the rest stays the same.

    Positions are linear functions of the observation.
    """
    xy = family.features["xy"]
    return obs + jnp.linalg.pinv(jax.jacobian(xy)(obs)) @ (place - xy(obs))
