"""Figures of the studies: curves, intervals and paths, as small SVG files."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmrl_cli.lazy import np
from hmrl_cli.report.drawing import PALETTE, STYLES

# One arm has one colour in every study.  A label has the colour of the longest name that it begins with.
# The colours of meta-learners are those of Okabe and Ito, the others those of Tol's muted scheme: both are
# made for the colour-blind.
ARMS = {
    "HMRL": "#0072b2",
    "MAESN": "#d55e00",
    "MAML": "#009e73",
    "MAML over skills": "#e69f00",
    "skills, no meta-training": "#cc79a7",
    "learned prior alone": "#ddaa33",
    "LatentSpace": "#56b4e9",
    "RL^2": "#661100",
    "PEARL": "#6699cc",
    "PPO": "#000000",
    "PPO with icm": "#882255",
    "PPO with rnd": "#999999",
    "PPO with counts": "#999933",
    "PPO with information_gain": "#332288",
    "PPO from the best skill": "#aa4499",
    "PPO through the skills": "#117733",
    "published": "#555555",
}
# Settings of one arm are never in a figure with other arms, and share their colours.
SETTINGS = {
    "not meta-trained": "#000000",
    "least squares": "#999933",
    "ridge": "#332288",
    "trust_region": "#332288",
    "clipped": "#882255",
    "ten products": "#332288",
    "five products": "#44aa99",
    "ProMP": "#882255",
    "SAC": "#e69f00",
    "SAC, hindsight": "#332288",
    "default": "#000000",
    "entropy 0": "#e69f00",
    "entropy 0.1": "#882255",
    "sampled skills": "#44aa99",
    "noise 1": "#332288",
    "noise 3": "#999933",
    "1 trained, fixed": "#000000",
    "1 trained, halved": "#e69f00",
    "1 trained, by the mean reward": "#882255",
    "3 trained, fixed": "#999933",
    "3 trained, learned": "#44aa99",
    "3 trained, learned, by the mean reward": "#332288",
}
COLOURS = ARMS | SETTINGS
EPISODES = 4  # whose paths are drawn
MANY = 50  # points; of longer curves every fifth is drawn
LEVELS = (":", "--")


class Line(NamedTuple):
    """A curve, with the band between `low` and `high`."""

    label: str
    x: Any  # [n]
    y: Any  # [n]
    low: Any = None  # [n]
    high: Any = None  # [n]


class Panel(NamedTuple):
    """Curves in one frame; `levels` are named horizontal lines."""

    title: str
    lines: Sequence[Line]
    levels: Mapping[str, float] = {}


def colour_of(label: str) -> str:
    """The colour of the longest name that a label begins with."""
    return COLOURS[max((name for name in COLOURS if label.startswith(name)), key=len)]


def curves(
    file: Path,
    panels: Sequence[Panel],
    x: str,
    y: str,
    columns: int = 3,
    ticks: Sequence[float] = (),
    log_x: bool = False,
) -> None:
    """Panels side by side, with one scale and one legend for all of them.

    Ticks are those of a logarithmic scale of negative numbers, from the least to the greatest.  With `log_x`
    the other scale is logarithmic, for arms of very different length.
    """
    figure, axes = _figure(len(panels), columns, sharey=True)
    styles = _styles([line.label for panel in panels for line in panel.lines])
    for axis, panel in zip(axes, panels, strict=False):
        for line in panel.lines:
            _draw(axis, line, styles[line.label])
        for style, (name, level) in zip(LEVELS, panel.levels.items(), strict=False):
            axis.axhline(level, color=ARMS["published"], lw=1, ls=style, label=name)
        axis.set(title=panel.title, xlabel=x, ylabel=y if axis in axes[::columns] else "")
        if log_x:
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
        else:
            whole = all(float(one).is_integer() for one in panel.lines[0].x)
            axis.xaxis.get_major_locator().set_params(integer=whole, nbins=6)
        if ticks:
            axis.set_yscale("symlog", linthresh=-ticks[-1])
            axis.set(yticks=ticks, yticklabels=[f"{tick:g}" for tick in ticks], ylim=(ticks[0], ticks[-1]))
        else:
            axis.yaxis.get_major_locator().set_params(steps=(1, 2, 5, 10), nbins=7)
    _legend(figure, axes)
    _save(figure, file)


def _styles(labels: Sequence[str]) -> dict[str, str]:
    """Lines of one colour have a style each."""
    used: dict[str, list[str]] = {}
    for label in dict.fromkeys(labels):
        used.setdefault(colour_of(label), []).append(label)
    return {label: STYLES[number] for same in used.values() for number, label in enumerate(same)}


def _draw(axis: Any, line: Line, style: str) -> None:
    kept = np.arange(len(line.x)) if len(line.x) <= MANY else np.r_[0 : len(line.x) - 1 : 5, len(line.x) - 1]
    x, y = np.asarray(line.x)[kept], np.asarray(line.y)[kept]
    colour = colour_of(line.label)
    axis.plot(x, y, color=colour, ls=style, lw=1.4, label=line.label)
    if line.low is not None:
        low, high = np.asarray(line.low)[kept], np.asarray(line.high)[kept]
        axis.fill_between(x, low, high, color=colour, alpha=0.1, lw=0)


def intervals(file: Path, panels: Mapping[str, Mapping[str, Any]], x: str, columns: int = 2) -> None:
    """TITLE -> LABEL -> (middle, low, high), shares: a row for each label, the same ones in every panel."""
    labels = list(next(iter(panels.values())))
    figure, axes = _figure(len(panels), columns, width=4.2, height=0.9 + 0.24 * len(labels), sharey=True)
    for axis, (title, rows) in zip(axes, panels.items(), strict=False):
        for row, (label, (middle, low, high)) in enumerate(rows.items()):
            axis.plot([low, high], [row, row], color=colour_of(label), lw=2)
            axis.plot([middle], [row], "o", color=colour_of(label), ms=5)
        axis.set(title=title, xlabel=x, xlim=(-0.02, 1.02), yticks=range(len(labels)))
        axis.set(yticklabels=labels, ylim=(len(labels) - 0.5, -0.5))
        axis.grid(axis="x", lw=0.4)
    _save(figure, file)


def paths(file: Path, arrays: Mapping[str, Any], arm: str, of: str, seeds: int = 3) -> None:
    """Paths of four episodes from above, a panel for each seed and a colour for each skill or draw."""
    points, owners = arrays[f"{arm}/paths/points"], arrays[f"{arm}/paths/seed_and_which"].astype(int)
    seeds = min(seeds, owners[:, 0].max() + 1)
    shown = points[owners[:, 0] < seeds]
    low, high = np.nanmin(shown, axis=(0, 1)) - 0.2, np.nanmax(shown, axis=(0, 1)) + 0.2  # (x, y) each
    across, up = high - low
    figure, axes = _figure(seeds, seeds, height=2.9 * up / across + 0.7)
    for seed, axis in enumerate(axes):
        for which in range(owners[:, 1].max() + 1):
            mine = points[(owners == (seed, which)).all(axis=1)][:EPISODES]
            gap = np.full((len(mine), 1, 2), np.nan)
            x, y = np.concatenate([mine, gap], axis=1).reshape(-1, 2).T
            axis.plot(x, y, color=PALETTE[which], lw=0.7, label=f"{of} {which}")
        axis.set(title=f"seed {seed}", xlabel="x, m", ylabel="y, m" if seed == 0 else "")
        axis.set(aspect="equal", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    _legend(figure, axes)
    _save(figure, file)


def _figure(
    panels: int, columns: int, height: float = 2.4, width: float = 3.2, **shared: bool
) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure  # without pyplot: no state, no display

    columns = min(panels, columns)
    rows = -(-panels // columns)
    figure = Figure(figsize=(max(width * columns, 5), height * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for axis in axes[panels:]:
        axis.set_axis_off()
    return figure, axes


def _legend(figure: Any, axes: Sequence[Any]) -> None:
    """One entry for each label, below all panels."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    longest = max(map(len, handles))
    rows = -(-len(handles) // max(1, int(figure.get_figwidth() * 12 / (longest + 8))))
    figure.set_figheight(figure.get_figheight() + 0.18 * rows)
    legend = figure.legend(
        handles.values(),
        handles,
        loc="outside lower center",
        ncols=-(-len(handles) // rows),
        fontsize="small",
        frameon=False,
    )
    for line in legend.get_lines():
        line.set_linewidth(1.4)


def _save(figure: Any, file: Path) -> None:
    """Write a figure as SVG with coordinates of one decimal; equal figures give equal bytes."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    settings = {"svg.hashsalt": "hmrl", "svg.fonttype": "none", "path.simplify": True}
    with rc_context(settings):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = re.sub(r' (d|x|y|width|height|transform|viewBox)="[^"]*"', _rounded, text[text.index("<svg") :])
    file.write_text(re.sub(r"\s*\n\s*", "\n", text))


def _rounded(attribute: re.Match[str]) -> str:
    """Numbers with one decimal."""
    return re.sub(
        r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".replace("-0.0", "0.0"), attribute[0]
    )
