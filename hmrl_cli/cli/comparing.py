"""Commands that lay evaluated runs side by side: compare and report."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hmrl_cli.cli import completion, tables
from hmrl_cli.cli.options import Evaluated, Json, RunDirs
from hmrl_cli.cli.output import (
    as_cell,
    print_caption,
    print_json,
    print_line,
    print_table,
    width_of,
)
from hmrl_cli.errors import ConfigError, printable
from hmrl_cli.report import differences, folder, formats
from hmrl_cli.runner import startup
from hmrl_cli.storage import outputs, reader

# columns of a terminal, the most wanted first
ALWAYS = ("run", "unfinished", "split", "return", "success", "reached")
OPTIONAL = (
    *("mean_success", "fraction", "seeds", "env_steps", "before"),
    *("flat", "feasible", "updates", "episodes", "tasks"),
)


WHAT = (
    "a return is an interquartile mean, other numbers are means, after the last update, "
    "but mean_success over all; in [] 95 % intervals"
)
MINUS = "; a difference is the mean of paired differences"


Group = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="A row for each value of this setting, such as algorithm.name: seeds of all runs in one.",
        autocompletion=completion.settings_of_runs,
    ),
]


def compare(
    run_dirs: RunDirs,
    group: Group = None,
    protocol: Evaluated = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the rows as CSV, with all digits.")] = False,
    as_latex: Annotated[
        bool, typer.Option("--latex", help="Print tabulars for LaTeX with booktabs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare evaluated runs, with intervals.

    The first run is also compared with each of the others. A difference is the
    mean of the first run minus that of another, after the last update. It is
    paired by task, and by seed where both runs stand on the same skills. Its
    95 % interval draws tasks and seeds anew. Each family has a table of its
    own, and several have a table of their means.
    """
    check_one_format({"--csv": as_csv, "--latex": as_latex, "--json": as_json})
    runs = _read(run_dirs)
    from hmrl_cli.report.comparison import compare

    result = compare(runs, group, protocol)
    if as_json:
        print_json(result)
    elif as_csv:
        print_text(formats.csv_text([_renamed(row, group) for row in result["rows"]]))
    elif as_latex:
        print_text("\n".join(_latex_text(*section) for section in sections(result, group)))
    else:
        print_caption(WHAT + (MINUS if result.get("differences") else ""), sys.stderr)
        for number, (text, rows) in enumerate(sections(result, group)):
            if number:
                print_line("")
            if text:
                print_caption(text, sys.stdout)
            print_rows(rows, (*list(rows[0])[:1], *ALWAYS), OPTIONAL, "--csv")
        if len({row.get("family") for row in result["rows"]}) > 1 and (note := _left_out(result)):
            print_line("")
            print_caption(note, sys.stdout)


def _left_out(result: Mapping[str, Any]) -> str:
    """A text on the rows that the mean over families leaves out; "" if it has all of them."""
    if not result["aggregate"]:
        return "no mean over families: no row is in all; name rows by --group KEY"
    averaged = {_what(row) for row in result["aggregate"]}
    missing = dict.fromkeys(_what(row) for row in result["rows"] if _what(row) not in averaged)
    text = "left out of the mean, because a family lacks them or their numbers of each task"
    return f"{text}: {', '.join(' '.join(what) for what in missing)}" if missing else ""


def _what(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """The key of a row; rows of different families with equal keys share one mean."""
    return row["run"], row["split"], row["reward"]


def _read(run_dirs: Sequence[Path]) -> list[reader.Info]:
    """The runs in some directories.

    Raises:
        ConfigError: a run is given twice.
        InputError: a directory is no run.
    """
    runs = [reader.read(run_directory, code=False) for run_directory in run_dirs]
    reader.check_different(run_dirs)  # the seeds of a run that is given twice would count twice
    return runs


def check_one_format(asked: Mapping[str, bool]) -> None:
    """Refuse several formats at once.

    Raises:
        ConfigError: two flags are given.
    """
    if len(flags := [flag for flag, is_asked in asked.items() if is_asked]) > 1:
        raise ConfigError(f"{' and '.join(flags)}: found together; must be one of them")


def print_text(text: str) -> None:
    """Print a text on stdout, line by line."""
    for line in text.splitlines():
        print_line(line)


def _latex_text(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [{key: as_cell(value) for key, value in row.items()} for row in rows]
    return formats.latex(title, cells, (*list(rows[0])[:1], *ALWAYS))


def sections(result: Mapping[str, Any], group: str | None) -> list[tuple[str, list[dict[str, Any]]]]:
    """Title and rows of every table: of each family its rows and differences, and the means over families."""
    found = []
    families = list(dict.fromkeys(row.get("family") for row in result["rows"]))
    for family in families:
        named = f"family {family}" if len(families) > 1 else ""
        of_family = [row for row in result["rows"] if row.get("family") == family]
        rows = [_renamed({k: v for k, v in row.items() if k != "family"}, group) for row in of_family]
        found.append((named, differences.without_nothing(rows)))
        minus = [one for one in result.get("differences", ()) if one.get("family") == family]
        if minus:
            title = f"{named}: differences" if named else ""
            found.append((title, [differences.difference_cells(one) for one in minus]))
    if means := result.get("aggregate"):
        rows = [_renamed(differences.aggregate_cells(row), group) for row in means]
        found.append((f"mean over {len(families)} families", differences.without_nothing(rows)))
    return found


def _renamed(row: Mapping[str, Any], group: str | None) -> dict[str, Any]:
    """A row whose first column is named after the setting that the runs are grouped by."""
    return {group if group and key == "run" else key: value for key, value in row.items()}


def print_rows(
    rows: Sequence[Mapping[str, Any]],
    always: Sequence[str],
    optional: Sequence[str],
    elsewhere: str,
    broken: Sequence[str] = (),
) -> None:
    """Print rows.  A terminal gets the columns that fit, and a line with the columns of one value.

    Args:
        rows: of equal keys; names in the first column may be broken after a "/".
        always, optional, broken: see `tables.chosen`; with the last, names may have lines of their own.
        elsewhere: the option that shows all columns.
    """
    columns = list(rows[0])
    cells = [{column: printable(as_cell(row[column])) for column in columns} for row in rows]
    width, caption = width_of(sys.stdout), []
    if width is not None:
        columns, constant, left_out = tables.chosen(cells, always, optional, width, broken)
        if left_out and broken:
            beside = [{**row, columns[0]: ""} for row in cells]
            columns, constant, left_out = tables.chosen(beside, always, optional, width, broken)
        same = [f"{column} {cells[0][column]}" for column in constant if cells[0][column]]
        caption += [f"in every row: {', '.join(same)}"] if same else []
        caption += [f"in a wider terminal, or with {elsewhere}: {', '.join(left_out)}"] if left_out else []
        cells = [{column: row[column] for column in columns} for row in cells]
        cells = tables.names_in_parts(cells, columns[0], width)
    print_table(columns, [[row[column] for column in columns] for row in cells])
    for text in caption:
        print_caption(text, sys.stdout)


def report(
    run_dirs: RunDirs,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            metavar="FILE.html",
            help="The page.",
            show_default="report.html in the only run, or here",
        ),
    ] = None,
    protocol: Evaluated = None,
    group: Group = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write the figures as SVG and PDF, and the numbers as CSV, to this folder.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one HTML page on evaluated runs.

    To a name that ends in .svg, it writes their adaptation curves alone.
    The page is self-contained; stdout is its path.
    """
    runs = _read(run_dirs)
    if out is None:
        out = run_dirs[0] / "report.html" if len(run_dirs) == 1 else Path("report.html")
    if figures is not None and out.suffix == ".svg":
        raise ConfigError(f"--figures: found together with -o {out.name}; must be with a page, FILE.html")
    outputs.check_page(out, "report")
    if figures is not None:
        folder.check(figures)
    startup.prepare()
    from hmrl_cli.report import page as pages

    path = str(pages.write(runs, out, protocol, group, figures))
    if as_json:
        print_json({"report": path} | ({} if figures is None else {"figures": str(figures)}))
    else:
        print_line(path)
