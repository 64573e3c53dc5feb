"""A folder of the figures of a page as SVG and PDF, and of its numbers as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.errors import ConfigError
from hmrl_cli.report.elements import Drawing
from hmrl_cli.report.formats import csv_text
from hmrl_cli.storage import files, outputs

CAPTIONS = "captions.txt"  # marks a folder that hmrl wrote
TITLE = "Figures and tables of hmrl report\n"


def check(path: Path) -> None:
    """Refuse a folder that lies in a run, or that holds files of others; and create it.

    Raises:
        ConfigError: the folder lies in a run, is no folder, or holds something else.
        StorageError: the folder cannot be created or written to.
    """
    if run := outputs.run_around(path):
        raise ConfigError(f"--figures: {path} lies in the run {run}; must lie elsewhere")
    if path.exists() and not path.is_dir():
        raise ConfigError(f"--figures: {path} is there already, and is no folder; must be another name")
    if path.is_dir() and any(path.iterdir()) and not _is_ours(path):
        raise ConfigError(f"--figures: {path} holds files of others; must be a new or an empty folder")
    outputs.make_room(path / CAPTIONS)


def _is_ours(path: Path) -> bool:
    file = path / CAPTIONS
    return file.is_file() and file.read_bytes().startswith(TITLE.encode())


def _remove_earlier(path: Path) -> None:
    """Remove the figures and tables of an earlier page, which would pass for those of this one."""
    for file in path.iterdir():
        if file.suffix in (".svg", ".pdf", ".csv") and file.is_file():
            file.unlink()


def write(path: Path, drawings: Sequence[Drawing], tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write NAME.svg and NAME.pdf of every figure, NAME.csv of every table, and the captions.

    Raises:
        StorageError: the disk is full or broken.
    """
    _remove_earlier(path)
    captions = "".join(f"\n{one.name}\n{one.label}.\n{one.caption}\n" for one in drawings)
    files.write_text(path / CAPTIONS, TITLE + captions)  # first: it marks the folder
    for one in drawings:
        files.write_text(path / f"{one.name}.svg", one.svg)
        files.write_bytes(path / f"{one.name}.pdf", one.pdf())
    for name, rows in tables.items():
        if rows:
            files.write_text(path / f"{name}.csv", csv_text(rows))
