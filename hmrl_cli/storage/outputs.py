"""Checks of the path of a result: not inside a run, and not in place of a file that hmrl did not write."""

from __future__ import annotations

import os
from pathlib import Path

from hmrl_cli import reading
from hmrl_cli.config.plugin_files import label
from hmrl_cli.errors import ConfigError, InputError, StorageError
from hmrl_cli.storage import layout
from hmrl_cli.storage.files import writing

# marks near the beginning of the HTML pages and of the SVGs that this package writes
OUR_PAGES = (b"<title>hmrl report</title>", b'<canvas id="view" role="img" aria-label="The episode">')
OUR_PICTURE = b'<g id="figure_1">'
BEGINNING = 2**18


def run_around(folder: Path) -> Path | None:
    """The run directory that a folder is, or lies in; None outside of runs."""
    place = Path(os.path.realpath(folder))
    for candidate in (place, *place.parents):
        if layout.seems_run(name for name in layout.MARKS if (candidate / name).is_file()):
            return candidate
    return None


def page_of(what: str) -> Path:
    """The file name of the page on a family, its file or a preset: NAME.html, with "-" in place of "/"."""
    return Path(f"{label(what).replace('/', '-')}.html")


def check_page(out: Path, name: str) -> None:
    """Refuse a path for an HTML page or an SVG, and create its folder.

    Args:
        out: the path.
        name: the name that the file may have in a run, without suffix, such as "report".

    Raises:
        ConfigError: the path lies in a run under another name, or another file is there.
        StorageError: the folder cannot be written to.
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
    """Refuse to replace a file that hmrl did not write.

    Args:
        out: the path.
        is_ours: whether hmrl wrote the file that is there.

    Raises:
        ConfigError: another file is there.
    """
    if os.path.lexists(out) and not is_ours:
        raise ConfigError(f"-o: {out} is there already, and was not written by hmrl; must be another name")


def make_room(out: Path) -> None:
    """Create the folder of a result, before the result is computed.

    Raises:
        StorageError: the folder cannot be created or written to.
    """
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK):
        raise StorageError(f"{out.parent}: cannot be written to, and the result has its place there")
