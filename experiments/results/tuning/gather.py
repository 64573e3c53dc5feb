"""Gather what `hmrl eval` said, FOLDER/FAMILY/[LIBRARY/]ARM/SPLIT.json, in FOLDER/tuning.md.

    python experiments/results/tuning/gather.py FOLDER

After no update, after those by the rule, and after the last; `fraction` is that of the way from flat to
feasible, a mean that is paired by task.  Below are the differences between arms.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.report.differences import difference, shown

HEADS = ("family", "goals", "arm", "seeds", "tasks", "updates of episodes", "fraction", "success", "reached")
DIFFERENCE = ("family", "goals", "updates", "arm", "minus", "return", "success", "reached", "seeds")
MEASURES = {"fraction": "mean", "success": "mean", "reached": "mean"}


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


def differences(folder: Path, files: list[Path]) -> list[list[str]]:
    """Every two arms of a family on the same goals."""
    rows = []
    for file, other in itertools.combinations(files, 2):
        (family, *arm), (other_family, *other_arm) = (
            x.parent.relative_to(folder).parts for x in (file, other)
        )
        if (family, file.stem) != (other_family, other.stem):
            continue
        both = [json.loads(x.read_text()) for x in (file, other)]
        same_skills = len(arm) == len(other_arm) == 2 and arm[0] == other_arm[0]
        for update in (both[0]["adaptation"]["tune_after"], both[0]["steps"][-1]):
            found = difference(*both, same_skills=same_skills, update=update)
            names = (f"`{'/'.join(one)}`" for one in (arm, other_arm))
            cells = [shown(found[measure], sign="+") for measure in ("return", "success", "reached")]
            rows.append([f"`{family}`", file.stem, str(update), *names, *cells, found["seeds"]])
    return rows


def table(heads: Sequence[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "".join("| " + " | ".join(line) + " |\n" for line in (heads, ["---"] * len(heads), *rows))


def main(folder: Path) -> None:
    """Write the tables."""
    files = [file for split in ("test", "hidden") for file in folder.rglob(f"{split}.json")]
    files.sort(key=lambda file: (file.relative_to(folder).parts[0], file.stem != "test", file.parts))
    text = table(HEADS, [row for file in files for row in rows(folder, file)])
    text += (
        "\nDifferences of means, paired by task, with 95 % intervals over tasks and seeds. Seeds are paired "
        "where both arms\nstand on the same skills, else each arm's own are drawn.\n\n"
        f"{table(DIFFERENCE, differences(folder, files))}"
    )
    (folder / "tuning.md").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
