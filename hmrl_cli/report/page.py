"""Comparisons across runs, and pages to look at: tables, curves and paths of skills."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.errors import ConfigError, printable
from hmrl_cli.reading import read_bytes
from hmrl_cli.report.comparison import compare, evaluations, none_there
from hmrl_cli.report.differences import difference_cells, without_nothing
from hmrl_cli.report.figures import curves_svg
from hmrl_cli.storage import files

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .25rem .75rem; text-align: right }
th { border-bottom: 1px solid #999 } td:first-child, th:first-child { text-align: left }
figure { margin: 1.5rem 0 } svg { max-width: 100%; height: auto }
"""


def write(run_paths: Sequence[Path], out: Path, protocol: str | None = None) -> Path:
    """One page without scripts and without links to elsewhere: table, adaptation curves, paths of skills.

    Args:
        run_paths: the run directories.
        out: the file; a name that ends in `.svg` gets the adaptation curves alone.
        protocol: which evaluations; None: those by the runs' own settings.

    Raises:
        ConfigError: the name ends in something else.
        InputError: none of the runs has anything to show.
    """
    if out.suffix not in (".html", ".svg"):
        raise ConfigError(f"-o: found {out.name!r}; must end in .html, or in .svg for the adaptation curves")
    evaluated = [path for path in run_paths if evaluations(path, protocol)]
    if out.suffix == ".svg":
        files.write_text(out, curves_svg(evaluated or run_paths, protocol))
        return out
    pictures = [path / "skills.svg" for path in run_paths if (path / "skills.svg").is_file()]
    if not evaluated and not pictures:
        raise none_there(run_paths[0], protocol)
    parts = []
    if evaluated:
        curves = curves_svg(evaluated, protocol)
        parts += [_html_tables(compare(evaluated, protocol)), f"<figure>{curves}</figure>"]
    parts += [
        f"<figure>{_picture(file)}<figcaption>skills of "
        f"<code>{html.escape(file.parent.resolve().name)}</code></figcaption></figure>"
        for file in pictures
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>hmrl report</title><style>{STYLE}</style><h1>hmrl report</h1>{''.join(parts)}</html>\n"
    )
    files.write_text(out, page)
    return out


def _picture(file: Path) -> str:
    return read_bytes(file).decode(errors="replace")


def _html_tables(compared: dict[str, Any]) -> str:
    text = (
        f"{_html_table(without_nothing(compared['rows']))}"
        "<p>After the last update, over seeds and tasks, with 95 % intervals: interquartile mean of the "
        "return, mean of the rates; fraction: of the way from flat, which is doing nothing, to feasible, "
        "paired by task; env_steps: that it learned from.</p>"
    )
    if compared["differences"]:
        text += (
            f"{_html_table([difference_cells(one) for one in compared['differences']])}"
            "<p>Differences of means, paired by task, with 95 % intervals over tasks and seeds; seeds are "
            "paired where both runs stand on the same skills.</p>"
        )
    return text


def _html_table(rows: Sequence[dict[str, Any]]) -> str:
    def cells(tag: str, values: Any) -> str:
        return "".join(
            f"<{tag}>{html.escape('' if v is None else printable(str(v)))}</{tag}>" for v in values
        )

    body = "".join(f"<tr>{cells('td', row.values())}</tr>" for row in rows)
    return f"<table><tr>{cells('th', rows[0])}</tr>{body}</table>"
