"""Gather runs FOLDER/FAMILY/ARM/metrics.jsonl into FOLDER/bonuses.json and a table, FOLDER/bonuses.md.

    python experiments/results/bonuses/gather.py FOLDER

`reached` is the share of training episodes that met the goal at any step, `success` at the last one; each
over all of training and over its last fifth.  Means over seeds with a 95 % bootstrap interval.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hmrl_cli.lazy import np
from hmrl_cli.statistics import bootstrap_interval

ARMS = ("none", "icm", "rnd", "counts", "information_gain")
MEASURES = ("reached", "success")


def measure(file: Path) -> dict[str, Any]:
    """What one run's metrics say: seeds, environment steps of each, and the means."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    last = -(-len(rows) // 5)
    document: dict[str, Any] = {"env_steps": rows[-1]["env_steps"]}
    for name in MEASURES:
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


def table(document: dict[str, Any]) -> str:
    """The document as markdown."""
    columns = [f"{name}_{when}" for name in MEASURES for when in ("all", "last")]
    heads = [f"{name}, {when}" for name in MEASURES for when in ("all of training", "last fifth")]
    lines = ["| family | bonus | seeds | steps | " + " | ".join(heads) + " |", "|---" * 8 + "|"]
    for family, arms in document.items():
        for arm, values in arms.items():
            cells = [
                f"{values[c]['mean']:.2f} [{values[c]['low']:.2f}, {values[c]['high']:.2f}]" for c in columns
            ]
            row = [f"`{family}`", f"`{arm}`", str(values["num_seeds"]), f"{values['env_steps']:,}", *cells]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """Write both files."""
    families = sorted({file.parent.parent.name for file in folder.glob("*/*/metrics.jsonl")})
    document = {
        family: {
            arm: measure(file) for arm in ARMS if (file := folder / family / arm / "metrics.jsonl").is_file()
        }
        for family in families
    }
    (folder / "bonuses.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "bonuses.md").write_text(table(document))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
