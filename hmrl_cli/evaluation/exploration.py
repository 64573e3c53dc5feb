"""Diagnostics of a meta-learner's exploration before any update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrl_cli.environment.rollout import unroll
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import (
    MetaLearner,
    TaskFamily,
)

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, State, Task


def explored(
    key: Key, learner: MetaLearner, family: TaskFamily, state: State, task: Task, *, draws: int, episodes: int
) -> tuple[dict[str, Array], Array]:
    """How much of a meta-learner's exploration before any update depends on its draws, such as latents.

    Exploration is structured if the draw determines where an episode ends.

    Args:
        key: key of one seed.
        learner: a learner on the family.
        family: the family that the learner acts in, plain or lifted.
        state: training state of the learner.
        task: any task; rewards have no effect.
        draws: M, number of draws.
        episodes: N, episodes with each draw.

    Returns:
        numbers, and paths [M, N, T + 1, 2].  `end_spread` is the root mean square distance of end points from
        their centre.  `share_of_draws` is the share of its square that lies between draws.  That share is the
        intraclass correlation of a one-way analysis of variance: 0 if draws have no effect, 1 if they
        determine the end point.
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
