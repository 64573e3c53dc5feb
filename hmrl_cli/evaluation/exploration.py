"""Diagnostics of exploration: before any update, and during an adaptation."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hmrl_cli.environment.frames import place, recorded
from hmrl_cli.environment.rollout import unroll
from hmrl_cli.lazy import jax, jnp, np, root_key
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import (
    MetaLearner,
    TaskFamily,
)

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, State, Task

VISITS = 16  # places of an episode that are kept beside its start
CELLS = 16  # least number of cells across the goals
FARTHEST = 99  # cells from the origin; a place beyond counts as this far away


def traced(family: TaskFamily) -> TaskFamily:
    """The family whose states carry about `VISITS` places of their episode, [P, 2].

    A family without the feature "xy", as one of a user may be, stays as it is.
    """
    if "xy" not in family.features:
        return family
    return recorded(family, place, max(1, family.horizon // VISITS), blank=jnp.nan)


def visits(
    places: Any, reached: Any, goals: Any, upward: bool = False, trials: bool = False
) -> dict[str, Any] | None:
    """Count how often the episodes of an adaptation visited each cell of a grid.

    The batches of a task count up to the first one in which an episode meets the goal.  Episodes of trials
    side by side count up to the one that meets the goal in their own trial.

    Args:
        places: [seed, task, K + 1, N, P, 2], as episodes of a `traced` family have them; NaN after an end.
        reached: [seed, task, K + 1, N], 1 for episodes that meet the goal, else 0.
        goals: [task, G, 3], x, y and radius of each goal.
        upward: whether the second number of a place is its height.
        trials: whether episode n of every batch belongs to trial n, which knows nothing of the others.

    Returns:
        plain values: "cell", the side of a cell; "counts", for every cell a text of its x index, y index and
        visits, where cell (0, 0) begins at the origin; "goals"; "upward".  None if the goals of all tasks
        start at the same place, as speeds do.  Then no place is nearer to the goals than another place.
    """
    if len(goals) > 1 and np.size(goals) and not np.ptp(goals, axis=0).any():
        return None
    found = np.asarray(reached) > 0
    if not trials:
        found = np.broadcast_to(found.any(axis=-1, keepdims=True), found.shape)
    before: Any = np.cumsum(found, axis=2) - found == 0
    xy = np.asarray(places, float)[before].reshape(-1, 2)
    xy = xy[np.isfinite(xy).all(axis=1)]
    of_goals = np.abs(goals[..., :2]) + goals[..., 2:]
    reach = np.max(of_goals if np.size(goals) else np.abs(xy), initial=0.0) or 1.0
    cell = _round(2 * float(reach) / CELLS)
    index = np.clip(np.floor(xy / cell), -FARTHEST, FARTHEST).astype(int)
    cells, counts = np.unique(index, axis=0, return_counts=True)
    return {
        "cell": cell,
        "counts": _texts(np.column_stack([cells, counts]).tolist()),
        "goals": np.round(np.asarray(goals, float), 3).tolist(),
        "upward": upward,
    }


def _round(length: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above a length."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(f"{power * max(factor for factor in (1, 2, 5) if factor * power <= length):.3g}")


def together(explored: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Sum the visits of several adaptations to the same tasks; None if one has none, or another grid."""
    first = explored[0]
    if first is None or any(one is None or one["cell"] != first["cell"] for one in explored):
        return None
    total: collections.Counter[tuple[int, int]] = collections.Counter()
    for x, y, count in (row for one in explored if one for row in cells_of(one)):
        total[x, y] += count
    return {**first, "counts": _texts([[x, y, count] for (x, y), count in sorted(total.items())])}


def cells_of(explored: Mapping[str, Any]) -> list[list[int]]:
    """x index, y index and visits of every cell."""
    return [[int(number) for number in text.split()] for text in explored["counts"]]


def _texts(rows: Sequence[Sequence[int]]) -> list[str]:
    return [" ".join(map(str, row)) for row in rows]


def goals_of(family: TaskFamily, tasks: Array) -> Any:
    """x, y and radius of the goals of every task at the start, [task, G, 3]."""

    def one(task: Task) -> Array:
        return family.scene.goals(family.reset(root_key(0), task), task)[:, jnp.array([0, 1, 3])]

    return np.asarray(jax.jit(jax.vmap(one))(tasks))


def explored(
    key: Key, learner: MetaLearner, family: TaskFamily, state: State, task: Task, *, draws: int, episodes: int
) -> tuple[dict[str, Array], Array]:
    """Measure how much a learner's exploration before any update depends on its draws, such as latents.

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
