"""Results of a suite: for each arm the seeds of all its runs in one row, and a column for each family."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.errors import InputError
from hmrl_cli.report import arms, comparison, differences
from hmrl_cli.report.arms import Arm
from hmrl_cli.storage import document, reader
from hmrl_cli.storage.document import MIDDLE
from hmrl_cli.suite.cells import Cell
from hmrl_cli.suite.states import State

MEASURES = tuple(MIDDLE)


def evaluated(cells: Sequence[Cell], found: Mapping[str, State], folder: Path) -> list[Arm]:
    """The arms of a suite with the evaluations that are done, each with the seeds of all its runs.

    They come in the order of the suite, named by arm, point of a search, and way to adapt.

    Raises:
        InputError: no evaluation is done, or a file cannot be used.
    """
    groups: dict[tuple[str, str], dict[str, list[Cell]]] = {}  # name, family -> run -> evaluations
    evals = [cell for cell in cells if cell.kind == "eval"]
    if not evals:
        raise InputError(f"{folder}: the suite declares no evaluation; to have some, name splits in [eval]")
    order = list(dict.fromkeys(map(_name, evals)))
    for cell in sorted(evals, key=lambda cell: order.index(_name(cell))):
        if found[cell.name].state == "done":
            groups.setdefault((_name(cell), cell.family), {}).setdefault(cell.run, []).append(cell)
    if not groups:
        raise InputError(f"{folder}: holds no evaluation of the suite yet; first: hmrl suite run")
    return [
        arms.pool(name, [_run(folder, of_run) for of_run in runs.values()])
        for (name, _), runs in groups.items()
    ]


def _name(cell: Cell) -> str:
    return ", ".join(filter(None, (cell.arm, cell.point, cell.way)))


def _run(folder: Path, of_run: Sequence[Cell]) -> Arm:
    """One run with its evaluations by one way to adapt."""
    run = reader.read(folder / of_run[0].run, code=False)
    return comparison.arm_of(run, [_document(folder / cell.result) for cell in of_run])


def _document(file: Path) -> dict[str, Any]:
    try:
        return document.read(file)
    except InputError as error:
        raise InputError(f"{error}\nto write it anew: remove it, and then hmrl suite run") from None


def results(found: Sequence[Arm]) -> dict[str, Any]:
    """The result of `compare` for the arms of a suite."""
    result = comparison.compared(found, of_suite=True)
    order = [arm.name for arm in found]  # also where the first family lacks an arm
    return result | {"rows": sorted(result["rows"], key=lambda row: order.index(row["run"]))}


def matrix(
    result: Mapping[str, Any], families: Sequence[str], measure: str, best_first: bool = False
) -> list[dict[str, Any]]:
    """Rows of cells: an arm on a split, and a column for each family.

    Args:
        result: of `results`.
        families: of the suite, in their order.
        measure: "success", "reached", "return" or "fraction".
        best_first: whether rows are sorted by their means over families, as those of a search.  Rows that
            lack a family come last, because families are not equally hard.
    """
    there = {row["family"] for row in result["rows"]}
    families = [family for family in families if family in there]
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    middles: dict[tuple[Any, ...], list[float]] = {}
    for row in result["rows"]:
        key = (row["run"], row["split"], row["reward"])
        empty = dict(zip(("arm", "split", "reward"), key, strict=True)) | dict.fromkeys(families)
        rows.setdefault(key, empty)[row["family"]] = row[measure]
        middles.setdefault(key, []).append((row["numbers"][measure] or {}).get(MIDDLE[measure], 0.0))
    means = {
        (one["run"], one["split"], one["reward"]): differences.shown(one[measure])
        for one in result["aggregate"]
        if one.get(measure)
    }
    found = [row | ({"mean": means.get(key)} if means else {}) for key, row in rows.items()]
    if best_first:
        most = max(map(len, middles.values()))

        def place(row: Mapping[str, Any]) -> tuple[bool, float]:
            of_families = middles[row["arm"], row["split"], row["reward"]]
            return len(of_families) < most, -statistics.mean(of_families)

        found.sort(key=place)
    return found
