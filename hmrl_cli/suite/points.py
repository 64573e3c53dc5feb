"""The points of a search: values of settings from a grid, drawn at random, or both."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
import re
from collections.abc import Mapping
from typing import Any

from hmrl_cli.suite.declaration import Declaration
from hmrl_cli.suite.sections import Range

MAX_NAME = 80  # characters; a longer one ends in a hash


def points(suite: Declaration) -> dict[str, dict[str, Any]]:
    """Name -> settings (dotted key -> value) of each point; without a search, one point with the name "".

    A grid has every combination of its values.  With a grid and random draws, each draw is combined with each
    point of the grid.  A draw depends on seed, key and number alone, so more samples keep the earlier ones.
    """
    grid = [dict(zip(suite.grid, values, strict=True)) for values in itertools.product(*suite.grid.values())]
    draws: list[dict[str, Any]] = [{}]
    if suite.random is not None and suite.ranges:
        draws = [
            {key: _draw(of, f"{suite.random.seed} {key} {number}") for key, of in suite.ranges.items()}
            for number in range(suite.random.samples)
        ]
    found = [one | other for one in grid for other in draws]
    return {_name(settings): settings for settings in found}


def _draw(values: Range | list[Any], seed: str) -> Any:
    """Draw a value, rounded to four digits if it is real, so that commands stay readable."""
    share = random.Random(seed).random()  # equal in every version of Python
    if isinstance(values, list):
        return values[int(share * len(values))]
    low, high = values.low, values.high
    if values.log:
        low, high = math.log(low), math.log(high)
    if isinstance(values.low, int) and isinstance(values.high, int):
        if values.log:
            return min(values.high, max(values.low, round(math.exp(low + share * (high - low)))))
        return values.low + int(share * (values.high - values.low + 1))
    value = low + share * (high - low)
    rounded = float(f"{math.exp(value) if values.log else value:.4g}")
    return min(float(values.high), max(float(values.low), rounded))


def _name(settings: Mapping[str, Any]) -> str:
    """The folder name of a point, such as "inner_lr-0.1_epochs-3"; different values give different names."""
    ends = [key.rpartition(".")[2] for key in settings]
    short = ends if len({*ends}) == len(ends) else list(settings)
    told = "_".join(f"{key}-{_text(value)}" for key, value in zip(short, settings.values(), strict=True))
    name = re.sub(r"[^A-Za-z0-9._-]", "-", told)
    if len(name) <= MAX_NAME and name == told:
        return name
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:8]
    return f"{name[:MAX_NAME]}-{digest}"


def _text(value: Any) -> str:
    """A value, such as "0.1", or "64x64" for a list."""
    if isinstance(value, list):
        return "x".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value, default=str).strip('"')
