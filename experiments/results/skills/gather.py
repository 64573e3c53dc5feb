"""Gather FOLDER/FAMILY/PRESET/skills.json into a table, FOLDER/skills.md: a row for each library.

    python experiments/results/skills/gather.py FOLDER

Each cell has one number per seed; displacements are those of the least and the most mobile skill.  Below the
table stands how far representations had come (METRA, CSF): whether their objective still rose at the end.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

HEADS = (
    "library",
    "steps",
    "skills",
    "accuracy",
    "I(S;Z), nats",
    "of log N",
    "exp H of q's answers",
    "displacement, m",
)
SPAN = 10  # epochs
GAIN = (
    "`gain` is how far the representation goes along the skill in a step, of at most 1 for METRA; "
    "`step_length` is how far it goes in all. Where they still rise, the library is undertrained."
)


def row(folder: Path, name: str) -> list[str]:
    """One library's cells."""
    found: dict[str, Any] = json.loads((folder / "skills.json").read_text())
    steps = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["env_steps"]
    number = len(found["displacement"][0])

    def each(values: Any, digits: int = 2) -> str:
        return ", ".join(f"{value:.{digits}f}" for value in values)

    moved = ", ".join(f"{min(seed):.1f} .. {max(seed):.1f}" for seed in found["displacement"])
    return [
        f"`{name}`",
        f"{steps:,}",
        str(number),
        each(found["accuracy"]),
        each(found["mutual_information"]),
        f"{math.log(number):.2f}",
        each(found["effective_skills"], 1),
        moved,
        ", ".join(str(cells) for cells in found["coverage"]),
        each(found["action_entropy"], 1),
    ]


def progress(folder: Path, name: str) -> str | None:
    """A line for a library with a learned representation; None for the others."""
    epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    if "gain" not in epochs[-1]:
        return None

    def mean(metric: str, first: int) -> str:
        per_seed = zip(*(epoch[metric] for epoch in epochs[first : first + SPAN]), strict=True)
        return ", ".join(f"{sum(values) / SPAN:.2f}" for values in per_seed)

    half, last = len(epochs) // 2, len(epochs) - SPAN
    parts = [
        f"`{metric}` {mean(metric, last)}, and {mean(metric, half)} from half of the training on"
        for metric in ("gain", "step_length")
        if metric in epochs[-1]
    ]
    return f"`{name}` over its last {SPAN} epochs: {'; '.join(parts)}."


def main(folder: Path) -> None:
    """Write the table, and the lines below it."""
    names = sorted(file.parent.relative_to(folder).as_posix() for file in folder.glob("*/*/skills.json"))
    heads = [*HEADS, "cells", "H[A|S,Z], nats"]
    lines = [heads, ["---"] * len(heads), *(row(folder / name, name) for name in names)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    notes = [note for name in names if (note := progress(folder / name, name))]
    (folder / "skills.md").write_text("\n\n".join([text, GAIN, *notes]) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
