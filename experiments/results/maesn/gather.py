"""Gather what `hmrl eval` said, FOLDER/PRESET/ARM/test-sparse.json, refit.json and so on, in FOLDER/maesn.md.

    python experiments/results/maesn/gather.py FOLDER

`own`: by the algorithm's own update; `own, halved at once`: the same, with steps that halve from the second
update on, as in runs of earlier versions; `refit`: by a refit of the latent; `imitation`: by that and
imitation; `exploring`: by both, where three of ten episodes before an update hold one random skill or action;
`tuned`: by both for ten updates, from latents spread three times as wide, then by steps of the policy itself.
`updates` says how many of how many episodes each.  `recovered` is the fraction of the way from flat to
feasible after the last update, a mean that is paired by task, `best` the largest after any.  `published` is
that of Gupta et al. 2018 (1802.07245), read off their figures, a mean after 100 updates of 10,000 environment
steps.  Below are differences: between arms that adapt alike, and between ways of one arm.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.report.differences import difference, shown

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
DIFFERENCE = ("preset", "arm", "minus", "return", "success", "reached", "seeds")


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
        interval(found["fraction"], "mean", 2),
        f"{max(found['fraction']['mean']):.2f}",
        "" if published is None else f"{published:.2f}",
        interval(found["success"], "mean", 2),
        interval(found["reached"], "mean", 2),
        "" if divergence is None else ", ".join(f"{seed:.1f}" for seed in divergence),
    ]


def differences(folder: Path, evaluated: list[tuple[str, str, str]]) -> list[list[str]]:
    """Between what adapts alike, or is one arm, with as many updates and episodes on the same tasks."""
    rows = []
    for (preset, *one), (other_preset, *other) in itertools.combinations(evaluated, 2):
        if preset != other_preset or not {*one} & {*other}:
            continue
        both = [json.loads((folder / preset / arm / RULES[rule]).read_text()) for arm, rule in (one, other)]
        if any(both[0][name] != both[1][name] for name in ("steps", "episodes", "tasks_sha256")):
            continue
        found = difference(*both, same_skills=one[0] == other[0])  # an arm has the seeds of its training
        names = (f"`{arm}`, {rule}" for arm, rule in (one, other))
        cells = [shown(found[measure], sign="+") for measure in ("return", "success", "reached")]
        rows.append([f"`{preset}`", *names, *cells, found["seeds"]])
    return rows


def table(heads: Sequence[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "".join("| " + " | ".join(line) + " |\n" for line in (heads, ["---"] * len(heads), *rows))


def main(folder: Path) -> None:
    """Write the tables."""
    runs = sorted(file.parent for file in folder.glob("*/*/test-sparse.json"))
    runs.sort(key=lambda run: (run.parent.name, [run.name.startswith(arm) for arm in ARMS].index(True)))
    evaluated = [
        (run.parent.name, run.name, rule)
        for run in runs
        for rule in RULES
        if (run / RULES[rule]).exists() and (run.name, rule) != ("maml", "refit")
    ]
    text = table(HEADS, [row(folder, *one) for one in evaluated])
    text += (
        "\nDifferences of means, paired by task, with 95 % intervals over tasks and seeds. Seeds are paired "
        "where both are one arm,\nelse each arm's own are drawn.\n\n"
        f"{table(DIFFERENCE, differences(folder, evaluated))}"
    )
    (folder / "maesn.md").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
