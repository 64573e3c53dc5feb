"""Gather FOLDER/FAMILY/PRESET/skills.json into a table, FOLDER/skills.md: a row for each library.

    python experiments/results/skills/gather.py FOLDER

Each cell has one number per seed; displacements are those of the least and the most mobile skill.
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


def main(folder: Path) -> None:
    """Write the table."""
    names = sorted(file.parent.relative_to(folder).as_posix() for file in folder.glob("*/*/skills.json"))
    heads = [*HEADS, "cells", "H[A|S,Z], nats"]
    lines = [heads, ["---"] * len(heads), *(row(folder / name, name) for name in names)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    (folder / "skills.md").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
