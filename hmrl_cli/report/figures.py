"""Curves of adaptation and of training, and paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hmrl_cli.evaluation.statistics import interquartile_mean
from hmrl_cli.lazy import np
from hmrl_cli.report import differences
from hmrl_cli.report.arms import Arm, by_family, protocol_of
from hmrl_cli.report.drawing import (
    LINE,
    PALETTE,
    SECOND_AXIS,
    WIDTH,
    grid,
    legend,
    looks,
    marked,
    plain,
    svg,
    thin,
)
from hmrl_cli.storage.document import MEASURES, MIDDLE, episodes_so_far

LABELS = {
    "return": "return, sum of rewards",
    "success": "success, share of episodes",
    "reached": "reached, share of episodes",
}
EPISODES = "episodes of a task so far"
LINES = ("flat", "feasible")
# metrics of training that are drawn first, of those that a run has
TRAINING = (
    *("return_after", "success_after", "reached_after", "return", "success", "reached", "found"),
    *("mutual_information", "accuracy", "arrivals", "intrinsic_reward", "loss"),
)
MAX_METRICS = 6
MAX_POINTS, MIN_POINTS = 60_000, 20  # of all lines of a figure of training, and of one line


def curves(arms: Sequence[Arm], names: Sequence[str] = ()) -> Any:
    """Return, success and goals ever reached against episodes, a column for every family, split and reward.

    If there is only one column, the measures are side by side.

    Args:
        arms: what is drawn.
        names: of all arms of a page, so that an arm looks the same in all of its figures.
    """
    panels: dict[tuple[str, ...], list[tuple[str, Mapping[str, Any]]]] = {}
    for arm in arms:
        for document in arm.documents:
            panels.setdefault((arm.family, *protocol_of(document)), []).append((plain(arm.name), document))
    if is_single := len(panels) == 1:
        figure, axes = grid(1, len(MEASURES))
    else:
        figure, axes = grid(len(MEASURES), len(panels), size=2.8)
    axes = axes.reshape(len(MEASURES), len(panels))
    of_arms = looks([*names, *(arm.name for arm in arms)])
    several = len(by_family(arms)) > 1
    for column, ((family, *protocol), shown) in enumerate(panels.items()):
        for axis, measure in zip(axes[:, column], MEASURES, strict=True):
            _draw_curves(axis, measure, shown, of_arms)
            axis.set_ylabel(LABELS[measure] if column == 0 else "")
        title = plain(" tasks, ".join(protocol)) + " reward"
        axes[0][column].set_title(f"{plain(family)}: {title}" if several else title, fontsize="medium")
        for axis in axes[:, column] if is_single else axes[-1:, column]:
            axis.set_xlabel(EPISODES)
    legend(figure, axes, last=LINES)
    return figure


def curves_svg(arms: Sequence[Arm]) -> str:
    """The curves of adaptation as an SVG."""
    return svg(curves, arms)


def training(trained: Mapping[str, Sequence[Mapping[str, Any]]], names: Sequence[str] = ()) -> Any:
    """Metrics of training against environment steps, a panel for each metric, with a thin line for each seed.

    Args:
        trained: name of a run -> the metrics of its epochs.
        names: see `curves`.
    """
    from matplotlib.ticker import EngFormatter

    known = dict.fromkeys(key for epochs in trained.values() for key in epochs[-1])
    wanted = [
        *(key for key in TRAINING if key in known),
        *sorted({*known} - {*TRAINING, "epoch", "env_steps"}),
    ]
    wanted = wanted[:MAX_METRICS]
    columns = min(3, len(wanted))
    figure, axes = grid(-(-len(wanted) // columns), columns, size=2.6)
    of_runs = looks([*names, *trained])
    lines = sum(np.size(epochs[-1].get(key, ())) for epochs in trained.values() for key in wanted)
    points = max(MAX_POINTS // max(lines, 1), MIN_POINTS)
    for axis, key in zip(axes.flat, wanted, strict=False):
        for name, epochs in trained.items():
            _draw_training(axis, key, _thinned(epochs, points), plain(name), of_runs[plain(name)])
        axis.set_ylabel(plain(key.replace("_", " ")))
    for axis in axes.flat[len(wanted) :]:
        axis.set_axis_off()
    for axis in axes.flat[max(len(wanted) - columns, 0) : len(wanted)]:
        axis.set_xlabel("environment steps of a seed")
    for axis in axes.flat[: len(wanted)]:
        axis.locator_params(axis="x", nbins=5)
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    legend(figure, axes)
    return figure


def _thinned(epochs: Sequence[Any], points: int) -> Sequence[Any]:
    """At most `points` of the epochs, at equal distances, with the last one."""
    step = -(-len(epochs) // points)
    return epochs[::-1][::step][::-1]


def _draw_training(
    axis: Any, key: str, epochs: Sequence[Mapping[str, Any]], name: str, look: dict[str, str]
) -> None:
    """One metric of a run: its mean over seeds, and each seed as a thin line."""
    known = [(one["env_steps"], np.atleast_1d(one[key])) for one in epochs if {key, "env_steps"} <= {*one}]
    if known:
        steps, values = zip(*known, strict=True)
        _draw_seeds(axis, steps, np.transpose(values), look)
        axis.plot(steps, np.mean(values, axis=1), label=name, **marked(len(steps)), **look)


def _draw_seeds(axis: Any, steps: Any, of_seeds: Any, look: dict[str, str]) -> None:
    """Curves [seed, step] as thin lines; nothing of a single seed."""
    for curve in of_seeds if len(of_seeds) > 1 else ():
        axis.plot(steps, curve, **thin(look))


def _draw_curves(
    axis: Any,
    measure: str,
    evaluated: Sequence[tuple[str, Mapping[str, Any]]],
    of_arms: Mapping[str, dict[str, str]],
) -> None:
    """One measure of several runs, with its intervals, and its reference lines."""
    for name, document in evaluated:
        line, steps = document[measure], episodes_so_far(document)
        axis.plot(steps, line[MIDDLE[measure]], label=name, **marked(len(steps)), **of_arms[name])
        axis.fill_between(steps, line["low"], line["high"], alpha=0.2, color=of_arms[name]["color"], lw=0)
        if document["per_task"]:
            of_seeds = interquartile_mean if measure == "return" else np.mean
            _draw_seeds(axis, steps, of_seeds(np.array(document["per_task"][measure]), (1,)), of_arms[name])
    _draw_lines(axis, measure, [document for _, document in evaluated])
    if measure != "return":
        axis.set_ylim(-0.03, 1.03)
    axis.xaxis.get_major_locator().set_params(integer=True)


def _draw_lines(axis: Any, measure: str, documents: Sequence[Mapping[str, Any]]) -> None:
    """Draw the reference lines of one measure that all documents share, with their names and values."""
    lines = {"flat": ":", "feasible": "--"} if measure == "return" else {f"flat_{measure}": ":"}
    for level, style in lines.items():
        value, *others = {document[level] for document in documents}
        if value is not None and not others and (measure == "return" or value):
            name = level.partition("_")[0]
            axis.axhline(value, color=LINE, ls=style, lw=1, label=name)
            text = f"{name} {differences.plain(value)[0]}"
            place = {"transform": axis.get_yaxis_transform(), "ha": "right", "va": "bottom"}
            axis.text(0.99, value, text, color=LINE, fontsize="small", **place)
    if measure == "return":
        axis.margins(y=0.12)  # room for the name above the upper line


def paths(of_seeds: Any, of: str, upward: bool = False) -> Any:
    """Paths of skills or draws [seed, which, episode, T + 1, 2]: a panel for each seed.

    They are seen from above, or `upward` from the side.
    """
    figure, axes = grid(1, len(of_seeds), size=max(2.6, min(4.5, WIDTH / len(of_seeds))))
    for seed, per_one in enumerate(of_seeds):
        axis = axes[0][seed]
        for which, episodes in enumerate(per_one):
            colour = _colour(which, len(per_one))
            for episode in episodes:
                axis.plot(episode[:, 0], episode[:, 1], color=colour, lw=0.9, alpha=0.8)
            axis.plot(*episodes[:, -1].mean(axis=0), "o", color=colour, ms=5, label=str(which))
        axis.set_aspect("equal", adjustable="datalim")
        axis.set_xlabel("x in m")
        axis.set_ylabel(SECOND_AXIS[upward] if seed == 0 else "")
        axis.set_title(of if len(of_seeds) == 1 else f"{of} of seed {seed}")
    if len(of_seeds[0]) <= 20:
        legend(figure, axes[:, -1:], width=0.7)
    return figure


def paths_svg(of_seeds: Any, of: str, upward: bool = False) -> str:
    """Paths of skills or draws as an SVG."""
    return svg(paths, of_seeds, of, upward)


def _colour(index: int, count: int) -> Any:
    """The colour of a skill or draw; many of them have shades from dark to light."""
    from matplotlib import colormaps

    return PALETTE[index] if count <= len(PALETTE) else colormaps["viridis"](index / (count - 1))
