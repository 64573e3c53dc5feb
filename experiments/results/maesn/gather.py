"""Gather what `hmrl eval` said, FOLDER/PRESET/ARM/test-sparse.json, refit.json and so on, in FOLDER/maesn.md.

    python experiments/results/maesn/gather.py FOLDER

`own`: by the algorithm's own update; `own, halved at once`: the same, with steps that halve from the second
update on, as in runs of earlier versions; `refit`: by a refit of the latent; `imitation`: by that and
imitation; `exploring`: by both, where three of ten episodes before an update hold one random skill or action;
`tuned`: by both for ten updates, from latents spread three times as wide, then by steps of the policy itself.
`updates` says how many of how many episodes each.  `recovered` is the fraction of the way from flat to
feasible after the last update, `best` the largest after any.  `published` is that of Gupta et al. 2018
(1802.07245), read off their figures, after 100 updates of 10,000 environment steps.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ARMS = ("maesn", "hmrl", "latent_space", "maml")  # what their names begin with, in the table's order
PUBLISHED = {"wheeled": 0.38, "ant_goal": 0.37, "pusher": 0.88}  # of MAESN
RULES = {
    "own": "test-sparse.json",
    "own, halved at once": "halved_at_once.json",
    "refit": "refit.json",
    "imitation": "imitation.json",
    "tuned": "tuned.json",
    "exploring": "exploring_test.json",
    "exploring, hidden goals": "exploring_hidden.json",
}
HEADS = ("preset", "arm", "adapts by", "updates", "return", "flat .. feasible", "recovered", "best")
HEADS += ("published", "success", "reached", "KL of the latents, a seed each")


def interval(values: dict[str, list[float]], middle: str, digits: int) -> str:
    """The last column of a measure, with its interval."""
    value, low, high = (f"{values[key][-1]:.{digits}f}" for key in (middle, "low", "high"))
    return f"{value} [{low}, {high}]"


def row(folder: Path, preset: str, arm: str, rule: str) -> list[str]:
    """What an arm came to."""
    found: dict[str, Any] = json.loads((folder / preset / arm / RULES[rule]).read_text())
    last = json.loads((folder / preset / arm / "metrics.jsonl").read_text().splitlines()[-1])
    divergence = last.get("latent_kl")
    published = PUBLISHED.get(preset.partition("@")[0]) if (arm, rule) == ("maesn", "own") else None
    return [
        f"`{preset}`",
        f"`{arm}`",
        rule,
        f"{found['steps'][-1]} of {found['episodes']}",
        interval(found["return"], "iqm", 1),
        f"{found['flat']:.1f} .. {found['feasible']:.1f}",
        interval(found["fraction"], "iqm", 2),
        f"{max(found['fraction']['iqm']):.2f}",
        "" if published is None else f"{published:.2f}",
        interval(found["success"], "mean", 2),
        interval(found["reached"], "mean", 2),
        "" if divergence is None else ", ".join(f"{seed:.1f}" for seed in divergence),
    ]


def main(folder: Path) -> None:
    """Write the table."""
    runs = sorted(file.parent for file in folder.glob("*/*/test-sparse.json"))
    runs.sort(key=lambda run: (run.parent.name, [run.name.startswith(arm) for arm in ARMS].index(True)))
    rows = [
        row(folder, run.parent.name, run.name, rule)
        for run in runs
        for rule in RULES
        if (run / RULES[rule]).exists() and (run.name, rule) != ("maml", "refit")
    ]
    lines = [list(HEADS), ["---"] * len(HEADS), *rows]
    (folder / "maesn.md").write_text("".join("| " + " | ".join(line) + " |\n" for line in lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
