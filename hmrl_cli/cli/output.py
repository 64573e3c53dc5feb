"""Printing of results: text, JSON, tables and progress."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from hmrl_cli import errors
from hmrl_cli.cli import progress, tables
from hmrl_cli.report.formats import finite
from hmrl_cli.runner import startup
from hmrl_cli.runner.progress import Progress

NOISE = 1e-12  # no result or setting is as small


def print_line(text: str) -> None:
    """Print a line on stdout."""
    print(errors.printable(text), flush=True)


def print_json(value: Any) -> None:
    """Print a JSON document on stdout, with null for a number that is not finite."""
    print(json.dumps(finite(value), indent=2, allow_nan=False), flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout."""
    write_table(columns, rows, stream=sys.stdout)


def write_table(columns: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO) -> None:
    """Print a table, at most as wide as the terminal.  Cells are wrapped and never cut."""
    cells = [[errors.printable(cell) for cell in row] for row in (columns, *rows)]
    width = width_of(stream)
    header, *blocks = tables.fitted(cells, width)
    if width is None:
        _print_lines(header, stream)
    else:
        _print_header(header, stream)
    for block in blocks:
        _print_lines(block, stream)


def _print_header(lines: Sequence[str], stream: TextIO) -> None:
    """Print the headers of a table on a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream)
    with _unless_lost(stream):
        for line in lines:
            console.print(Text(line, style="bold"), soft_wrap=True)


def print_caption(text: str, stream: TextIO) -> None:
    """Print a text above a table, wrapped to the width of the terminal."""
    for line in text.split("\n") if text else ():
        _print_lines(tables.wrapped(errors.printable(line), width_of(stream)), stream)


def _print_lines(lines: Sequence[str], stream: TextIO) -> None:
    with _unless_lost(stream):
        for line in lines:
            print(line, file=stream, flush=True)


def _unless_lost(stream: TextIO) -> contextlib.AbstractContextManager[None]:
    """Ignore write errors on stderr, whose output may be lost; the result on stdout must not be lost."""
    return contextlib.suppress(*(() if stream is sys.stdout else (OSError, ValueError)))


def width_of(stream: TextIO) -> int | None:
    """The width of a terminal in characters; None where the stream is no terminal."""
    if not stream.isatty():
        return None
    from rich.console import Console

    return Console(file=stream).width


def as_cell(value: Any) -> str:
    """A cell: numbers to four digits, 0 for what is left of a sum by rounding, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return "0" if abs(value) < NOISE else f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {as_cell(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_cell, value))}]"
    return str(value)


@contextlib.contextmanager
def progress_on_stderr(quiet: bool, verbose: bool) -> Iterator[Progress]:
    """Show progress on stderr, and redirect what libraries print on stdout to stderr."""
    shows = progress.make(sys.stderr, quiet=quiet, verbose=verbose)
    try:
        # whatever a library prints, stdout is the result's
        with contextlib.redirect_stdout(sys.stderr), startup.cache_warnings(shows.note):
            yield shows
    finally:
        shows.close()


def prepare(shows: Progress, join: Callable[[], None] | None = None) -> None:
    """Start jax, keep its programs, and note a problem with its cache; `join` as in `startup.start`.

    Raises:
        ConfigError: jax cannot start.
    """
    from hmrl_cli.runner import programs

    warning = startup.start(join)
    programs.keep()
    if warning:
        shows.note(warning)
