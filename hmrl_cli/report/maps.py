"""Maps of where arms explored while they adapted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hmrl_cli.evaluation.exploration import cells_of
from hmrl_cli.lazy import np
from hmrl_cli.report.arms import Arm, document_of, protocols_of
from hmrl_cli.report.drawing import LINE, PALETTE, SECOND_AXIS, grid, plain

CAPTION = (
    "Over all tasks and seeds: the darker, the more often episodes were there until a goal was "
    "first met; the fuller a goal, the more seeds met it."
)
COLUMNS = 5
GOAL = PALETTE[1]


def recorded(members: Sequence[Arm]) -> dict[str, Mapping[str, Any]]:
    """The evaluations of a family that record where an arm explored, by name, for one split and reward."""
    protocol = protocols_of(members)[0]
    found = {arm.name: document_of(arm, protocol) for arm in members}
    return {name: one for name, one in found.items() if one and one.get("explored") and one["per_task"]}


def missing(members: Sequence[Arm]) -> list[str]:
    """A line on the arms without a record; no line if every arm has one."""
    there = recorded(members)
    names = [arm.name for arm in members if arm.name not in there]
    if not there:
        return ["Not recorded: the evaluations are of an early version, or the goals are speeds."]
    return [f"Not recorded, before hmrl eval is run again: {', '.join(names)}."] if names else []


def explored(documents: Mapping[str, Mapping[str, Any]]) -> Any:
    """A map for each arm, all of one extent.

    Args:
        documents: as `recorded` returns them.
    """
    columns = min(COLUMNS, len(documents))
    figure, axes = grid(-(-len(documents) // columns), columns, size=2.9)
    figure.set_layout_engine("compressed")  # panels are square: without it a title may leave the figure
    reach = max(_reach(one["explored"]) for one in documents.values())
    for axis, (name, document) in zip(axes.flat, documents.items(), strict=False):
        _draw_visits(axis, document["explored"])
        _draw_goals(axis, document)
        axis.set_xlim(-reach, reach)
        axis.set_ylim(-reach, reach)
        axis.set_aspect("equal")
        axis.set_title(plain(name), fontsize="medium")
        axis.set_xlabel("x in m")
    upward = any(one["explored"].get("upward") for one in documents.values())
    for row in axes:
        row[0].set_ylabel(SECOND_AXIS[upward])
    for axis in axes.flat[len(documents) :]:
        axis.set_axis_off()
    _legend(figure)
    return figure


def _reach(found: Mapping[str, Any]) -> float:
    """The distance from the origin within which all goals and most visits lie."""
    cells = np.array(cells_of(found), float).reshape(-1, 3)
    far = (np.abs(cells[:, :2]).max(axis=1) + 1) * found["cell"]
    order = np.argsort(far)
    visits = np.cumsum(cells[order, 2])
    most = far[order[np.searchsorted(visits, 0.99 * visits[-1])]] if len(far) else 0.0
    goals = np.array([goal for of_task in found["goals"] for goal in of_task]).reshape(-1, 3)
    of_goals = (np.abs(goals[:, :2]).max(axis=1) + goals[:, 2]).max(initial=0.0)
    return 1.05 * max(of_goals, float(most), found["cell"])


def _draw_visits(axis: Any, found: Mapping[str, Any]) -> None:
    """Cells, the more often visited the darker, by the logarithm of the number of visits."""
    cells = np.array(cells_of(found), int).reshape(-1, 3)
    if not len(cells):
        return
    low, high = cells[:, :2].min(axis=0), cells[:, :2].max(axis=0) + 1
    image = np.zeros((*(high - low)[::-1], 4))
    image[..., :3] = [int(PALETTE[0][at : at + 2], 16) / 255 for at in (1, 3, 5)]
    share = np.log1p(cells[:, 2]) / np.log1p(cells[:, 2].max())
    image[cells[:, 1] - low[1], cells[:, 0] - low[0], 3] = share
    edges = np.array([low[0], high[0], low[1], high[1]]) * found["cell"]
    axis.imshow(image, origin="lower", extent=edges, interpolation="nearest", aspect="equal")


def _draw_goals(axis: Any, document: Mapping[str, Any]) -> None:
    """A ring for each goal, and a dot that is as opaque as the share of seeds that met it."""
    from matplotlib.patches import Circle

    met = (np.array(document["per_task"]["reached"]) > 0).any(axis=2).mean(axis=0)
    for goals, share in zip(document["explored"]["goals"], met, strict=False):
        for x, y, radius in goals:
            axis.add_patch(Circle((x, y), radius, fill=False, ec=LINE, lw=0.4, alpha=0.7))
            axis.plot(x, y, marker="o", ms=4, color=LINE, mfc="none", mew=0.6, ls="")
            axis.plot(x, y, marker="o", ms=4, color=GOAL, alpha=share, mew=0, ls="")


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    met = Line2D([], [], marker="o", ls="", color=LINE, mfc=GOAL, label="goal, met by all seeds")
    never = Line2D([], [], marker="o", ls="", color=LINE, mfc="none", label="goal, met by none")
    visits = Line2D([], [], marker="s", ls="", color=PALETTE[0], alpha=0.5, label="visited")
    handles = [visits, met, never]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, fontsize="small", frameon=False)
