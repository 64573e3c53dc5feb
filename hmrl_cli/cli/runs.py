"""The command that lists runs."""

from __future__ import annotations

import datetime
import fnmatch
import typing
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hmrl_cli.cli.comparing import print_rows
from hmrl_cli.cli.options import Json, check_known
from hmrl_cli.cli.output import print_json, print_line
from hmrl_cli.storage import listing, reader
from hmrl_cli.storage.evaluations import parsed
from hmrl_cli.storage.naming import RUNS

ALWAYS = ("name", "state", "age", "epoch")
OPTIONAL = ("evaluated", "algorithm", "family", "seeds", "preset", "command")  # the most wanted first
STATES = (*typing.get_args(reader.State), "unknown", "unreadable")
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def runs(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Where to look.", show_default="runs")
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="STATE", help=f"Only runs that are {', '.join(STATES)}; repeatable."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", help="Only runs whose name or preset it matches, such as 'ant*'; repeatable."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List all runs in a folder, the youngest first.

    A run is "running" while a process trains it, and "killed" where that
    process is gone. The age counts from the creation of the run. An
    evaluation is "old" where the run has a newer checkpoint.
    """
    now = datetime.datetime.now(datetime.UTC)
    for one in state or ():
        check_known("--state", one, STATES, f"one of: {', '.join(STATES)}")
    place = folder or RUNS
    if not place.is_absolute():
        Path.cwd()  # an error where the current folder was removed
    # the default folder comes with the first run
    found = listing.runs(place, now) if folder or place.is_dir() else []
    found = [run for run in found if not state or run["state"] in state]
    found = [run for run in found if not only or any(_matches(run, pattern) for pattern in only)]
    if as_json:
        print_json({"folder": str(place), "runs": found})
    elif not found:
        print_line(f"no {'such ' if state or only else ''}runs in {place}")
    else:
        rows = [_row(run) for run in found]
        print_rows(rows, ALWAYS, OPTIONAL, "--json", broken=("evaluated",))
        for run in found:
            if run["problem"]:
                print_line(f"{run['name']}: {run['problem']}")


def _matches(run: dict[str, Any], pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(run[key] or "", pattern) for key in ("name", "preset"))


def _row(run: dict[str, Any]) -> dict[str, str]:
    """A run as a row of text cells.  Where there is little room, the last columns have it."""
    return {
        "name": run["name"],
        "state": run["state"],
        "age": age(run["age"]),
        "command": run["command"],
        "seeds": _seeds(run["seeds"]),
        "preset": run["preset"],
        "family": run["family"],
        "algorithm": run["algorithm"],
        "epoch": "" if run["epoch"] is None else f"{run['epoch']}/{run['epochs']}",
        "evaluated": _evaluated(run["evaluated"], run["outdated"]),
    }


def _evaluated(names: Sequence[str], outdated: Sequence[str]) -> str:
    """How often a run was evaluated on each kind of goals, such as "hidden 3, test, test 2 old".

    The names of the documents tell all settings, and would fill the screen.
    """
    counts = Counter(_split_of(name) + " old" * (name in outdated) for name in names)
    return ", ".join(_counted(kind, times) for kind, times in sorted(counts.items()))


def _split_of(name: str) -> str:
    told = parsed(name)
    return told[0] if told else name


def _counted(kind: str, times: int) -> str:
    split, old, _ = kind.partition(" old")
    return f"{split} {times}{old}" if times > 1 else kind


def age(seconds: float) -> str:
    """A time in its largest whole unit, such as "3 h"."""
    unit, size = next(((unit, size) for unit, size in UNITS if seconds >= size), ("s", 1))
    return f"{int(seconds // size)} {unit}"


def _seeds(seeds: Sequence[int]) -> str:
    """A seed, or the first and the last one."""
    return "-".join(str(seed) for seed in sorted({*seeds[:1], *seeds[-1:]}))
