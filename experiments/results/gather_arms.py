"""Gather runs FOLDER/GROUP/ARM/metrics.jsonl into a document and a table, FOLDER/NAME.json and NAME.md.

    python experiments/results/gather_arms.py FOLDER [MEASURE...]       # by default: reached success

`reached` is the share of training episodes that met the goal at any step, `success` at the last one; each
measure over all of training and over its last fifth.  Means over seeds with a 95 % bootstrap
interval, and what each arm is above the group's baseline.  That is paired by seed, for seed i has the same
goals in every arm, but in those that start as a skill, which draw other ones.  NAME is the folder's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hmrl_cli.evaluation.statistics import bootstrap_interval, paired_difference
from hmrl_cli.lazy import np
from hmrl_cli.report.differences import shown

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


def differences(folder: Path, arms: dict[str, Any], columns: list[str]) -> None:
    """Add what every arm of a group is above its baseline, if it has one."""
    baseline, *others = arms
    if baseline not in BASELINES:
        return
    for arm in others:
        paired = 'use = "start"' not in (folder / arm / "config.toml").read_text()
        for column in columns:
            both = [np.array(arms[name][column]["per_seed"])[:, None] for name in (arm, baseline)]
            found = paired_difference(*both, seeds_paired=paired)
            arms[arm][column]["above_baseline"] = found | {"seeds": "paired" if paired else "own"}


def markdown(heads: list[str], rows: list[list[str]]) -> str:
    """A table."""
    return "".join("| " + " | ".join(line) + " |\n" for line in (heads, ["---"] * len(heads), *rows))


def text(document: dict[str, Any], measures: list[str]) -> str:
    """The document as markdown: the arms, and their differences from the baseline."""
    columns = [f"{name}_{when}" for name in measures for when in WHEN]
    told = [f"{name}, {when}" for name in measures for when in WHEN.values()]
    rows, above = [], []
    for group, arms in document.items():
        for arm, values in arms.items():
            names = [f"`{group}`", f"`{arm}`"]
            size = [str(values["num_seeds"]), f"{values['env_steps']:,}"]
            rows.append([*names, *size, *(shown(values[c]) for c in columns)])
            if found := [values[c]["above_baseline"] for c in columns if "above_baseline" in values[c]]:
                above.append([*names, *(shown(one, sign="+") for one in found), found[0]["seeds"]])
    tables = markdown(["", "arm", "seeds", "steps", *told], rows)
    if above:
        tables += f"\nAbove the baseline:\n\n{markdown(['', 'arm', *told, 'seeds'], above)}"
    return tables


def main(folder: Path, measures: list[str]) -> None:
    """Write both files."""
    document: dict[str, Any] = {}
    files = list(folder.glob("*/*/metrics.jsonl"))
    if not files:
        sys.exit(f"{folder}: holds no GROUP/ARM/metrics.jsonl")
    for file in sorted(files, key=lambda x: (x.parts[-3], x.parts[-2] not in BASELINES, x.parts[-2])):
        document.setdefault(file.parts[-3], {})[file.parts[-2]] = measure(file, measures)
    for group, arms in document.items():
        differences(folder / group, arms, [f"{name}_{when}" for name in measures for when in WHEN])
    name = folder.resolve().name
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / f"{name}.md").write_text(text(document, measures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ["reached", "success"])
