"""Arms and families at a glance: one figure and one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hmrl_cli.report.arms import Arm, document_of, protocol_of, protocols_of, ranked
from hmrl_cli.report.differences import shown
from hmrl_cli.report.drawing import LINE, grid, legend, looks, plain, wrapped

MEAN = "mean over families"
TEXTS = (
    "Success of every arm in every family, with intervals",
    "Success after the last update, with 95 % intervals; filled and hollow are two kinds of tasks.",
)
MAX_PROTOCOLS = 2  # splits and rewards in the figure: filled and hollow


def rows(
    families: Mapping[str, Sequence[Arm]], aggregate: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Success after the last update: a row for each arm, split and reward, a column for each family.

    Args:
        families: the arms of each family.
        aggregate: that part of a comparison.
    """
    everyone = [arm for arms in families.values() for arm in arms]
    means = {(row["run"], *protocol_of(row)): row for row in aggregate}
    found = []
    for name in dict.fromkeys(arm.name for arm in everyone):
        for protocol in protocols_of([arm for arm in everyone if arm.name == name]):
            cells = {family: _success(arms, name, protocol) for family, arms in families.items()}
            over = means.get((name, *protocol), {})
            numbers = cells | {MEAN: over.get("success"), "mean fraction": over.get("fraction")}
            texts = {key: value and shown(value) for key, value in numbers.items()}
            found.append(
                {"run": name, "split": protocol[0], "reward": protocol[1]} | texts | {"numbers": numbers}
            )
    return found


def _success(arms: Sequence[Arm], name: str, protocol: tuple[str, str]) -> dict[str, float] | None:
    """Mean and interval of the success of an arm; None where it was not evaluated."""
    documents = [document_of(arm, protocol) for arm in arms if arm.name == name]
    found = documents[0]["success"] if documents and documents[0] else None
    return found and {key: found[key][-1] for key in ("mean", "low", "high")}


def dots(table: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Any:
    """The success of every arm in every family, as dots with intervals; a panel for each family.

    Args:
        table: as `rows` returns it.
        names: of all arms of a page, see `figures.curves`.
    """
    protocols = ranked([protocol_of(row) for row in table])[:MAX_PROTOCOLS]
    runs = list(dict.fromkeys(row["run"] for row in table))
    panels = [key for key in table[0]["numbers"] if key != "mean fraction"]
    panels = [key for key in panels if any(row["numbers"][key] for row in table)]
    figure, axes = grid(1, len(panels), size=1.1 + 0.42 * len(runs))
    of_arms = looks(names)
    for axis, panel in zip(axes[0], panels, strict=True):
        for row in table:
            value = row["numbers"][panel]
            if value and protocol_of(row) in protocols:
                of_row = protocols.index(protocol_of(row))
                _draw(axis, runs.index(row["run"]) + 0.3 * of_row, value, of_arms[plain(row["run"])], of_row)
        axis.set_title(plain(panel), fontsize="medium")
        axis.set_xlabel("success, share of episodes")
        axis.set_xlim(-0.03, 1.03)
        axis.set_ylim(len(runs) - 0.3, -0.5)
        axis.grid(axis="x", color=LINE, alpha=0.25, lw=0.6)
        axis.set_yticks([])
    axes[0][0].set_yticks([place + 0.15 for place in range(len(runs))], map(wrapped, runs))
    for number, protocol in enumerate(protocols):
        fill = {"mfc": "none"} if number else {}
        label = plain(" tasks, ".join(protocol) + " reward")
        axes[0][0].plot([], [], color=LINE, marker="o", ls="-", label=label, **fill)
    legend(figure, axes)
    return figure


def _draw(axis: Any, place: float, value: Mapping[str, float], look: Mapping[str, str], hollow: int) -> None:
    axis.plot([value["low"], value["high"]], [place, place], color=look["color"], lw=2 - 0.8 * hollow)
    fill = {"mfc": "none"} if hollow else {}
    axis.plot(value["mean"], place, color=look["color"], marker=look["marker"], ms=7, **fill)
