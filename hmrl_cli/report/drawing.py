"""What figures share: style, looks of arms, legends, and their output as SVG and PDF."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hmrl_cli.errors import ConfigError, one_line, printable

# Okabe and Ito's colours, which the colour-blind can tell apart, but for their yellow, which white hides.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#882255", "#665500")
STYLES = ("-", "--", ":", "-.")  # of further rounds of colours
MARKERS = "osD^vPX<>"  # beside the colours, for whoever sees none
LINE = "#6e6e6e"  # of reference lines
SECOND_AXIS = ("y in m", "z in m")  # of places from above, and from the side
WIDTH = 12.0  # inches, as wide as a page: letters of all figures have one size
MARKED = 12  # markers of a line, at most about so many


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Draw by matplotlib's own settings, whatever backend, fonts and style the user has chosen.

    Raises:
        ConfigError: matplotlib cannot start, as where a matplotlibrc is no UTF-8.
    """
    backend = os.environ.pop("MPLBACKEND", "")  # matplotlib cannot be imported if this backend is missing
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
    own: dict[Any, Any] = {
        name: value for name, value in matplotlib.rcParamsDefault.items() if "backend" not in name
    }
    with matplotlib.rc_context(own | {"svg.hashsalt": "hmrl", "svg.fonttype": "path", "pdf.fonttype": 42}):
        yield


@own_style()
def svg(draw: Callable[..., Any], *data: Any) -> str:
    """The figure that `draw` makes of the data, as an SVG element; equal figures give equal bytes."""
    buffer = io.StringIO()
    draw(*data).savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    return text[text.index("<svg") :]


@own_style()
def pdf(draw: Callable[..., Any], *data: Any) -> bytes:
    """The figure that `draw` makes of the data, as a PDF; equal figures give equal bytes."""
    buffer = io.BytesIO()
    draw(*data).savefig(buffer, format="pdf", metadata=dict.fromkeys(("Creator", "Producer", "CreationDate")))
    return buffer.getvalue()


def short(text: str) -> str:
    """An SVG whose paths have two decimals of a point, which no eye tells from six."""
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)


def grid(rows: int, columns: int, size: float = 3.2) -> Any:
    """A figure of panels, each `size` inches high, and its axes [rows, columns]."""
    from matplotlib.figure import Figure  # without pyplot: no state, no display

    width = min(max(1.35 * size * columns, 5), max(WIDTH, 2.6 * columns))
    figure = Figure(figsize=(width, size * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def looks(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The look of every name, as it is drawn: colour, style and marker, the same in every figure."""
    return {name: _look(number) for number, name in enumerate(dict.fromkeys(map(plain, names)))}


def _look(number: int) -> dict[str, str]:
    return {
        "color": PALETTE[number % len(PALETTE)],
        "ls": STYLES[number // len(PALETTE) % len(STYLES)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def thin(look: dict[str, str]) -> dict[str, Any]:
    """The look of a single seed of an arm."""
    return {**look, "marker": "", "lw": 0.6, "alpha": 0.75}


def marked(number: int) -> dict[str, Any]:
    """How a line of so many points carries its markers."""
    return {"ms": 4, "markevery": max(1, -(-number // MARKED))}


def legend(figure: Any, axes: Any, last: Iterable[str] = (), width: float = 1.6) -> None:
    """One entry for each label of any panel, those of `last` at the end, below the panels.

    An entry is about `width` inches wide.
    """
    entries = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    ordered = sorted(entries, key=lambda label: label in (*last,))
    handles = [entries[label] for label in ordered]
    columns = max(2, min(len(ordered), int(figure.get_figwidth() / width)))
    figure.legend(handles, ordered, loc="outside lower left", ncols=columns, fontsize="small", frameon=False)


def wrapped(text: str, width: int = 26) -> str:
    """Plain text in lines, for names that would leave a figure no room."""
    return "\n".join(textwrap.wrap(plain(text), width, break_long_words=False, break_on_hyphens=False))


def plain(text: str) -> str:
    """Text that can be drawn, in which no dollar sign begins a formula."""
    return printable(text).replace("$", r"\$")
