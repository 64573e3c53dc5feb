"""Diagnostics of a set of skills."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.environment.frames import Frames, frame
from hmrl_cli.environment.rollout import advance
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.distributions import take
from hmrl_cli.learning.empowerment import lower_bound
from hmrl_cli.types import (
    EnvState,
    SkillLearner,
    SkillLibrary,
    TaskFamily,
)

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, State, Task

NEAR = 0.15  # distance in skill units within which an episode is at the place of its skill


class SkillEpisodes(NamedTuple):
    """N episodes of each of the M examples of a library."""

    obs: Array  # [M, N, T + 1, obs_size]  from the reset on
    log_prob: Array  # [M, N, T]  of sampled actions
    valid: Array  # [M, N, T]  0 after an early end
    frames: Frames  # leaves [M, N, T + 1, ...]


def run_skills(
    key: Key,
    family: TaskFamily,
    library: SkillLibrary,
    task: Task,
    num_episodes: int,
    deterministic: bool = False,
) -> SkillEpisodes:
    """N episodes of every example of a library.

    Args:
        key: draws resets and actions.
        family: gives the dynamics.
        library: frozen skills.
        task: [task_size].
        num_episodes: N.
        deterministic: whether skills take their most likely action, or sample.
    """

    def episode(key: Key, skill: Array) -> SkillEpisodes:
        reset_key, act_key = jax.random.split(key)
        start = family.reset(reset_key, task)

        def step(state: EnvState, t: Array) -> tuple[EnvState, SkillEpisodes]:
            pi = library.policy(library.params, state.obs, skill)
            action, log_prob = take(pi, jax.random.fold_in(act_key, t), deterministic=deterministic)
            new = advance(family, state, action, task)
            new_frame = frame(family, new, task)
            return new, SkillEpisodes(new.obs, log_prob, 1.0 - state.done, new_frame)

        _, steps = jax.lax.scan(step, start, jnp.arange(family.horizon))
        first, rest = (start.obs, frame(family, start, task)), (steps.obs, steps.frames)
        obs, frames = jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), first, rest)
        return steps._replace(obs=obs, frames=frames)

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
) -> tuple[dict[str, Array], Array, Frames]:
    """Diagnostics of one seed's skills, for the M examples of the library.

    The discriminator q(z|x) sees x after every step.  By algorithm, x is the state, the last few states, the
    last two states, or the first state and that at the end of the episode.

    Returns:
        numbers, paths [M, N, T + 1, 2], and frames of each skill's first episode, leaves [M, T + 1, ...].

    The numbers are [], or [M] where they are per skill:

    * accuracy: share of steps at which the skill maximises q; accuracy_per_skill [M] likewise.
    * mutual_information: E[log q(z|x) - log p(z)] in nats, with p(z) uniform over the examples.  It is a
      lower bound of I(X;Z) (Barber & Agakov 2003).
    * effective_skills: exp of the entropy of the mean of q over steps, at most M.
    * displacement [M]: mean distance from start to end.  direction [M]: that of the mean end, in radians.
    * end_spread [M]: mean distance of a skill's ends from their centre.
    * coverage: number of cells of 0.25 by 0.25 length units that all skills together visit.
    * action_entropy: H[A|S,Z] in nats, differential if actions are continuous.  It is the entropy before the
      family clips actions, so it may exceed log 2 per dimension.

    Skills that can be located also have the numbers of `arrivals`, and `place`: the skills [M, skill size].
    """
    library = learner.skills(learner.freeze(state))
    obs, log_prob, valid, frames = run_skills(key, family, library, task, num_episodes, deterministic)
    count = valid.sum()
    log_q = learner.discriminate(state, obs)  # [M, N, T, M]
    log_q_of_skill = jnp.stack([log_q[z, ..., z] for z in range(len(log_q))])
    correct = jnp.stack([log_q[z].argmax(axis=-1) == z for z in range(len(log_q))])
    mean_q = jnp.sum(jnp.exp(log_q) * valid[..., None], axis=(0, 1, 2)) / count
    paths = family.features["xy"](obs)
    ends = paths[:, :, -1] - paths[:, :, 0]
    centres = ends.mean(axis=1)
    of_places = {}
    if library.locate is not None:
        of_places = {"place": jnp.asarray(library.examples)} | arrivals(library, obs, frames.done)
    return (
        {
            "accuracy": jnp.sum(correct * valid) / count,
            "accuracy_per_skill": jnp.sum(correct * valid, axis=(1, 2)) / valid.sum(axis=(1, 2)),
            "mutual_information": lower_bound(log_q_of_skill, -jnp.log(len(log_q)), valid),
            "effective_skills": jnp.exp(-jnp.sum(mean_q * jnp.log(mean_q + 1e-20))),
            "displacement": jnp.linalg.norm(ends, axis=-1).mean(axis=1),
            "direction": jnp.arctan2(centres[:, 1], centres[:, 0]),
            "end_spread": jnp.linalg.norm(ends - centres[:, None], axis=-1).mean(axis=1),
            "coverage": distinct_cells(paths, 0.25),
            "action_entropy": -jnp.sum(log_prob * valid) / count,
            **of_places,
        },
        paths,
        jax.tree.map(lambda x: x[:, 0], frames),
    )


def arrivals(library: SkillLibrary, obs: Array, done: Array) -> dict[str, Array]:
    """How reliably and how fast skills that are places get there, per skill [M].

    An episode is at its place after a valid step if the located skill is within `NEAR` of its own.

    Args:
        library: skills that can be located.
        obs: observations of N episodes of each of its M examples, from the reset on [M, N, T + 1, obs_size].
        done: [M, N, T + 1], whether the episode has ended early.

    Returns:
        arrived: share of episodes at their place after the last step; episodes that end early count as 0.
        time_to_arrive: mean number of steps until an episode is first at its place, over episodes that get
            there; the horizon if none does.
        stays: share of steps after the arrival at which the episode is at its place; 0 without such steps.
    """
    assert library.locate is not None
    examples = jnp.asarray(library.examples)[:, None, None]
    distance = jnp.linalg.norm(library.locate(library.params, obs[..., 1:, :]) - examples, axis=-1)
    valid = 1.0 - done[..., :-1]
    near = (distance < NEAR) * valid
    horizon = near.shape[-1]
    gets_there = near.any(axis=-1)
    steps = jnp.sum((near.argmax(axis=-1) + 1) * gets_there, axis=-1) / jnp.maximum(gets_there.sum(-1), 1)
    earlier = jnp.cumsum(near, axis=-1) - near  # steps at the place
    after = (earlier > 0) * valid
    return {
        "arrived": jnp.mean(near[..., -1] * (1.0 - done[..., -1]), axis=-1),
        "time_to_arrive": jnp.where(gets_there.any(axis=-1), steps, horizon),
        "stays": jnp.sum(near * after, axis=(1, 2)) / jnp.maximum(after.sum(axis=(1, 2)), 1.0),
    }


def distinct_cells(places: Array, size: float) -> Array:
    """Number [] of cells of a square grid that contain one of the positions [..., 2]."""
    cells = jnp.clip(jnp.floor(places.reshape(-1, 2) / size), -500, 499).astype(jnp.int32) + 500
    return jnp.zeros(1000 * 1000, jnp.bool_).at[cells[:, 0] * 1000 + cells[:, 1]].set(True).sum()
