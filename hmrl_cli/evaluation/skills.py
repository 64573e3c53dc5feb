"""What a set of skills does."""

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

NEAR = 0.15  # distance of a place from a skill, in skill units, below which the skill is there


class SkillEpisodes(NamedTuple):
    """Episodes of a library's examples: M skills, N episodes of each."""

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
        first, rest = (start.obs, frame(family, start, task)), (steps.obs, steps.frames)
        obs, shots = jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), first, rest)
        return steps._replace(obs=obs, frames=shots)

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
    """What the skills of one seed do, for the M examples of the library.

    Returns:
        numbers, paths [M, N, T + 1, 2], and frames of each skill's first episode, leaves [M, T + 1, ...].

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

    Skills that can be located also have the numbers of `arrivals`, and `place`: the skills [M, skill size].
    """
    library = learner.skills(learner.freeze(state))
    obs, log_prob, valid, frames = run_skills(key, family, library, task, num_episodes, deterministic)
    count = valid.sum()
    log_q = learner.discriminate(state, obs)  # [M, N, T, M]
    own = jnp.stack([log_q[z, ..., z] for z in range(len(log_q))])
    right = jnp.stack([log_q[z].argmax(axis=-1) == z for z in range(len(log_q))])
    mean_answer = jnp.sum(jnp.exp(log_q) * valid[..., None], axis=(0, 1, 2)) / count
    paths = family.features["xy"](obs)
    ends = paths[:, :, -1] - paths[:, :, 0]
    centres = ends.mean(axis=1)
    of_places = {}
    if library.locate is not None:
        of_places = {"place": jnp.asarray(library.examples)} | arrivals(library, obs, valid)
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
            **of_places,
        },
        paths,
        jax.tree.map(lambda x: x[:, 0], frames),
    )


def arrivals(library: SkillLibrary, obs: Array, valid: Array) -> dict[str, Array]:
    """How skills that are places get there, per skill [M].

    An episode is at its place after a step that counts and leads within `NEAR` of the skill.

    Args:
        library: skills that can be located.
        obs: of N episodes of each of its M examples, from the reset on [M, N, T + 1, obs_size].
        valid: [M, N, T] 0 after an early end.

    Returns:
        arrived: share of episodes at their place after the last step.  An early end is no arrival.
        time_to_arrive: mean steps until an episode is first at its place, of episodes that get there; the
        horizon if none does.
        stays: share of the steps after that step which are at the place; 0 if there are none.
    """
    assert library.locate is not None
    examples = jnp.asarray(library.examples)[:, None, None]
    distance = jnp.linalg.norm(library.locate(library.params, obs[..., 1:, :]) - examples, axis=-1)
    near = (distance < NEAR) * valid
    horizon = near.shape[-1]
    gets_there = near.any(axis=-1)
    steps = jnp.sum((near.argmax(axis=-1) + 1) * gets_there, axis=-1) / jnp.maximum(gets_there.sum(-1), 1)
    earlier = jnp.cumsum(near, axis=-1) - near  # steps at the place
    after = (earlier > 0) * valid
    return {
        "arrived": near[..., -1].mean(axis=-1),
        "time_to_arrive": jnp.where(gets_there.any(axis=-1), steps, horizon),
        "stays": jnp.sum(near * after, axis=(1, 2)) / jnp.maximum(after.sum(axis=(1, 2)), 1.0),
    }


def _distinct_cells(places: Array, size: float) -> Array:
    """How many cells of a square grid the places [M, 2] fall into."""
    cells = jnp.clip(jnp.floor(places / size), -500, 499).astype(jnp.int32) + 500
    return jnp.zeros(1000 * 1000, jnp.bool_).at[cells[:, 0] * 1000 + cells[:, 1]].set(True).sum()
