"""The Makefile of a suite: a target for each cell, made once the cells that it needs are.

A target is an empty file, `.done/CELL.done`, that marks a cell as done.  Prerequisites are order-only, so the
time of a mark decides nothing, as after a copy of the folder.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from hmrl_cli.storage import files
from hmrl_cli.suite.cells import Cell
from hmrl_cli.suite.states import State

HEADER = """\
# Written by `hmrl suite run`, and replaced by the next one.
#   make -j N                            runs what is not done, N commands at a time
#   make HMRL="python -P -m hmrl_cli"    with another command in place of hmrl
# Each command runs in this folder and appends what it prints to logs/.  IN stands before the names of logs.
HMRL ?= hmrl
IN ?=
.PHONY: all
"""


def mark(cell: str) -> str:
    """The file that marks a cell as done, in the folder of the suite."""
    return f".done/{cell}.done"


def log(cell: str) -> str:
    """The file of what the commands of a cell printed, in the folder of the suite."""
    return f"logs/{cell}.log"


def text(cells: Sequence[Cell]) -> str:
    """The Makefile of all cells of a suite."""
    rules = [f"all: {' '.join(mark(cell.name) for cell in cells)}\n", *map(_rule, cells)]
    return "\n".join([HEADER + rules[0], *rules[1:]])


def _rule(cell: Cell) -> str:
    """The rule of a cell.  `exec` lets the signals of make reach hmrl, and not a shell between the two.

    The rule does not fail if nobody reads the line that it prints.
    """
    needs = "".join(f" {mark(name)}" for name in cell.needs)
    command = shlex.join(cell.arguments).replace("$", "$$")
    return (
        f"{mark(cell.name)}:{' |' if needs else ''}{needs}\n"
        f"\t-@echo {cell.name}: $(IN){log(cell.name)}\n"
        f"\t@exec $(HMRL) {command} >>{log(cell.name)} 2>&1\n"
        "\t@touch $@\n"
    )


def write(cells: Sequence[Cell], found: dict[str, State], folder: Path) -> None:
    """Write the Makefile, the folders of logs, and the marks, which then agree with the states of the cells.

    Raises:
        StorageError: the folder cannot be written to.
    """
    with files.writing(folder):
        for cell in cells:
            for name in (mark(cell.name), log(cell.name)):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if found[cell.name].state == "done":
                (folder / mark(cell.name)).touch()
            else:
                (folder / mark(cell.name)).unlink(missing_ok=True)
    files.write_text(folder / "Makefile", text(cells))
