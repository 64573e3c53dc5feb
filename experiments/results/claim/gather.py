"""Gather FOLDER/ARM/SPLIT-RULE.json, what `hmrl eval --json` said, into OUT/claim.json and OUT.md.

python experiments/results/claim/gather.py FOLDER OUT

Arms that have not run are left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ARMS = ("maml_repeat", "maesn_repeat", "skills_only", "hmrl_maml", "hmrl")
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


def main(folder: Path, out: Path) -> None:
    """Write both files."""
    document = {
        arm: {
            file.stem: condensed(json.loads(file.read_text()))
            for file in sorted((folder / arm).glob("*-*.json"))
        }
        for arm in ARMS
        if (folder / arm).exists()
    }
    (out / "claim.json").write_text(json.dumps(document) + "\n")
    heads = ["goals", "adaptation", "arm", "success at the last step", "goal ever reached"]
    lines = [heads, ["---"] * len(heads)]
    for split in ("test", "hidden"):
        for rule in ("own", "explore"):
            for arm, evaluations in document.items():
                found = evaluations[f"{split}-{rule}"]
                lines.append([split, rule, f"`{arm}`", cell(found["success"]), cell(found["reached"])])
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    out.with_suffix(".md").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
