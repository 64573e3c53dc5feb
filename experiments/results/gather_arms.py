"""Gather runs FOLDER/GROUP/ARM/metrics.jsonl into a document and a table, FOLDER/NAME.json and NAME.md.

    python experiments/results/gather_arms.py FOLDER [MEASURE...]       # by default: reached success

`reached` is the share of training episodes that met the goal at any step, `success` at the last one; each
measure over all of training and over its last fifth.  Means over seeds with a 95 % bootstrap
interval.  NAME is the folder's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hmrl_cli.lazy import np
from hmrl_cli.statistics import bootstrap_interval

BASELINES = ("none", "scratch")  # come first
WHEN = {"all": "all of training", "last": "last fifth"}


def measure(file: Path, measures: list[str]) -> dict[str, Any]:
    """What one run's metrics say: seeds, environment steps of each, and the means."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    last = -(-len(rows) // 5)
    document: dict[str, Any] = {"env_steps": rows[-1]["env_steps"]}
    for name in measures:
        curve = np.array([np.atleast_1d(row[name]) for row in rows])  # [epoch, seed]
        document["num_seeds"] = curve.shape[1]
        for when, part in (("all", curve), ("last", curve[-last:])):
            per_seed = part.mean(axis=0)
            low, high = bootstrap_interval(per_seed[:, None], np.mean)
            document[f"{name}_{when}"] = {
                "mean": float(per_seed.mean()),
                "low": float(low),
                "high": float(high),
                "per_seed": per_seed.tolist(),
            }
    return document


def table(document: dict[str, Any], measures: list[str]) -> str:
    """The document as markdown."""
    columns = [f"{name}_{when}" for name in measures for when in WHEN]
    heads = ["", "arm", "seeds", "steps", *(f"{name}, {when}" for name in measures for when in WHEN.values())]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for group, arms in document.items():
        for arm, values in arms.items():
            cells = [
                f"{values[c]['mean']:.2f} [{values[c]['low']:.2f}, {values[c]['high']:.2f}]" for c in columns
            ]
            row = [f"`{group}`", f"`{arm}`", str(values["num_seeds"]), f"{values['env_steps']:,}", *cells]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def main(folder: Path, measures: list[str]) -> None:
    """Write both files."""
    document: dict[str, Any] = {}
    files = list(folder.glob("*/*/metrics.jsonl"))
    if not files:
        sys.exit(f"{folder}: holds no GROUP/ARM/metrics.jsonl")
    for file in sorted(files, key=lambda x: (x.parts[-3], x.parts[-2] not in BASELINES, x.parts[-2])):
        document.setdefault(file.parts[-3], {})[file.parts[-2]] = measure(file, measures)
    name = folder.resolve().name
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / f"{name}.md").write_text(table(document, measures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ["reached", "success"])
