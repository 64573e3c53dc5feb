"""Where a result may go that a user names: never into a run, and never in place of what is not ours."""

from __future__ import annotations

import os
from pathlib import Path

from hmrl_cli import reading
from hmrl_cli.errors import ConfigError, InputError, StorageError
from hmrl_cli.storage.files import writing

RUN_FILES = ("config.toml", "lock", "status.json")  # two of them make a run; archived results have one
# what a page or a picture of this package holds near its beginning, and no other does
OUR_PAGES = (b"<title>hmrl report</title>", b'<canvas id="view" role="img" aria-label="The episode">')
OUR_PICTURE = b'<g id="figure_1">'
BEGINNING = 2**18


def run_around(folder: Path) -> Path | None:
    """The run directory that a folder is, or lies in; None where there is none."""
    place = Path(os.path.realpath(folder))
    for candidate in (place, *place.parents):
        if sum((candidate / name).is_file() for name in RUN_FILES) > 1:
            return candidate
    return None


def check_page(out: Path, name: str) -> None:
    """Refuse to write a page, or a picture, to `out`; `name` is its own name in a run, as in "report".

    Raises:
        ConfigError: it lies in a run under another name, or what is there is none of ours.
        StorageError: nothing can be written there.
    """
    run = run_around(out.parent)
    if run is not None and (Path(os.path.realpath(out.parent)) != run or out.stem != name):
        raise ConfigError(
            f"-o: {out} lies in the run {run}; must lie elsewhere, or be {name}{out.suffix} in it"
        )
    check_replaced(out, _is_page(out))
    make_room(out)


def _is_page(out: Path) -> bool:
    try:
        beginning = reading.read_bytes(out, BEGINNING)
    except InputError:
        return False
    is_picture = beginning.startswith(b"<svg") and OUR_PICTURE in beginning
    return is_picture or any(mark in beginning for mark in OUR_PAGES)


def check_replaced(out: Path, is_ours: bool) -> None:
    """Refuse to replace what is there.

    Raises:
        ConfigError: something is there, and not ours.
    """
    if os.path.lexists(out) and not is_ours:
        raise ConfigError(f"-o: {out} is there already, and was not written by hmrl; must be another name")


def make_room(out: Path) -> None:
    """Make the folder of a result that is still to be computed.

    Raises:
        StorageError: it cannot be made, or not be written to.
    """
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK):
        raise StorageError(f"{out.parent}: cannot be written to, and the result has its place there")
