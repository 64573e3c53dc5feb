"""Gather `hmrl eval --json` of the flat arms and of those over a library into OUT/LIBRARY/claim.{json,md}.

    python experiments/results/claim/gather.py FOLDER LIBRARY OUT

The documents are FOLDER/ARM/SPLIT-RULE.json and FOLDER/LIBRARY/ARM/SPLIT-RULE.json.  Arms that FOLDER does
not have keep what OUT says of them.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

from hmrl_cli.report.differences import difference, shown

FLAT = ("maml_repeat", "maesn_repeat")
OVER_SKILLS = ("skills_only", "hmrl_maml", "hmrl")
MEASURES = ("success", "reached", "return")
WAYS = [(split, rule) for split in ("test", "hidden") for rule in ("own", "explore")]


def condensed(found: dict[str, Any]) -> dict[str, Any]:
    """One evaluation: curves, and what every task of every seed came to after the last update."""
    last = {
        name: [[round(task[-1], 4) for task in seed] for seed in found["per_task"][name]] for name in MEASURES
    }
    lines = [name for name in found if name.startswith(("flat", "feasible"))]
    kept = (*lines, "num_seeds", "num_tasks", "episodes", "adaptation", "tasks_sha256", *MEASURES)
    return {name: found[name] for name in kept} | {"last_per_task": last}


def cell(values: dict[str, list[float]]) -> str:
    """The last column of a rate, with its interval."""
    return f"{values['mean'][-1]:.2f} [{values['low'][-1]:.2f}, {values['high'][-1]:.2f}]"


def differences(document: dict[str, Any]) -> list[list[str]]:
    """Every arm minus every one before it in the document, by goals and rule; on the same tasks."""
    rows = []
    for split, rule in WAYS:
        for ours, theirs in itertools.combinations(reversed(document), 2):
            same = {ours, theirs} <= {*OVER_SKILLS}  # over one library
            both = [uncondensed(document[arm][f"{split}-{rule}"]) for arm in (ours, theirs)]
            found = difference(*both, same_skills=same)
            cells = [shown(found[measure], sign="+") for measure in MEASURES]
            rows.append([split, rule, f"`{ours}`", f"`{theirs}`", *cells, found["seeds"]])
    return rows


def uncondensed(found: dict[str, Any]) -> dict[str, Any]:
    """An evaluation of one step, the last."""
    last = found["last_per_task"]
    per_task = {name: [[[task] for task in seed] for seed in last[name]] for name in MEASURES}
    return {"num_seeds": found["num_seeds"], "per_task": per_task}


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "".join("| " + " | ".join(line) + " |\n" for line in (heads, ["---"] * len(heads), *rows))


def text(document: dict[str, Any]) -> str:
    """Both tables."""
    rows = [
        [split, rule, f"`{arm}`", cell(found["success"]), cell(found["reached"])]
        for split, rule in WAYS
        for arm, evaluations in document.items()
        if (found := evaluations[f"{split}-{rule}"])
    ]
    text = table(["goals", "adaptation", "arm", "success at the last step", "goal ever reached"], rows)
    if len(document) > 1:
        heads = ["goals", "adaptation", "arm", "minus", *MEASURES, "seeds"]
        text += (
            "\nDifferences of means, paired by task, with 95 % intervals over tasks and seeds. Seeds are "
            "paired where both arms\nstand on the same skills, else each arm's own are drawn.\n\n"
            f"{table(heads, differences(document))}"
        )
    return text


def main(folder: Path, library: str, out: Path) -> None:
    """Write both files."""
    out = out / library
    gathered = out / "claim.json"
    kept = json.loads(gathered.read_text()) if gathered.exists() else {}
    arms = [folder / arm for arm in FLAT] + [folder / library / arm for arm in OVER_SKILLS]
    measured = {
        arm.name: {
            file.stem: condensed(json.loads(file.read_text())) for file in sorted(arm.glob("*-*.json"))
        }
        for arm in arms
        if arm.exists()
    }
    document = {arm.name: (kept | measured)[arm.name] for arm in arms if arm.name in kept | measured}
    for rule in ("own", "explore"):
        ways = [arm[name]["adaptation"] for arm in document.values() for name in arm if rule in name]
        assert all(way == ways[0] for way in ways), f"arms adapt in different ways: {ways}"
    gathered.write_text(json.dumps(document) + "\n")
    (out / "claim.md").write_text(text(document))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
