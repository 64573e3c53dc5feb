"""Sentences that say what a comparison has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hmrl_cli.evaluation.profiles import difference_over_families
from hmrl_cli.lazy import np
from hmrl_cli.report.arms import Arm, by_family, document_of, protocol_of, protocols_of, ranked
from hmrl_cli.report.comparison import is_paired
from hmrl_cli.report.differences import difference, plain, shown
from hmrl_cli.storage.document import MIDDLE, episodes_so_far


def finding(arms: Sequence[Arm]) -> str:
    """The best arm of a family after the last update, and its difference from the next one.

    The arms are ranked by success, or by return where none succeeds, on the split and reward
    that most of them have.
    """
    protocol = protocols_of(arms)[0]
    evaluated = [(arm, one) for arm in arms for one in arm.documents if protocol_of(one) == protocol]
    measure = "success" if any(one["success"]["mean"][-1] for _, one in evaluated) else "return"
    (arm, best), *others = sorted(evaluated, key=lambda both: -_middle(both[1], measure))
    value = shown({key: best[measure][key][-1] for key in (MIDDLE[measure], "low", "high")}, MIDDLE[measure])
    split, reward = protocol
    on = f"On {best['num_tasks']} {split} tasks of {best['family']} ({reward} reward)"
    count = episodes_so_far(best)[-1]
    after = f"after {count} episode{'' if count == 1 else 's'} of a task"
    if not others:
        flat = best["flat" if measure == "return" else "flat_success"]
        nothing = "" if flat is None else f" Doing nothing has {flat:z.2f}."
        return f"{on}, {arm.name} has a {measure} of {value} {after}.{nothing}"
    beside = _beside(arm, best, *others[0], measure)
    return f"{on}, {arm.name} has the highest {measure}, {value} {after}.{beside}"


def _beside(arm: Arm, best: Mapping[str, Any], other: Arm, second: Mapping[str, Any], measure: str) -> str:
    """A sentence on the difference between the best evaluation and the second one."""
    if not (best["per_task"] and second["per_task"]) or best["tasks_sha256"] != second["tasks_sha256"]:
        return f" The next is {other.name}, on other tasks."
    if (spent := episodes_so_far(second)[-1]) != episodes_so_far(best)[-1]:
        return f" The next is {other.name}, after {spent}."
    found = difference(best, second, same_skills=is_paired(arm, best, other, second))[measure]
    if measure == "success" and found["mean"] == 0:
        sooner = difference(best, second, same_skills=is_paired(arm, best, other, second))["mean_success"]
        text = f" {other.name} has the same. Over the whole adaptation the difference is {shown(sooner)}."
        return text + _doubt(sooner)
    if measure == "return":  # of means, which may rank otherwise than the interquartile means of a table
        next_one = plain(_middle(second, measure))[0]
        text = f" The next is {other.name}, with {next_one}; the difference of means is {shown(found)}."
        return text + _doubt(found)
    return _more(found, other.name)


def _middle(document: Mapping[str, Any], measure: str) -> float:
    """Mean, or interquartile mean of returns, after the last update, as tables show it."""
    return float(document[measure][MIDDLE[measure]][-1])


def mean_finding(aggregate: Sequence[Mapping[str, Any]], arms: Sequence[Arm]) -> str:
    """The best arm over all families, and its difference from the next one.

    Args:
        aggregate: that part of a comparison.  The split and reward are those of most of its rows.
        arms: what was compared.
    """
    protocol = ranked([protocol_of(row) for row in aggregate])[0]
    rows = [row for row in aggregate if protocol_of(row) == protocol]
    best, *others = sorted(rows, key=lambda row: -row["success"]["mean"])
    on = f"Over {best['families']} families ({best['split']} tasks, {best['reward']} reward)"
    highest = "the highest success," if others else "a success of"
    text = f"{on}, {best['run']} has {highest} {shown(best['success'])}."
    return text + (_beside_over_families(best["run"], others[0]["run"], protocol, arms) if others else "")


def _beside_over_families(name: str, other: str, protocol: tuple[str, str], arms: Sequence[Arm]) -> str:
    """A sentence on the difference between the best arm and the second one, over families."""
    of_families = [{arm.name: arm for arm in members} for members in by_family(arms).values()]
    both = [(one[name], one[other]) for one in of_families]
    documents = [[document_of(arm, protocol) or {} for arm in pair] for pair in both]
    if any(ours["tasks_sha256"] != theirs["tasks_sha256"] for ours, theirs in documents):
        return f" The next is {other}, on other tasks."
    rates: list[Any] = [[np.array(one["per_task"]["success"])[..., -1] for one in pair] for pair in documents]
    paired = [
        is_paired(ours, one, theirs, two) and len(x) == len(y)
        for (ours, theirs), (one, two), (x, y) in zip(both, documents, rates, strict=True)
    ]
    return _more(difference_over_families(rates, paired), other)


def _more(found: Mapping[str, float], other: str) -> str:
    if found["mean"] == 0:
        return f" {other} has the same; the difference is {shown(found)}."
    return f" That is {shown(found)} more than {other}, the next." + _doubt(found)


def _doubt(found: Mapping[str, float]) -> str:
    """A sentence on the doubt if an interval includes 0; otherwise ""."""
    if found["low"] <= 0 <= found["high"]:
        return " The interval of the difference includes 0, so the order is not certain."
    return ""
