"""Sentences that say what a comparison has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hmrl_cli.evaluation.document import MIDDLE
from hmrl_cli.lazy import np
from hmrl_cli.report.arms import Arm, protocol_of
from hmrl_cli.report.comparison import is_paired
from hmrl_cli.report.differences import difference, shown


def finding(arms: Sequence[Arm]) -> str:
    """The best arm of a family after the last update, and its difference from the next one.

    The arms are ranked by success, or by return where none succeeds, on the first split and reward.
    """
    protocol = protocol_of(arms[0].documents[0])
    evaluated = [(arm, one) for arm in arms for one in arm.documents if protocol_of(one) == protocol]
    measure = "success" if any(one["success"]["mean"][-1] for _, one in evaluated) else "return"
    (arm, best), *others = sorted(evaluated, key=lambda both: -_mean(both[1], measure))
    value = shown({key: best[measure][key][-1] for key in (MIDDLE[measure], "low", "high")}, MIDDLE[measure])
    split, reward = protocol
    on = f"On {best['num_tasks']} {split} tasks of {best['family']} ({reward} reward)"
    count = best["steps"][-1]
    after = f"after {count} update{'' if count == 1 else 's'}"
    if not others:
        flat = best["flat" if measure == "return" else "flat_success"]
        nothing = "" if flat is None else f" Doing nothing has {flat:z.2f}."
        return f"{on}, {arm.name} has a {measure} of {value} {after}.{nothing}"
    beside = _beside(arm, best, *others[0], measure)
    return f"{on}, {arm.name} has the highest {measure}, {value} {after}.{beside}"


def _beside(arm: Arm, best: Mapping[str, Any], other: Arm, second: Mapping[str, Any], measure: str) -> str:
    """How far the best evaluation is from the second one."""
    if not (best["per_task"] and second["per_task"]) or best["tasks_sha256"] != second["tasks_sha256"]:
        return f" The next is {other.name}, on other tasks."
    found = difference(best, second, same_skills=is_paired(arm, other))[measure]
    text = f" That is {shown(found)} more than {other.name}, the next."
    if found["low"] <= 0 <= found["high"]:
        text += " The interval of the difference includes 0, so the order is not certain."
    return text


def _mean(document: Mapping[str, Any], measure: str) -> float:
    """Mean over seeds and tasks after the last update; the middle where an earlier version kept no more."""
    per_task = document["per_task"]
    if per_task:
        return float(np.mean(np.array(per_task[measure])[..., -1]))
    return float(document[measure][MIDDLE[measure]][-1])


def mean_finding(aggregate: Sequence[Mapping[str, Any]]) -> str:
    """The best arm over all families, on the first split and reward."""
    rows = [row for row in aggregate if protocol_of(row) == protocol_of(aggregate[0])]
    best, *others = sorted(rows, key=lambda row: -row["success"]["mean"])
    on = f"Over {best['families']} families ({best['split']} tasks, {best['reward']} reward)"
    highest = "the highest mean success," if others else "a mean success of"
    text = f"{on}, {best['run']} has {highest} {shown(best['success'])}."
    return text + (f" The next is {others[0]['run']} with {shown(others[0]['success'])}." if others else "")
