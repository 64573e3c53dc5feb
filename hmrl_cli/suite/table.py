"""Results of a suite: for each arm the seeds of all its runs in one row, and a column for each family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.errors import InputError
from hmrl_cli.evaluation.document import MIDDLE
from hmrl_cli.report import arms, comparison, differences
from hmrl_cli.report.arms import Arm
from hmrl_cli.storage import reader
from hmrl_cli.storage.evaluations import way_of
from hmrl_cli.suite.cells import Cell
from hmrl_cli.suite.states import State

MEASURES = tuple(MIDDLE)
# arms may divide the same number of episodes into other numbers of updates
ALIKE = {key: text for key, text in comparison.BUDGET.items() if key not in ("steps", "episodes")}


def evaluated(cells: Sequence[Cell], found: Mapping[str, State], folder: Path) -> list[Arm]:
    """The arms of a suite with the evaluations that are done, each with the seeds of all its runs.

    Raises:
        InputError: no evaluation is done, or a file cannot be used.
    """
    groups: dict[tuple[str, ...], dict[str, list[Cell]]] = {}
    for cell in cells:
        if cell.kind == "eval" and found[cell.name].state == "done":
            runs = groups.setdefault((cell.family, cell.arm, cell.point, cell.way), {})
            runs.setdefault(cell.run, []).append(cell)
    if not groups:
        raise InputError(f"{folder}: holds no evaluation of the suite yet; first: hmrl suite run")
    named = {key: ", ".join(filter(None, key[1:])) for key in groups}
    return [
        arms.pool(named[key], [_run(folder, of_run) for of_run in runs.values()])
        for key, runs in groups.items()
    ]


def _run(folder: Path, cells: Sequence[Cell]) -> Arm:
    """One run with its evaluations by one way to adapt."""
    run = reader.read(folder / cells[0].run, code=False)
    wanted = [Path(cell.result).stem for cell in cells]
    (read,) = comparison.read_arms([run], protocol=way_of(Path(cells[0].result)) or None)
    documents = [
        one
        for one in read.documents
        if any(stem.startswith(f"{one['split']}-{one['reward']}") for stem in wanted)
    ]
    return read._replace(documents=documents)


def results(found: Sequence[Arm]) -> dict[str, Any]:
    """What `compare` returns of the arms of a suite."""
    return comparison.compared(found, alike=ALIKE)


def matrix(result: Mapping[str, Any], measure: str, best_first: bool = False) -> list[dict[str, Any]]:
    """Rows of cells: an arm on a split, and a column for each family.

    Args:
        result: of `results`.
        measure: "success", "reached", "return" or "fraction".
        best_first: whether rows are sorted by their means over families, as those of a search.
    """
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    numbers: dict[tuple[str, ...], list[float]] = {}
    families = list(dict.fromkeys(row["family"] for row in result["rows"]))
    for row in result["rows"]:
        key = (row["run"], row["split"], row["reward"])
        empty = dict(zip(("arm", "split", "reward"), key, strict=True)) | dict.fromkeys(families)
        rows.setdefault(key, empty)[row["family"]] = row[measure]
        if values := row["numbers"][measure]:
            numbers.setdefault(key, []).append(values[MIDDLE[measure]])
    for mean in result["aggregate"]:
        if mean.get(measure):
            rows[mean["run"], mean["split"], mean["reward"]]["mean"] = differences.shown(mean[measure])
    if any("mean" in row for row in rows.values()):
        rows = {key: row | {"mean": row.get("mean")} for key, row in rows.items()}
    order = (
        sorted(rows, key=lambda key: -sum(numbers.get(key, [0.0])) / max(1, len(numbers.get(key, []))))
        if best_first
        else rows
    )
    return [rows[key] for key in order]
