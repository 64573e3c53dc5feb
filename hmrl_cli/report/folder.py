"""A folder of the figures of a page as SVG and PDF, and of its numbers as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.errors import ConfigError
from hmrl_cli.report.elements import Drawing
from hmrl_cli.report.formats import csv_text
from hmrl_cli.storage import files, outputs

CAPTIONS = "captions.txt"  # marks a folder that hmrl wrote, and names the files in it
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
    """Remove the figures and tables of an earlier page, which would pass for those of this one.

    The first line of each paragraph of the captions names files.  Other files of the folder stay.
    """
    text = (path / CAPTIONS).read_text(encoding="utf-8", errors="replace") if _is_ours(path) else ""
    names = {name for part in text.split("\n\n")[1:] for name in part.partition("\n")[0].split(", ")}
    for file in path.iterdir():
        if file.name in names and file.is_file():
            file.unlink()


def write(path: Path, drawings: Sequence[Drawing], tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write NAME.svg and NAME.pdf of every figure, NAME.csv of every table that has rows, and the captions.

    Raises:
        StorageError: the disk is full or broken.
    """
    _remove_earlier(path)
    tables = {f"{name}.csv": rows for name, rows in tables.items() if rows}
    captions = [f"{one.name}.svg, {one.name}.pdf\n{one.label}.\n{one.caption}\n" for one in drawings]
    captions += [f"{name}\n" for name in tables]
    files.write_text(path / CAPTIONS, "\n".join([TITLE, *captions]))  # first: it marks the folder
    for one in drawings:
        files.write_text(path / f"{one.name}.svg", one.svg)
        files.write_bytes(path / f"{one.name}.pdf", one.pdf())
    for name, rows in tables.items():
        files.write_text(path / name, csv_text(rows))
