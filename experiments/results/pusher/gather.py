"""Gather FOLDER/ARM/metrics.jsonl and what `hmrl eval` said of each arm into FOLDER/pusher.md.

    python experiments/results/pusher/gather.py FOLDER

Return and success after the inner update are of the last fifth of training, dense, on training tasks;
`fraction` is that of the way from flat to feasible on sparse test tasks after ten updates of fifty episodes,
a mean that is paired by task.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

RULES = {"own": "own update", "refit": "refit", "imitation": "refit and imitation"}
HEADS = (
    "arm",
    "steps",
    "return",
    "success",
    "KL of the latents",
    *(f"fraction, {name}" for name in RULES.values()),
)


def row(arm: Path) -> list[str]:
    """What an arm came to."""
    rows = [json.loads(line) for line in (arm / "metrics.jsonl").read_text().splitlines()]
    last = rows[-(-len(rows) * 4 // 5) :]
    seen = {name: statistics.mean(one[name] for one in last) for name in ("return_after", "success_after")}
    cells = [f"`{arm.name}`", f"{rows[-1]['env_steps']:,}", f"{seen['return_after']:.1f}"]
    cells += [f"{seen['success_after']:.2f}", f"{rows[-1]['latent_kl']:.2f}"]
    for rule in RULES:
        file = arm / f"{rule}.json"
        cells.append(f"{json.loads(file.read_text())['fraction']['mean'][-1]:.2f}" if file.exists() else "")
    return cells


def main() -> None:
    """Write the table."""
    folder = Path(sys.argv[1])
    rows = [row(file.parent) for file in sorted(folder.glob("*/metrics.jsonl"))]
    lines = [HEADS, ["---"] * len(HEADS), *rows]
    text = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    (folder / "pusher.md").write_text(
        f"By `sh experiments/results/pusher/run.sh`, one seed each.\n\n{text}\n"
    )


if __name__ == "__main__":
    main()
