"""Gather what `hmrl eval` said, FOLDER/FAMILY/[LIBRARY/]ARM/SPLIT.json, in FOLDER/tuning.md.

    python experiments/results/tuning/gather.py FOLDER

After no update, after those by the rule, and after the last; `fraction` is that of the way from flat to
feasible.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEADS = ("family", "goals", "arm", "seeds", "tasks", "updates of episodes", "fraction", "success", "reached")
MEASURES = {"fraction": "iqm", "success": "mean", "reached": "mean"}


def cell(found: dict[str, Any], measure: str, update: int) -> str:
    """A measure after so many updates, with its interval."""
    values = found[measure]
    middle, low, high = (f"{values[key][update]:.2f}" for key in (MEASURES[measure], "low", "high"))
    return f"{middle} [{low}, {high}]"


def rows(folder: Path, file: Path) -> list[list[str]]:
    """What an arm came to on some goals."""
    found = json.loads(file.read_text())
    family, *arm = file.parent.relative_to(folder).parts
    return [
        [
            f"`{family}`",
            file.stem,
            f"`{'/'.join(arm)}`",
            str(found["num_seeds"]),
            str(found["num_tasks"]),
            f"{update} of {found['episodes']}",
            *(cell(found, measure, update) for measure in MEASURES),
        ]
        for update in (0, found["adaptation"]["tune_after"], found["steps"][-1])
    ]


def main(folder: Path) -> None:
    """Write the table."""
    files = [file for split in ("test", "hidden") for file in folder.rglob(f"{split}.json")]
    files.sort(key=lambda file: (file.relative_to(folder).parts[0], file.stem != "test", file.parts))
    lines = [list(HEADS), ["---"] * len(HEADS), *(row for file in files for row in rows(folder, file))]
    (folder / "tuning.md").write_text("".join("| " + " | ".join(line) + " |\n" for line in lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
