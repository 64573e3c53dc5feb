"""Make the study's files of FOLDER, the suite `skill_libraries`.

PYTHONPATH=experiments/studies python experiments/studies/skill_libraries/gather.py [FOLDER]
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from shared import figures, paths, results

HERE = Path(__file__).parent
MEANS = {
    "accuracy": "accuracy",
    "information_nats": "mutual_information",
    "effective_skills": "effective_skills",
    "cells": "coverage",
}
SPAN = 10  # epochs
PICTURED = ("wheeled/diayn", "ant_goal/diayn_stay", "ant_goal/diayn_places")  # family, library


def library_row(arm: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """Means over seeds, then one number for each; displacements of the least and most mobile skill."""

    def of(name: str) -> Any:
        return arrays[f"{arm}/skills/{name}"]

    number = of("displacement").shape[1]
    means = {name: of(key).mean() for name, key in MEANS.items()}
    means |= {"least_displacement_m": of("displacement").min(axis=1).mean()}
    means |= {"greatest_displacement_m": of("displacement").max(axis=1).mean()}
    return {
        "mean": means,
        "skills": number,
        "accuracy": of("accuracy"),
        "information_nats": of("mutual_information"),
        "of_nats": math.log(number),
        "effective_skills": of("effective_skills"),
        "displacement_m": [[skills.min(), skills.max()] for skills in of("displacement")],
        "cells": of("coverage"),
        "action_entropy_nats": of("action_entropy"),
    }


def representation_row(arm: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """How far a representation goes along its skill, in a step and in all, halfway and in the end.

    Each is a mean over ten epochs, one number per seed.  What still rises is undertrained.
    """
    found = {}
    for name in ("gain", "step_length"):
        if (curve := arrays.get(f"{arm}/metrics/{name}")) is not None:
            half = len(curve) // 2
            found[f"{name}_halfway"] = curve[half : half + SPAN].mean(axis=0)
            found[f"{name}_in_the_end"] = curve[-SPAN:].mean(axis=0)
    return found


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder)
    summary["libraries"] = {arm: library_row(arm, arrays) for arm in summary["runs"]}
    learned = [arm for arm in summary["runs"] if f"{arm}/metrics/gain" in arrays]
    summary["representations"] = {arm: representation_row(arm, arrays) for arm in learned}
    for library in PICTURED:
        (picture,) = (folder / "skills" / library).glob("*/skills.svg")
        arrays |= paths.kept(_arm(library), picture)
    return summary, arrays


def _arm(library: str) -> str:
    """The name of a library, FAMILY/NAME, in the arrays."""
    return library.replace("/", "/skills/")


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Paths of the skills of three libraries."""
    for library in PICTURED:
        figures.paths(study / f"{library.replace('/', '_')}.svg", arrays, _arm(library), "skill")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
