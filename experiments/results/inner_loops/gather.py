"""Gather FOLDER/ARM/test.json, what `hmrl eval --json` said, into OUT/inner_loops.json and .md.

Arms that FOLDER does not have keep what OUT says of them.  ARM_halved is ARM/halved.json: the same run,
whose steps at test time are a half from the second on.

    python experiments/results/inner_loops/gather.py FOLDER OUT

Returns are means over seeds and tasks after each number of updates, with a 95 % bootstrap interval after
the last.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hmrl_cli.evaluation.statistics import bootstrap_interval
from hmrl_cli.lazy import np


def summary(file: Path) -> dict[str, Any]:
    """What an arm came to."""
    found = json.loads(file.read_text())
    returned = np.array(found["per_task"]["return"])  # [seed, task, step]
    low, high = bootstrap_interval(returned, np.mean)
    return {
        "mean": returned.mean(axis=(0, 1)).tolist(),
        "low": np.asarray(low).tolist(),
        "high": np.asarray(high).tolist(),
        "per_seed": returned.mean(axis=1).tolist(),
        "num_tasks": returned.shape[1],
        "tasks_sha256": found["tasks_sha256"],
    }


def main(folder: Path, out: Path) -> None:
    """Write both files."""
    gathered = out / "inner_loops.json"
    kept = json.loads(gathered.read_text()) if gathered.exists() else {}
    measured = {file.parent.name: summary(file) for file in folder.glob("*/test.json")}
    measured |= {f"{file.parent.name}_halved": summary(file) for file in folder.glob("*/halved.json")}
    document = dict(sorted((kept | measured).items()))
    gathered.write_text(json.dumps(document) + "\n")
    steps = len(next(iter(document.values()))["mean"])
    lines = [["arm", *map(str, range(steps)), "interval of the last"], ["---"] * (steps + 2)]
    for arm, found in document.items():
        means = [f"{value:.1f}" for value in found["mean"]]
        lines.append([f"`{arm}`", *means, f"[{found['low'][-1]:.1f}, {found['high'][-1]:.1f}]"])
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    (out / "inner_loops.md").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
