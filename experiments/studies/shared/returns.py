"""Returns of meta-learners on dense reward: tables after each update, and curves of their training."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared import figures, results

from hmrl_cli.evaluation.statistics import bootstrap_interval
from hmrl_cli.lazy import np

ARMS = {"rl2": "RL^2", "pearl": "PEARL", "maml": "MAML"}
MEASURES = ("return", "fraction")
BEFORE_AND_AFTER = {"before": ("return_first", "return_before"), "after": ("return_last", "return_after")}


def collect(study: Path, folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays of a folder; returns, their means, and fractions of the way after updates."""
    summary, arrays = results.gather_suite(study, folder, MEASURES)
    summary["adapted"] = {}
    for arm, split in itertools.product(summary["runs"], ("test", "hidden")):
        curves = {name: arrays.get(f"{arm}/{split}-dense-own/{name}_curve") for name in MEASURES}
        if (returned := arrays.get(f"{arm}/{split}-dense-own/return")) is not None:
            means = np.mean(returned, axis=(0, 1)), *bootstrap_interval(returned, np.mean)
            curves["mean return"] = np.array(means)
        rows = {
            f"{name} after {step}": one
            for name, curve in curves.items()
            if curve is not None
            for step, one in enumerate(curve.T)
        }
        summary["adapted"] |= {f"{arm}, {split}": rows} if rows else {}
    return summary, arrays


def draw(study: Path, families: Mapping[str, Mapping[str, str]], arrays: results.Arrays) -> None:
    """Draw returns on training tasks before and after adaptation, against steps of a seed.

    Args:
        study: the study's folder.
        families: name of a figure -> its families, each with the title of its panel.
        arrays: those of the study.
    """
    for file, titles in families.items():
        drawn = [figures.Panel(title, _lines(family, arrays)) for family, title in titles.items()]
        panels = [panel for panel in drawn if panel.lines]  # others have no arm that was run
        if panels:
            figures.curves(study / f"{file}.svg", panels, "million steps of a seed", "return", log_x=True)


def _lines(family: str, arrays: results.Arrays) -> list[figures.Line]:
    """The lines of a family: means over seeds, and from the least to the greatest."""
    lines = []
    for (arm, label), (when, names) in itertools.product(ARMS.items(), BEFORE_AND_AFTER.items()):
        for values in (arrays.get(f"{family}/{arm}/metrics/{name}") for name in names):
            if values is not None:
                steps = arrays[f"{family}/{arm}/metrics/env_steps"] / 1e6
                band = values.min(axis=1), values.max(axis=1)
                lines.append(figures.Line(f"{label}, {when}", steps, np.mean(values, axis=1), *band))
    return lines
