"""Commands on suites: plan, run and table."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hmrl_cli.cli import options, progress
from hmrl_cli.cli.comparing import check_one_format, print_rows, print_text
from hmrl_cli.cli.options import Json
from hmrl_cli.cli.output import as_cell, print_caption, print_json, print_line
from hmrl_cli.report import formats
from hmrl_cli.runner import signals, startup
from hmrl_cli.storage import outputs
from hmrl_cli.storage.naming import RUNS
from hmrl_cli.suite import cells as cells_of
from hmrl_cli.suite import declaration, execution, slurm
from hmrl_cli.suite.cells import Cell
from hmrl_cli.suite.declaration import Declaration
from hmrl_cli.suite.states import State, check_places, states

app = typer.Typer(cls=options.Commands, help="Run arms x families x seeds that one file declares.")

File = Annotated[Path, typer.Argument(metavar="FILE.toml", help="The file of the suite.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="Folder of the suite.", show_default="runs/NAME"),
]

Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="PATTERN",
        help="Only cells whose names match, as in '*/point/*', and those that they need; repeatable.",
        show_default="all",
    ),
]


@app.command("plan", cls=options.Command)
def plan(file: File, out: Out = None, only: Only = None, as_json: Json = False) -> None:
    """Print every command of a suite and how far it is; run nothing.

    What is printed is a shell script. A comment above each command says
    whether it is done, partly done or missing.
    """
    suite, cells, folder = _read(file, out, only)
    found = states(cells, folder)
    if as_json:
        rows = [_document(cell, found[cell.name]) for cell in cells]
        print_json({"suite": suite.name, "folder": str(folder), "cells": rows})
        return
    place = shlex.quote(str(folder))
    print_line(f"# suite {suite.name}: {_counts(found)}")
    print_line(f"mkdir -p {place} && cd {place} || exit")
    for cell in cells:
        state = found[cell.name]
        problem = f": {state.problem}" if state.problem else ""
        print_line(f"# {state.state}  {cell.name}{problem}")
        print_line(shlex.join(["hmrl", *cell.arguments]))


@app.command("run", cls=options.Command)
def run(
    file: File,
    out: Out = None,
    only: Only = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Commands at a time.")] = 1,
    by_slurm: Annotated[
        bool, typer.Option("--slurm", help="Write batch scripts, and submit them where there is sbatch.")
    ] = False,
) -> None:
    """Run what is not done of a suite, by a Makefile in its folder.

    Started again after any interruption, it goes on where it stopped. The
    last line on stdout is the folder.
    """
    suite, cells, folder = _read(file, out, only)
    slurm.check_no_jobs(folder)
    if by_slurm:
        _submit(suite, cells, folder)
    else:
        with signals.stop_signals() as stop:
            execution.run(cells, folder, jobs, _note, stop)
        _note(_counts(states(cells, folder)))
    print_line(str(folder))


def _submit(suite: Declaration, cells: list[Cell], folder: Path) -> None:
    """Write the batch scripts, and submit them where that can be done."""
    with execution.alone(folder, _note):
        found = states(cells, folder)
        check_places(found, folder)
        if all(state.state == "done" for state in found.values()):
            _note(_counts(found))
            return
        script = slurm.write(suite.name, cells, found, folder, suite.slurm)
    if shutil.which("sbatch"):
        slurm.submit(script)
    else:
        _note(f"there is no sbatch here; to submit: sh {script}")


@app.command("table", cls=options.Command)
def table(
    file: File,
    out: Out = None,
    only: Only = None,
    measure: Annotated[
        str, typer.Option(metavar="NAME", help="success, mean_success, reached, return or fraction.")
    ] = "success",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every number, with all digits.")] = False,
    as_latex: Annotated[
        bool, typer.Option("--latex", help="Print a tabular for LaTeX with booktabs.")
    ] = False,
    as_json: Json = False,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Also write a page as hmrl report does.")
    ] = None,
) -> None:
    """Print one table of results.

    It has a row for each arm and a column for each family. A cell is the mean
    over seeds and tasks after the last update, with its 95 % interval. The
    seeds of all runs of an arm are in one row. The rows of a search are
    sorted, the best first.
    """
    check_one_format({"--csv": as_csv, "--latex": as_latex, "--json": as_json})
    suite, cells, folder = _read(file, out, only)
    from hmrl_cli.suite import table as tables

    options.check_known("--measure", measure, tables.MEASURES, f"one of: {', '.join(tables.MEASURES)}")
    found = states(cells, folder)
    arms = tables.evaluated(cells, found, folder)
    if page is not None:
        outputs.check_page(page, "report")
    result = tables.results(arms)
    rows = tables.matrix(result, list(suite.families), measure, suite.searches)
    if as_json:
        print_json(result)
    elif as_csv:
        named = [{"arm" if key == "run" else key: x for key, x in row.items()} for row in result["rows"]]
        print_text(formats.csv_text(named))
    elif as_latex:
        cells_text = [{key: as_cell(value) for key, value in row.items()} for row in rows]
        print_text(formats.latex(f"{suite.name}: {measure}", cells_text, ("arm", *suite.families)))
    else:
        print_caption(f"{suite.name}: {measure}, with 95 % intervals", sys.stdout)
        print_rows(rows, ("arm", *suite.families, "mean"), ("split", "reward"), "--csv")
    if left := [name for name, state in found.items() if state.state != "done"]:
        place = f" --out {shlex.quote(str(out))}" if out else ""
        _note(f"{len(left)} of {len(cells)} cells are not done; see: hmrl suite plan {file}{place}")
    if page is not None:
        startup.prepare()
        from hmrl_cli.report import page as pages

        pages.write_arms(arms, page, of_suite=True)
        _note(f"page: {page}")


def _read(file: Path, out: Path | None, only: list[str] | None) -> tuple[Declaration, list[Cell], Path]:
    """A suite, its cells (only those that match `only`, if given), and its folder."""
    suite = declaration.read(file)
    cells = cells_of.cells(suite)
    return suite, cells_of.chosen(cells, only) if only else cells, out or RUNS / suite.name


def _note(text: str) -> None:
    progress.Quiet(sys.stderr).note(text)


def _counts(found: Mapping[str, State]) -> str:
    """The number of cells in each state, such as "12 cells: 8 done, 4 missing"."""
    counts = Counter(state.state for state in found.values())
    return f"{len(found)} cells: {', '.join(f'{count} {state}' for state, count in counts.items())}"


def _document(cell: Cell, state: State) -> dict[str, Any]:
    """A cell as a JSON object."""
    plain = {key: value for key, value in cell._asdict().items() if key not in ("experiment", "arguments")}
    return plain | {
        "command": ["hmrl", *cell.arguments],
        "state": state.state,
        "problem": state.problem or None,
    }
