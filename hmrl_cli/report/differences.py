"""The numbers of a comparison: a row for each evaluation, and differences paired by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hmrl_cli.config.layers import leaves
from hmrl_cli.evaluation.document import MEASURES, MIDDLE
from hmrl_cli.evaluation.statistics import fraction_summary, paired_difference, paired_rate_difference
from hmrl_cli.lazy import np
from hmrl_cli.schema import Evaluation


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
        for each measure the mean and its 95 % interval; `seeds` is "paired" or "own".
    """
    paired = same_skills and ours["num_seeds"] == theirs["num_seeds"]
    found: dict[str, Any] = {"seeds": "paired" if paired else "own"}
    for measure in MEASURES:
        compared = paired_difference if measure == "return" else paired_rate_difference
        both = [np.array(one["per_task"][measure])[..., update] for one in (ours, theirs)]
        found[measure] = compared(*both, seeds_paired=paired)
    return found


def shown(values: Mapping[str, Any], middle: str = "mean", sign: str = "") -> str:
    """A number with its interval, such as "0.52 [0.41, 0.60]"; from 100 on with one decimal."""
    numbers = [values[key] for key in (middle, "low", "high")]
    decimals = 2 if max(map(abs, numbers)) < 100 else 1
    centre, low, high = (f"{number:z.{decimals}f}" for number in numbers)
    return f"{sign if float(centre) > 0 else ''}{centre} [{low}, {high}]"


def difference_cells(difference: Mapping[str, Any]) -> dict[str, str]:
    """A difference as a row of text cells."""
    named = {f"{difference['run']} minus": difference["minus"]}
    protocol = {key: difference[key] for key in ("split", "reward", "seeds")}
    return named | protocol | {measure: shown(difference[measure], sign="+") for measure in MEASURES}


def row(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """One evaluation of a run as a row: its protocol, and each measure after the last update."""

    def last(measure: str) -> str:
        found = document[measure]
        return shown({key: values[-1] for key, values in found.items()}, MIDDLE[measure])

    return {
        "run": name,
        "split": document["split"],
        "reward": document["reward"],
        "seeds": document["num_seeds"],
        "tasks": document["num_tasks"],
        "updates": document["steps"][-1],
        "episodes": document["episodes"],
        "env_steps": document["env_steps"][-1],
        **{line: _rounded(document[line]) for line in ("flat", "flat_success", "flat_reached", "feasible")},
        "before": _rounded(document["return"]["iqm"][0]),
        **{measure: last(measure) for measure in MEASURES},
        "fraction": (fraction := _fraction(document)) and shown(fraction),
        "adaptation": _adaptation(document),
    }


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


def without_nothing(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows without empty columns, and without success rates of doing nothing that are all 0."""
    columns = dict.fromkeys(key for row in rows for key in row)
    rates = ("flat_success", "flat_reached")
    kept = [
        key
        for key in columns
        if any(row.get(key) or (key not in rates and row.get(key) is not None) for row in rows)
    ]
    return [{key: row.get(key) for key in kept} for row in rows]
