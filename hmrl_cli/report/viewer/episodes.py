"""A page that plays episodes."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hmrl_cli.environment.film import Film
from hmrl_cli.lazy import jax, np
from hmrl_cli.report import viewer
from hmrl_cli.types import TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array


def page(title: str, family: TaskFamily, films: Film, labels: Iterable[str]) -> str:
    """The page that plays episodes, leaves [N, F, ...], under these labels."""
    films = jax.tree.map(np.asarray, films)
    episodes = [_episode(jax.tree.map(lambda x, i=i: x[i], films), label) for i, label in enumerate(labels)]
    return viewer.page(
        {
            "schema": 1,
            "title": title,
            "family": family.name,
            "flat": family.scene.flat,
            "dt": family.scene.dt,
            "shapes": [shape._asdict() for shape in family.scene.shapes],
            "episodes": episodes,
        }
    )


def _episode(film: Film, label: str) -> dict[str, Any]:
    """One episode of the viewer's document; an episode that ends early ends there."""
    last = int(film.done.argmax()) + 1 if film.done.any() else len(film.done)
    film = jax.tree.map(lambda x: x[:last], film)
    return {
        "label": label,
        "frames": last,
        "bodies": film.poses.shape[1],
        "num_goals": film.goals.shape[1],
        "poses": _packed(film.poses),
        "goals": _packed(film.goals),
        "rewards": film.reward.tolist(),
        "success": film.success.tolist(),
        "done": film.done.tolist(),
    }


def _packed(values: Array) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()
