"""A page that plays episodes."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hmrl_cli.environment.frames import Frames
from hmrl_cli.lazy import jax, np
from hmrl_cli.report import viewer
from hmrl_cli.types import TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array


def page(title: str, family: TaskFamily, frames: Frames, labels: Iterable[str]) -> str:
    """The page that plays episodes, leaves [N, F, ...], under these labels."""
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
        }
    )


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
