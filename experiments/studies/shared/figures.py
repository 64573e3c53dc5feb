"""Figures of the studies: curves, intervals and paths, as small SVG files.

Every colour is of the palette of Okabe and Ito, which the colour-blind can tell apart.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmrl_cli.lazy import np

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442", "#999999")
EPISODES = 4  # whose paths are drawn
MANY = 50  # points; of longer curves every fifth is drawn
STYLES = ("-", "--", ":")  # a second round of colours is dashed


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


def curves(file: Path, panels: Sequence[Panel], x: str, y: str, columns: int = 3) -> None:
    """Panels side by side, with one legend for all of them."""
    figure, axes = _figure(len(panels), columns)
    labels = list(dict.fromkeys(line.label for panel in panels for line in panel.lines))
    for place, (axis, panel) in enumerate(zip(axes, panels, strict=False)):
        for line in panel.lines:
            _draw(axis, line, labels.index(line.label))
        for number, (name, level) in enumerate(panel.levels.items()):
            axis.axhline(level, color="#999999", lw=1, ls=(":", "--", "-.")[number], label=name)
        axis.set(title=panel.title, xlabel=x, ylabel=y if place % columns == 0 else "")
        axis.xaxis.get_major_locator().set_params(
            integer=all(float(one).is_integer() for one in panel.lines[0].x)
        )
    _legend(figure, axes)
    _save(figure, file)


def _draw(axis: Any, line: Line, number: int) -> None:
    kept = np.arange(len(line.x)) if len(line.x) <= MANY else np.r_[0 : len(line.x) - 1 : 5, len(line.x) - 1]
    x, y = np.asarray(line.x)[kept], np.asarray(line.y)[kept]
    colour = PALETTE[number % len(PALETTE)]
    axis.plot(x, y, color=colour, ls=STYLES[number // len(PALETTE)], lw=1.4, label=line.label)
    if line.low is not None:
        low, high = np.asarray(line.low)[kept], np.asarray(line.high)[kept]
        axis.fill_between(x, low, high, color=colour, alpha=0.1, lw=0)


def intervals(file: Path, panels: Mapping[str, Mapping[str, Any]], x: str, columns: int = 2) -> None:
    """TITLE -> LABEL -> (middle, low, high): a row for each label, the same ones in every panel."""
    figure, axes = _figure(
        len(panels), columns, width=4.2, height=0.9 + 0.24 * len(next(iter(panels.values())))
    )
    for axis, (title, rows) in zip(axes, panels.items(), strict=False):
        for row, (middle, low, high) in enumerate(rows.values()):
            colour = PALETTE[row % len(PALETTE)]
            axis.plot([low, high], [row, row], color=colour, lw=2)
            axis.plot([middle], [row], "o", color=colour, ms=5)
        axis.set_yticks(range(len(rows)), list(rows) if axis in axes[::columns] else [""] * len(rows))
        axis.set(title=title, xlabel=x, ylim=(len(rows) - 0.5, -0.5))
        axis.set_xlim(min(axis.get_xlim()[0], 0), max(axis.get_xlim()[1], 1))
        axis.grid(axis="x", lw=0.4)
    _save(figure, file)


def paths(file: Path, arrays: Mapping[str, Any], arm: str, of: str, seeds: int = 3) -> None:
    """Paths of four episodes from above, a panel for each seed and a colour for each skill or draw."""
    points, owners = arrays[f"{arm}/paths/points"], arrays[f"{arm}/paths/seed_and_which"].astype(int)
    seeds = min(seeds, owners[:, 0].max() + 1)
    figure, axes = _figure(seeds, seeds, height=3.0)
    for seed, axis in enumerate(axes):
        for which in range(owners[:, 1].max() + 1):
            mine = points[(owners == (seed, which)).all(axis=1)][:EPISODES]
            gap = np.full((len(mine), 1, 2), np.nan)
            x, y = np.concatenate([mine, gap], axis=1).reshape(-1, 2).T
            axis.plot(x, y, color=PALETTE[which % len(PALETTE)], lw=0.7, label=f"{of} {which}")
        axis.set(title=f"seed {seed}", xlabel="x, m", ylabel="y, m" if seed == 0 else "")
        axis.set_aspect("equal", adjustable="datalim")
    _legend(figure, axes)
    _save(figure, file)


def _figure(panels: int, columns: int, height: float = 2.4, width: float = 3.2) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure  # without pyplot: no state, no display

    columns = min(panels, columns)
    rows = -(-panels // columns)
    figure = Figure(figsize=(max(width * columns, 5), height * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
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
    columns = max(1, int(figure.get_figwidth() * 12 / (longest + 8)))
    figure.legend(
        handles.values(),
        handles,
        loc="outside lower center",
        ncols=min(columns, len(handles)),
        fontsize="small",
        frameon=False,
    )


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
