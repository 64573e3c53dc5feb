"""Documents of the viewer with fewer frames, so that they fit into a page."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from hmrl_cli.errors import InputError
from hmrl_cli.lazy import np

LEAST = 12  # frames of an episode that can still be followed


def document_in(text: str) -> dict[str, Any]:
    """The document of a page that `viewer.page` wrote.

    Raises:
        InputError: the text is no such page.
    """
    found = re.search(r'<script type="application/json" id="episodes">(.*?)</script>', text, re.DOTALL)
    try:
        document = json.loads(found[1] if found else "")
        _ = [(one["frames"], one["poses"]) for one in document["episodes"]], document["dt"]
    except (ValueError, KeyError, TypeError):
        raise InputError("holds no episodes; must be a page of hmrl render, or skills.html") from None
    return dict(document)


def fitted(document: Mapping[str, Any], room: int) -> dict[str, Any] | None:
    """The document with every n-th frame, of at most about `room` bytes; None if too few frames were left."""
    episodes = document["episodes"]
    size = sum(len(json.dumps(one)) for one in episodes)
    longest = max((one["frames"] for one in episodes), default=1)
    step = max(1, -(-size // max(room, 1)))
    if step > 1 and longest // step < LEAST:
        return None
    return {
        **document,
        "dt": document["dt"] * step,
        "episodes": [thinned(one, step) for one in episodes],
    }


def thinned(episode: Mapping[str, Any], step: int) -> dict[str, Any]:
    """An episode of the viewer's document with every `step`-th frame, and the last.

    The reward of a frame is the sum since the frame before, so the return stays.
    """
    last = episode["frames"] - 1
    kept = [*range(0, last, step), last]
    rewards = np.array([np.nan if one is None else one for one in episode["rewards"]], float)
    sums = [rewards[after + 1 : at + 1].sum() for after, at in zip([-1, *kept], kept, strict=False)]
    return {
        **episode,
        "frames": len(kept),
        "poses": _kept(episode["poses"], episode["frames"], kept),
        "goals": _kept(episode["goals"], episode["frames"], kept),
        "rewards": [float(one) for one in sums],
        **{name: [episode[name][at] for at in kept] for name in ("success", "done")},
    }


def _kept(packed: str, frames: int, kept: list[int]) -> str:
    """Some frames of packed numbers [frames, ...]."""
    values = np.frombuffer(base64.b64decode(packed), "<f4").reshape(frames, -1)
    return base64.b64encode(values[kept].tobytes()).decode()
