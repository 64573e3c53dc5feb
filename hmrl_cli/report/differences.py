"""The numbers of a comparison: a row for each evaluation, differences paired by task, means over families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hmrl_cli.config.layers import leaves
from hmrl_cli.evaluation.statistics import (
    fraction_over_families,
    fraction_summary,
    paired_difference,
    paired_rate_difference,
    rate_over_families,
)
from hmrl_cli.lazy import np
from hmrl_cli.report.arms import Arm, protocol_of
from hmrl_cli.report.formats import UNSHOWN
from hmrl_cli.schema import Evaluation
from hmrl_cli.storage.document import MEASURES, MIDDLE

LINES = ("flat", "flat_success", "flat_reached", "feasible")


def difference(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], *, same_skills: bool, update: int = -1
) -> dict[str, Any]:
    """One evaluation minus another on the same tasks, after an update.

    Seeds are paired where both evaluations have as many seeds, and their runs act through the same skills.

    Args:
        ours, theirs: evaluation documents.
        same_skills: whether both runs act through the same skills.
        update: the index of the update; -1 is the last one.

    Returns:
        for each measure, and for mean_success, the mean and its 95 % interval; `pairing` is "by task" or "by
        task and seed".
    """
    paired = same_skills and ours["num_seeds"] == theirs["num_seeds"]
    found: dict[str, Any] = {"pairing": "by task and seed" if paired else "by task"}
    for measure in MEASURES:
        compared = paired_difference if measure == "return" else paired_rate_difference
        both = [np.array(one["per_task"][measure])[..., update] for one in (ours, theirs)]
        found[measure] = compared(*both, seeds_paired=paired)
    sooner = (mean_success(one) for one in (ours, theirs))
    return found | {"mean_success": paired_rate_difference(*sooner, seeds_paired=paired)}


def mean_success(document: Mapping[str, Any]) -> Any:
    """Success [seed, task], averaged over an adaptation: higher if goals are found sooner.

    It is the mean of the piecewise linear curve over the updates.  So arms may divide their episodes
    differently.
    """
    success = np.array(document["per_task"]["success"], float)
    between = (success[..., 1:] + success[..., :-1]) / 2
    return between.mean(axis=-1) if between.shape[-1] else success[..., 0]


def plain(*numbers: float) -> list[str]:
    """Numbers with two decimals, or with one where any is 100 or more."""
    decimals = 2 if max(map(abs, numbers)) < 100 else 1
    return [f"{number:z.{decimals}f}" for number in numbers]


def shown(values: Mapping[str, Any], middle: str = "mean", sign: str = "") -> str:
    """A number with its interval, such as "0.52 [0.41, 0.60]"; from 100 on with one decimal."""
    centre, low, high = plain(*(values[key] for key in (middle, "low", "high")))
    return f"{sign if float(centre) > 0 else ''}{centre} [{low}, {high}]"


def difference_cells(difference: Mapping[str, Any]) -> dict[str, str]:
    """A difference as a row of text cells."""
    named = {f"{difference['run']} minus": difference["minus"]}
    protocol = {key: difference[key] for key in ("split", "reward", "pairing")}
    measures = (*MEASURES, "mean_success")
    return named | protocol | {measure: shown(difference[measure], sign="+") for measure in measures}


def row(arm: Arm, document: Mapping[str, Any]) -> dict[str, Any]:
    """One evaluation of an arm as a row: its protocol, and each measure after the last update.

    `mean_success` is over the whole adaptation.
    Numbers are rounded, and numbers with an interval are texts.  `numbers` has all digits, and `paths` has
    the run directories.
    `unfinished` tells the epoch of a run that is not complete.
    """
    numbers, epochs = _numbers(document), arm.settings["training.epochs"]
    return {
        "run": arm.name,
        "family": document["family"],
        "split": document["split"],
        "reward": document["reward"],
        "seeds": document["num_seeds"],
        "tasks": document["num_tasks"],
        "updates": document["steps"][-1],
        "episodes": document["episodes"],
        "env_steps": document["env_steps"][-1],
        **{key: _rounded(numbers[key]) for key in (*LINES, "before")},
        **{key: numbers[key] and shown(numbers[key], MIDDLE[key]) for key in MIDDLE},
        "unfinished": f"epoch {document['epoch']} of {epochs}" if document["epoch"] < epochs else None,
        "adaptation": _adaptation(document),
        "paths": [str(path) for path in arm.paths],
        "numbers": numbers,
    }


def _numbers(document: Mapping[str, Any]) -> dict[str, Any]:
    """Reference lines, return before any update, and each measure with its interval after the last update."""
    measures = {
        measure: {key: document[measure][key][-1] for key in (MIDDLE[measure], "low", "high")}
        for measure in MEASURES
    }
    lines = {line: document[line] for line in LINES}
    sooner = rate_over_families([mean_success(document)]) if document["per_task"] else None
    before = document["return"]["iqm"][0]
    return lines | {"before": before, **measures, "fraction": _fraction(document), "mean_success": sooner}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2) + 0.0  # never -0.0


def _fraction(document: Mapping[str, Any]) -> dict[str, float] | None:
    """The fraction, paired by task, after the last update; computed for documents of earlier versions."""
    found, per_task = document["fraction"], document["per_task"]
    if found and not all(found.values()):
        lines = per_task and per_task["flat"] and per_task["feasible"]
        last = lines and np.array(per_task["return"])[..., -1:]
        found = lines and fraction_summary(last, per_task["flat"], per_task["feasible"])
    return found and {key: found[key][-1] for key in ("mean", "low", "high")}


def _adaptation(document: Mapping[str, Any]) -> str:
    """The settings of the evaluation that differ from the defaults; "own update" where none does."""
    plain = dict(leaves(Evaluation().model_dump()))
    settings = document["adaptation"].items()
    changed = [f"{name} {value}" for name, value in settings if name not in plain or value != plain[name]]
    return ", ".join(changed) or "own update"


def over_families(families: Sequence[Sequence[Arm]]) -> list[dict[str, Any]]:
    """Means over families of success and fraction after the last update, with 95 % intervals.

    Args:
        families: the arms of each family.

    Returns:
        a row for each name, split and reward that every family has with the numbers of each task.
    """
    evaluated = [
        {
            (arm.name, *protocol_of(document)): document["per_task"]
            for arm in arms
            for document in arm.documents
            if document["per_task"]
        }
        for arms in families
    ]
    everywhere = [key for key in evaluated[0] if all(key in one for one in evaluated)]
    return [
        dict(zip(("run", "split", "reward"), key, strict=True))
        | {"families": len(families)}
        | _aggregate([one[key] for one in evaluated])
        for key in everywhere
    ]


def _aggregate(per_task: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over families of the numbers of each task after the last update."""
    last = [{name: np.array(one[name])[..., -1] for name in ("return", "success")} for one in per_task]
    lines = [(one["flat"], one["feasible"]) for one in per_task]
    has_lines = all(line is not None for both in lines for line in both)
    returns = [(one["return"], *both) for one, both in zip(last, lines, strict=True)]
    return {
        "success": rate_over_families([one["success"] for one in last]),
        "fraction": fraction_over_families(returns) if has_lines else None,
    }


def aggregate_cells(aggregate: Mapping[str, Any]) -> dict[str, Any]:
    """A mean over families as a row of cells."""
    return {key: shown(value) if isinstance(value, Mapping) else value for key, value in aggregate.items()}


def without_nothing(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows without empty columns, and without success rates of doing nothing that are all 0."""
    columns = dict.fromkeys(key for row in rows for key in row if key not in UNSHOWN)
    rates = ("flat_success", "flat_reached")
    kept = [
        key
        for key in columns
        if any(row.get(key) or (key not in rates and row.get(key) is not None) for row in rows)
    ]
    return [{key: row.get(key) for key in kept} for row in rows]
