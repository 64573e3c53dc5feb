"""Performance profiles of arms and probabilities of improvement between them, over families."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from hmrl_cli.evaluation.profiles import fractions, performance_profile, probability_of_improvement
from hmrl_cli.lazy import np
from hmrl_cli.report.arms import Arm, document_of, protocols_of
from hmrl_cli.report.comparison import has_same_lines, is_paired
from hmrl_cli.report.drawing import LINE, grid, legend, looks, marked, plain, wrapped

THRESHOLDS = 51  # from 0 to 1
MAX_PAIRS = 10  # in a figure; beyond, those with the first arm
SCORES = {"fraction": "share of the way from flat to feasible", "success": "success, share of episodes"}

TEXTS = (
    "Performance profiles, and probabilities that one arm improves on another",
    "Left: the share of scores, one for each seed and task, above each threshold; right: how often a seed of "
    "X beats one of Y on a task; with 95 % bands and intervals.",
)


class Evaluated(NamedTuple):
    """An arm of a family, and its evaluation."""

    arm: Arm
    document: Mapping[str, Any]


class Compared(NamedTuple):
    """Arms that all of some families have, on one split and reward."""

    families: tuple[str, ...]
    split: str
    reward: str
    kind: str  # of the scores: a key of SCORES
    arms: Sequence[str]
    profiles: Mapping[str, Mapping[str, Any]]  # name -> arrays "tau", "mean", "low" and "high"
    improvements: Sequence[Mapping[str, Any]]  # "x", "y" and "probability", P(X > Y) with its interval


def compared(families: Mapping[str, Sequence[Arm]]) -> list[Compared]:
    """The comparisons: over all families if two arms are in all of them, else within each family."""
    over_all = _compared(families)
    return over_all or [one for family, arms in families.items() for one in _compared({family: arms})]


def _compared(families: Mapping[str, Sequence[Arm]]) -> list[Compared]:
    found = []
    for protocol in protocols_of([arm for arms in families.values() for arm in arms]):
        of_families = [dict(_told(arms, protocol)) for arms in families.values()]
        names = [name for name in of_families[0] if all(name in one for one in of_families)]
        if len(names) > 1:
            evaluated = {name: [one[name] for one in of_families] for name in names}
            kind, scores = _scores(evaluated)
            tau = np.linspace(0.0, 1.0, THRESHOLDS)
            profiles = {name: {"tau": tau} | performance_profile(scores[name], tau) for name in names}
            better = _improvements(evaluated, scores)
            found.append(Compared(tuple(families), *protocol, kind, names, profiles, better))
    return found


def _told(arms: Sequence[Arm], protocol: tuple[str, str]) -> Iterator[tuple[str, Evaluated]]:
    """The arms that have numbers of each task, by their names."""
    for arm in arms:
        document = document_of(arm, protocol)
        if document and document["per_task"]:
            yield arm.name, Evaluated(arm, document)


def _scores(evaluated: Mapping[str, Sequence[Evaluated]]) -> tuple[str, dict[str, list[Any]]]:
    """Fractions of every family, or success rates where an arm has no fraction."""
    found = {
        name: [fractions(one.document["per_task"]) if one.document["fraction"] else None for one in of]
        for name, of in evaluated.items()
    }
    if not any(one is None for of in found.values() for one in of):
        return "fraction", found
    return "success", {
        name: [np.asarray(one.document["per_task"]["success"])[..., -1] for one in of]
        for name, of in evaluated.items()
    }


def _improvements(
    evaluated: Mapping[str, Sequence[Evaluated]], scores: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    """P(X > Y) of all pairs of arms that met the same tasks, with 95 % intervals."""
    tasks = {name: [one.document["tasks_sha256"] for one in of] for name, of in evaluated.items()}
    rows = []
    for x, y in combinations(evaluated, 2):
        # with other reference lines, other tasks have a fraction
        lines = zip(evaluated[x], evaluated[y], strict=True)
        if tasks[x] == tasks[y] and all(has_same_lines(a.document, b.document) for a, b in lines):
            pairs = list(zip(scores[x], scores[y], strict=True))
            both = zip(evaluated[x], evaluated[y], pairs, strict=True)
            paired = [is_paired(*one, *other) and len(a) == len(b) for one, other, (a, b) in both]
            rows.append({"x": x, "y": y, "probability": probability_of_improvement(pairs, paired)})
    return rows


def profile_rows(found: Sequence[Compared]) -> list[dict[str, Any]]:
    """All profiles as rows of a table."""
    return [
        _about(one)
        | {"run": name, "score": one.kind, "tau": float(tau)}
        | {"share": float(mean), "share_low": float(low), "share_high": float(high)}
        for one in found
        for name in one.arms
        for tau, mean, low, high in zip(*one.profiles[name].values(), strict=True)
    ]


def improvement_rows(found: Sequence[Compared]) -> list[dict[str, Any]]:
    """All probabilities of improvement as rows of a table."""
    return [
        _about(one)
        | {"run": row["x"], "other": row["y"], "numbers": {"probability": row["probability"]}}
        | {"probability": ""}
        for one in found
        for row in one.improvements
    ]


def _about(one: Compared) -> dict[str, Any]:
    return {"families": " ".join(one.families), "split": one.split, "reward": one.reward}


def profiles(found: Sequence[Compared], names: Sequence[str] = ()) -> Any:
    """Performance profiles, and probabilities of improvement beside them; a row for each comparison.

    Args:
        found: as `compared` returns it.
        names: of all arms of a page, see `figures.curves`.
    """
    pairs = [_chosen(one) for one in found]
    most = max(len(rows) for rows in pairs)
    figure, axes = grid(len(found), 2, size=max(2.8, 0.6 + 0.28 * most))
    of_arms = looks([*names, *(name for one in found for name in one.arms)])
    for (left, right), one, rows in zip(axes, found, pairs, strict=True):
        _draw_profile(left, one, of_arms)
        _draw_improvements(right, rows, of_arms)
        where = f"{one.families[0]}: " if len(one.families) == 1 and len(found) > 1 else ""
        left.set_title(plain(f"{where}{one.split} tasks, {one.reward} reward"), fontsize="medium")
        right.set_title("probability of improvement", fontsize="medium")
        left.set_xlabel(f"score τ, {SCORES[one.kind]}")
        right.set_xlabel("P(X > Y)")
    legend(figure, axes[:, :1])
    return figure


def _chosen(one: Compared) -> list[Mapping[str, Any]]:
    """All pairs, or those of the first arm where a figure has no room for all."""
    rows, first = one.improvements, one.arms[0]
    return list(rows) if len(rows) <= MAX_PAIRS else [row for row in rows if row["x"] == first]


def _draw_profile(axis: Any, one: Compared, of_arms: Mapping[str, dict[str, str]]) -> None:
    for name in one.arms:
        look, profile = of_arms[plain(name)], one.profiles[name]
        line = {**marked(THRESHOLDS), **look, "label": plain(name)}
        axis.plot(profile["tau"], profile["mean"], drawstyle="steps-post", **line)
        band = {"alpha": 0.2, "color": look["color"], "lw": 0, "step": "post"}
        axis.fill_between(profile["tau"], profile["low"], profile["high"], **band)
    axis.set_ylim(-0.03, 1.03)
    axis.set_xlim(0, 1)
    axis.set_ylabel("share of scores > τ")


def _draw_improvements(
    axis: Any, rows: Sequence[Mapping[str, Any]], of_arms: Mapping[str, dict[str, str]]
) -> None:
    for place, row in enumerate(rows):
        found, look = row["probability"], of_arms[plain(row["x"])]
        axis.plot([found["low"], found["high"]], [place, place], color=look["color"], lw=2)
        axis.plot(found["mean"], place, color=look["color"], marker=look["marker"], ms=7)
    axis.axvline(0.5, color=LINE, ls=":", lw=1)
    names = [wrapped(f"{row['x']} > {row['y']}", 40) for row in rows]
    axis.set_yticks(range(len(rows)), names, fontsize="small")
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlim(-0.03, 1.03)
