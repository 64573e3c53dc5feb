"""What trainings came to: means over seeds of what `per_task.npz` holds of their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hmrl_cli.evaluation.statistics import bootstrap_interval
from hmrl_cli.lazy import np

Arrays = dict[str, Any]


def training_rows(arrays: Arrays, arms: Sequence[str], measures: Sequence[str]) -> dict[str, Any]:
    """ARM -> each measure over all of training and over its last fifth: mean, low, high, and every seed.

    Intervals are 95 % bootstrap intervals over seeds.
    """
    return {arm: {name: _measured(arrays[f"{arm}/metrics/{name}"]) for name in measures} for arm in arms}


def _measured(curve: Any) -> dict[str, Any]:
    """Of a metric [epoch, seed], or [epoch] of one seed."""
    curve = curve.reshape(len(curve), -1)
    last = -(-len(curve) // 5)
    found = {}
    for when, part in (("all", curve), ("last_fifth", curve[-last:])):
        per_seed = part.mean(axis=0, dtype=float)
        low, high = bootstrap_interval(per_seed[:, None], np.mean)
        found[when] = [per_seed.mean(), low, high]
        found[f"{when}_per_seed"] = per_seed
    return found


def training_curve(arrays: Arrays, arm: str, measure: str) -> tuple[Any, Any, Any, Any]:
    """Environment steps in millions, and mean, least and greatest seed of a metric [epoch]."""
    curve = arrays[f"{arm}/metrics/{measure}"]
    curve = curve.reshape(len(curve), -1)
    steps = arrays[f"{arm}/metrics/env_steps"] / 1e6
    return steps, curve.mean(axis=1), curve.min(axis=1), curve.max(axis=1)
