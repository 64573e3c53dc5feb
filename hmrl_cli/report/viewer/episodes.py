"""A page that plays episodes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from hmrl_cli.environment.frames import Frames
from hmrl_cli.lazy import jax, np
from hmrl_cli.report import thinning, viewer
from hmrl_cli.types import TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array


MAX_FILMS = 6 * 2**20  # bytes of films whose episodes the page does not play alone


class Film(NamedTuple):
    """Episodes as ghosts in one scene."""

    label: str
    order: Literal["in turn", "at once"]
    episodes: Sequence[int] | Frames  # indices into those of the page, or leaves [N, F, ...]


def page(
    title: str, family: TaskFamily, frames: Frames, labels: Iterable[str], films: Sequence[Film] = ()
) -> str:
    """The page that plays episodes, leaves [N, F, ...], under these labels, and films of many of them."""
    frames = jax.tree.map(np.asarray, frames)
    episodes = [_episode(jax.tree.map(lambda x, i=i: x[i], frames), label) for i, label in enumerate(labels)]
    return viewer.page(
        {
            "schema": 1,
            "title": title,
            "family": family.name,
            "flat": family.scene.flat,
            "dt": family.scene.dt,
            "shapes": [shape._asdict() for shape in family.scene.shapes],
            "episodes": episodes,
            "films": [_film(film, family.scene.dt, MAX_FILMS // len(films)) for film in films],
        }
    )


def _film(film: Film, dt: float, room: int) -> dict[str, Any]:
    """A film of the viewer's document; its own episodes have as many frames as there is room for."""
    found: dict[str, Any] = {"label": film.label, "order": film.order, "dt": dt}
    if not isinstance(film.episodes, Frames):
        return found | {"episodes": list(film.episodes)}
    frames = jax.tree.map(np.asarray, film.episodes)
    episodes = [_episode(jax.tree.map(lambda x, i=i: x[i], frames), "") for i in range(len(frames.done))]
    step = max(1, -(-sum(len(json.dumps(one)) for one in episodes) // room))
    return found | {"dt": dt * step, "episodes": [thinning.thinned(one, step) for one in episodes]}


def _episode(frames: Frames, label: str) -> dict[str, Any]:
    """One episode of the viewer's document; an episode that ends early ends there."""
    last = int(frames.done.argmax()) + 1 if frames.done.any() else len(frames.done)
    frames = jax.tree.map(lambda x: x[:last], frames)
    return {
        "label": label,
        "frames": last,
        "bodies": frames.poses.shape[1],
        "num_goals": frames.goals.shape[1],
        "poses": _packed(frames.poses),
        "goals": _packed(frames.goals),
        "rewards": frames.reward.tolist(),
        "success": frames.success.tolist(),
        "done": frames.done.tolist(),
    }


def _packed(values: Array) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()
