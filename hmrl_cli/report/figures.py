"""Curves and paths as SVG."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.errors import ConfigError, one_line, printable
from hmrl_cli.evaluation.document import MEASURES, MIDDLE
from hmrl_cli.report.comparison import compare, evaluations, named_runs, protocol_of

# Okabe and Ito's colours, which the colour-blind can tell apart, but for their yellow, which white hides.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#882255", "#665500")
STYLES = ("-", "--", ":", "-.")  # of further rounds of colours
LABELS = {"success": "success, share of episodes", "reached": "reached, share of episodes"}


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
def curves_svg(run_paths: Sequence[Path], protocol: str | None = None) -> str:
    """Return, success and goals ever reached against updates, a column for every split and reward."""
    compare(run_paths, protocol)  # only what can be compared goes into one picture
    panels: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for name, path in named_runs(run_paths):
        for document in evaluations(path, protocol):
            named = (_plain(name), document)
            panels.setdefault(protocol_of(document), []).append(named)
    figure, axes = _figure(len(MEASURES), len(panels))
    looks = {_plain(name): _look(number) for number, (name, _) in enumerate(named_runs(run_paths))}
    for column, (panel, shown) in enumerate(panels.items()):
        for axis, measure in zip(axes[:, column], MEASURES, strict=True):
            _draw_curves(axis, measure, shown, looks)
            axis.set_ylabel(LABELS.get(measure, measure) if column == 0 else "")
        axes[0][column].set_title(_plain(" goals, ".join(panel)) + " reward")
        axes[-1][column].set_xlabel(_updates([document for _, document in shown]))
    _legend(figure, axes)
    return _svg(figure)


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
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=2, fontsize="small")


def _plain(text: str) -> str:
    """Text that can be drawn, in which no dollar sign begins a formula."""
    return printable(text).replace("$", r"\$")


def _draw_curves(
    axis: Any,
    measure: str,
    evaluated: Sequence[tuple[str, dict[str, Any]]],
    looks: Mapping[str, Mapping[str, str]],
) -> None:
    """One measure of several runs, with its intervals, and its reference lines."""
    for name, document in evaluated:
        line, steps = document[measure], document["steps"]
        axis.plot(steps, line[MIDDLE[measure]], marker="o", ms=3, label=name, **looks[name])
        axis.fill_between(steps, line["low"], line["high"], alpha=0.2, color=looks[name]["color"])
    lines = {"flat": ":", "feasible": "--"} if measure == "return" else {f"flat_{measure}": ":"}
    for level, style in lines.items():
        if (value := evaluated[0][1][level]) is not None and (measure == "return" or value):
            axis.axhline(value, color="gray", ls=style, lw=1, label=level.partition("_")[0])
    if measure != "return":
        axis.set_ylim(-0.03, 1.03)
    axis.xaxis.get_major_locator().set_params(integer=True)


def _updates(documents: Sequence[dict[str, Any]]) -> str:
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
