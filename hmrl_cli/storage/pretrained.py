"""Pretrained skills and policies that come with the package, under names such as pretrained:wheeled/vgcrl.

    pretrained/FAMILY/NAME.safetensors   all arrays of a checkpoint, of one seed
    pretrained/FAMILY/NAME.json          the card of an export, with what it is, its training and its numbers

A command reads these files in their place and never writes there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hmrl_cli import reading
from hmrl_cli.errors import ConfigError, did_you_mean_one_of, meant, shown
from hmrl_cli.storage import exports

PREFIX = "pretrained:"
FOLDER = Path(__file__).parent.parent / "pretrained"


def names() -> list[str]:
    """The names, without the prefix."""
    return [
        path.relative_to(FOLDER).with_suffix("").as_posix() for path in sorted(FOLDER.glob("*/*.safetensors"))
    ]


def is_name(source: str | Path) -> bool:
    """Whether a source is the name of something pretrained, and not a path."""
    return str(source).startswith(PREFIX)


def place_of(source: str | Path) -> Path:
    """The place of a source, which need not exist: the file of a pretrained name, or the path itself."""
    if not is_name(source):
        return Path(source)
    return FOLDER / f"{str(source).removeprefix(PREFIX)}{exports.SUFFIX}"


def run_name(source: str | Path) -> str:
    """The name of the run that `hmrl eval` makes of what is pretrained."""
    return str(source).replace(":", "-").replace("/", "-")


def path_of(source: str | Path, what: str = "pretrained") -> Path:
    """The path of a source, as in `place_of`.

    Args:
        source: a name with its prefix, or a path.
        what: the argument or the setting, for the message.

    Raises:
        ConfigError: nothing pretrained has this name.
    """
    name = str(source).removeprefix(PREFIX)
    if is_name(source) and name not in names():
        close = did_you_mean_one_of([f"{PREFIX}{one}" for one in meant(name, names())])
        wanted = close or "; must be pretrained"
        raise ConfigError(f"{what}: found {shown(str(source))}{wanted} (see: hmrl list pretrained)")
    return place_of(source)


def card(name: str) -> dict[str, Any]:
    """The card of what has this name, without the prefix, as a JSON document.

    Raises:
        ConfigError: nothing pretrained has this name.
        InputError: the card is damaged.
    """
    return reading.read_json(exports.card_path(path_of(f"{PREFIX}{name}")))
