"""Gather `hmrl eval --json` of the flat arms and of those over a library into OUT/LIBRARY/claim.{json,md}.

    python experiments/results/claim/gather.py FOLDER LIBRARY OUT

The documents are FOLDER/ARM/SPLIT-RULE.json and FOLDER/LIBRARY/ARM/SPLIT-RULE.json.  Arms that have not run
are left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FLAT = ("maml_repeat", "maesn_repeat")
OVER_SKILLS = ("skills_only", "hmrl_maml", "hmrl")
MEASURES = ("success", "reached", "return")


def condensed(found: dict[str, Any]) -> dict[str, Any]:
    """One evaluation: curves, and what every task of every seed came to after the last update."""
    last = {
        name: [[round(task[-1], 4) for task in seed] for seed in found["per_task"][name]] for name in MEASURES
    }
    kept = ("flat", "feasible", "num_seeds", "num_tasks", "episodes", "adaptation", "tasks_sha256", *MEASURES)
    return {name: found[name] for name in kept} | {"last_per_task": last}


def cell(values: dict[str, list[float]]) -> str:
    """The last column of a rate, with its interval."""
    return f"{values['mean'][-1]:.2f} [{values['low'][-1]:.2f}, {values['high'][-1]:.2f}]"


def main(folder: Path, library: str, out: Path) -> None:
    """Write both files."""
    arms = [folder / arm for arm in FLAT] + [folder / library / arm for arm in OVER_SKILLS]
    document = {
        arm.name: {
            file.stem: condensed(json.loads(file.read_text())) for file in sorted(arm.glob("*-*.json"))
        }
        for arm in arms
        if arm.exists()
    }
    for rule in ("own", "explore"):
        ways = [arm[name]["adaptation"] for arm in document.values() for name in arm if rule in name]
        assert all(way == ways[0] for way in ways), f"arms adapt in different ways: {ways}"
    out = out / library
    (out / "claim.json").write_text(json.dumps(document) + "\n")
    heads = ["goals", "adaptation", "arm", "success at the last step", "goal ever reached"]
    lines = [heads, ["---"] * len(heads)]
    for split in ("test", "hidden"):
        for rule in ("own", "explore"):
            for arm, evaluations in document.items():
                found = evaluations[f"{split}-{rule}"]
                lines.append([split, rule, f"`{arm}`", cell(found["success"]), cell(found["reached"])])
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    (out / "claim.md").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
