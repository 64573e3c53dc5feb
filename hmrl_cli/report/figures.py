"""Curves and paths as SVG."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hmrl_cli.errors import ConfigError, one_line, printable
from hmrl_cli.evaluation.document import MEASURES, MIDDLE
from hmrl_cli.evaluation.statistics import interquartile_mean
from hmrl_cli.lazy import np
from hmrl_cli.report import differences
from hmrl_cli.report.arms import Arm, by_family, protocol_of

# Okabe and Ito's colours, which the colour-blind can tell apart, but for their yellow, which white hides.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#882255", "#665500")
STYLES = ("-", "--", ":", "-.")  # of further rounds of colours
LABELS = {"success": "success, share of episodes", "reached": "reached, share of episodes"}
LINE = "#6e6e6e"  # of flat and feasible
# metrics of training that are drawn first, of those that a run has
TRAINING = (
    *("return_after", "success_after", "reached_after", "return", "success", "reached", "found"),
    *("mutual_information", "accuracy", "arrivals", "intrinsic_reward", "loss"),
)
MAX_METRICS = 6
MAX_POINTS, MIN_POINTS = 60_000, 20  # of all lines of a figure of training, and of one line


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Draw by matplotlib's own settings, whatever backend, fonts and style the user has chosen.

    Raises:
        ConfigError: matplotlib cannot start, as where a matplotlibrc is no UTF-8.
    """
    backend = os.environ.pop("MPLBACKEND", "")  # matplotlib cannot be imported where that is not here
    is_new = "matplotlib" not in sys.modules
    try:
        import matplotlib
    except (ValueError, OSError, ImportError) as error:
        raise ConfigError(
            f"matplotlib cannot start: {one_line(error)[:200]}\n"
            "it looks at ./matplotlibrc, MATPLOTLIBRC, MPLCONFIGDIR and the home directory"
        ) from error
    finally:
        if backend:
            os.environ["MPLBACKEND"] = backend
    if is_new and backend:
        with contextlib.suppress(ValueError, ImportError):
            matplotlib.rcParams["backend"] = backend  # for figures of whoever imported this package
    own = {name: value for name, value in matplotlib.rcParamsDefault.items() if "backend" not in name}
    with matplotlib.rc_context(own | {"svg.hashsalt": "hmrl", "svg.fonttype": "path"}):
        yield


@own_style()
def curves_svg(arms: Sequence[Arm]) -> str:
    """Return, success and goals ever reached against updates, a column for every family, split and reward."""
    panels: dict[tuple[str, ...], list[tuple[str, Mapping[str, Any]]]] = {}
    for arm in arms:
        for document in arm.documents:
            panels.setdefault((arm.family, *protocol_of(document)), []).append((_plain(arm.name), document))
    figure, axes = _figure(len(MEASURES), len(panels))
    looks = _looks([arm.name for arm in arms])
    several = len(by_family(arms)) > 1
    for column, ((family, *protocol), shown) in enumerate(panels.items()):
        for axis, measure in zip(axes[:, column], MEASURES, strict=True):
            _draw_curves(axis, measure, shown, looks)
            axis.set_ylabel(LABELS.get(measure, measure) if column == 0 else "")
        title = _plain(" goals, ".join(protocol)) + " reward"
        axes[0][column].set_title(f"{_plain(family)}: {title}" if several else title)
        axes[-1][column].set_xlabel(_updates([document for _, document in shown]))
    _legend(figure, axes)
    return _svg(figure)


@own_style()
def training_svg(trained: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Metrics of training against environment steps, a panel for each metric, with a thin line for each seed.

    Args:
        trained: name of a run -> the metrics of its epochs.
    """
    known = dict.fromkeys(key for epochs in trained.values() for key in epochs[-1])
    wanted = [
        *(key for key in TRAINING if key in known),
        *sorted({*known} - {*TRAINING, "epoch", "env_steps"}),
    ]
    wanted = wanted[:MAX_METRICS]
    columns = min(3, len(wanted))
    figure, axes = _figure(-(-len(wanted) // columns), columns, size=2.6)
    looks = _looks(trained)
    lines = sum(np.size(epochs[-1].get(key, ())) for epochs in trained.values() for key in wanted)
    points = max(MAX_POINTS // max(lines, 1), MIN_POINTS)
    for axis, key in zip(axes.flat, wanted, strict=False):
        for name, epochs in trained.items():
            _draw_training(axis, key, _thinned(epochs, points), _plain(name), looks[_plain(name)])
        axis.set_title(_plain(key.replace("_", " ")), fontsize="medium")
    for axis in axes.flat[len(wanted) :]:
        axis.set_axis_off()
    for axis in axes.flat[max(len(wanted) - columns, 0) : len(wanted)]:
        axis.set_xlabel("environment steps of a seed", fontsize="small")
    _legend(figure, axes)
    return _svg(figure)


def _thinned(epochs: Sequence[Any], points: int) -> Sequence[Any]:
    """At most so many of the epochs, at equal distances, the last one among them."""
    step = -(-len(epochs) // points)
    return epochs[::-1][::step][::-1]


def _draw_training(
    axis: Any, key: str, epochs: Sequence[Mapping[str, Any]], name: str, look: Mapping[str, Any]
) -> None:
    """One metric of a run: its mean over seeds, and each seed as a thin line."""
    known = [(one["env_steps"], np.atleast_1d(one[key])) for one in epochs if {key, "env_steps"} <= {*one}]
    if known:
        steps, values = zip(*known, strict=True)
        _draw_seeds(axis, steps, np.transpose(values), look)
        marker = "o" if len(steps) == 1 else ""
        axis.plot(steps, np.mean(values, axis=1), label=name, marker=marker, ms=3, **look)


def _draw_seeds(axis: Any, steps: Any, curves: Any, look: Mapping[str, Any]) -> None:
    """Curves [seed, step] as thin lines; nothing of a single seed."""
    for curve in curves if len(curves) > 1 else ():
        axis.plot(steps, curve, lw=0.6, alpha=0.75, **look)


def _looks(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The look of every name, as it is drawn."""
    return {name: _look(number) for number, name in enumerate(dict.fromkeys(map(_plain, names)))}


def _look(number: int) -> dict[str, str]:
    """Of the line of a run, which is the same in every panel."""
    return {"color": PALETTE[number % len(PALETTE)], "ls": STYLES[number // len(PALETTE) % len(STYLES)]}


def _legend(figure: Any, axes: Any) -> None:
    """One entry for each label of any panel."""
    entries = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(entries.values(), entries, loc="outside lower left", ncols=2, fontsize="small")


def _plain(text: str) -> str:
    """Text that can be drawn, in which no dollar sign begins a formula."""
    return printable(text).replace("$", r"\$")


def _draw_curves(
    axis: Any,
    measure: str,
    evaluated: Sequence[tuple[str, Mapping[str, Any]]],
    looks: Mapping[str, Mapping[str, str]],
) -> None:
    """One measure of several runs, with its intervals, and its reference lines."""
    for name, document in evaluated:
        line, steps = document[measure], document["steps"]
        axis.plot(steps, line[MIDDLE[measure]], marker="o", ms=3, label=name, **looks[name])
        axis.fill_between(steps, line["low"], line["high"], alpha=0.2, color=looks[name]["color"])
        if document["per_task"]:
            of_seeds = interquartile_mean if measure == "return" else np.mean
            _draw_seeds(axis, steps, of_seeds(np.array(document["per_task"][measure]), (1,)), looks[name])
    lines = {"flat": ":", "feasible": "--"} if measure == "return" else {f"flat_{measure}": ":"}
    for level, style in lines.items():
        if (value := evaluated[0][1][level]) is not None and (measure == "return" or value):
            name = level.partition("_")[0]
            axis.axhline(value, color=LINE, ls=style, lw=1, label=name)
            text = f"{name} {differences.plain(value)[0]}"
            place = {"transform": axis.get_yaxis_transform(), "ha": "right", "va": "bottom"}
            axis.text(0.99, value, text, color=LINE, fontsize="x-small", **place)
    if measure != "return":
        axis.set_ylim(-0.03, 1.03)
    axis.xaxis.get_major_locator().set_params(integer=True)


def _updates(documents: Sequence[Mapping[str, Any]]) -> str:
    """What is counted along the curves of some evaluations, and its price where it is the same for all."""
    prices = {document["env_steps"][1] for document in documents if len(document["steps"]) > 1}
    price = prices.pop() if len(prices) == 1 else 0
    return f"updates, of {price:,} environment steps each" if price else "updates"


@own_style()
def paths_svg(paths: Any, of: str) -> str:
    """Paths of skills or draws [seed, which, episode, T + 1, 2] from above: a panel for each seed."""
    figure, axes = _figure(1, len(paths), size=4.5)
    for seed, per_one in enumerate(paths):
        axis = axes[0][seed]
        for which, episodes in enumerate(per_one):
            colour = _colour(which, len(per_one))
            for episode in episodes:
                axis.plot(episode[:, 0], episode[:, 1], color=colour, lw=0.9, alpha=0.8)
            axis.plot(*episodes[:, -1].mean(axis=0), "o", color=colour, ms=5, label=str(which))
        axis.set_aspect("equal", adjustable="datalim")
        axis.set_xlabel("x")
        axis.set_ylabel("y" if seed == 0 else "")
        axis.set_title(of if len(paths) == 1 else f"{of} of seed {seed}")
    if len(paths[0]) <= 20:
        axes[0][-1].legend(fontsize="x-small", ncols=1 + len(paths[0]) // 11)
    return _svg(figure)


def _colour(index: int, count: int) -> Any:
    """Of a skill or draw; many are shades from dark to light."""
    from matplotlib import colormaps

    return PALETTE[index] if count <= len(PALETTE) else colormaps["viridis"](index / (count - 1))


def _figure(rows: int, columns: int, size: float = 3.2) -> Any:
    from matplotlib.figure import Figure  # without pyplot: no state, no display

    figure = Figure(figsize=(max(1.35 * size * columns, 5), size * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _svg(figure: Any) -> str:
    """The figure as an SVG element; equal figures give equal bytes."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    return text[text.index("<svg") :]
