"""Paths of skills and of draws, read back from the pictures that hmrl draws of them.

hmrl writes paths as pictures alone (`skills.svg`).  A study keeps
every fifth point of long ones, in metres.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hmrl_cli.lazy import np

MANY, EVERY = 50, 5  # points of a line, of which every fifth is kept
_NUMBERS = re.compile(r"-?[\d.]+(?:e-?\d+)?")
_PATH = re.compile(r'<path d="([^"]*)" clip-path="[^"]*" style="fill: none; stroke: (#\w{6})')
_TICK = (
    r'<use xlink:href="#\w+" x="([\d.]+)" y="([\d.]+)"[^>]*/>\s*</g>\s*</g>\s*'
    r'<g id="text_\d+">\s*<!-- (\S+) -->'
)


def read(picture: Path) -> dict[str, Any]:
    """Points [line, point, 2] in metres, padded by NaN, and which seed and skill or draw each is."""
    lines, owners = [], []
    for seed, panel in enumerate(re.split(r'<g id="axes_\d+">', picture.read_text())[1:]):
        across, up = _scales(panel)
        colours: dict[str, int] = {}
        for path, colour in _PATH.findall(panel):
            points = np.array(_NUMBERS.findall(path), float).reshape(-1, 2)
            every = EVERY if len(points) > MANY else 1
            kept = np.unique([*range(0, len(points), every), len(points) - 1])
            lines.append(np.stack([across(points[kept, 0]), up(points[kept, 1])], axis=1))
            owners.append((seed, colours.setdefault(colour, len(colours))))
    padded = np.full((len(lines), max(map(len, lines)), 2), np.nan)
    for row, line in zip(padded, lines, strict=True):
        row[: len(line)] = line
    return {"points": padded, "seed_and_which": np.array(owners)}


def _scales(panel: str) -> list[Any]:
    """From places in the picture to metres, along x and y, by the ticks of each axis."""
    scales = []
    for axis in (0, 1):
        part = panel.split(f'id="matplotlib.axis_{2 * _panel_number(panel) + axis + 1}"')[1]
        part = part.split('<g id="matplotlib.axis')[0].split('<g id="patch_')[0]
        found = [(float(tick[axis]), float(tick[2].replace("−", "-"))) for tick in re.findall(_TICK, part)]
        places, values = np.array(found[:2]).T
        slope = (values[1] - values[0]) / (places[1] - places[0])
        scales.append(lambda x, place=places[0], value=values[0], slope=slope: value + slope * (x - place))
    return scales


def _panel_number(panel: str) -> int:
    """How many panels come before this one: its axes are numbered two for each."""
    first = re.search(r'id="matplotlib.axis_(\d+)"', panel)
    assert first, "no axis"
    return (int(first[1]) - 1) // 2


def kept(arm: str, picture: Path) -> dict[str, Any]:
    """The arrays of a picture's paths."""
    return {f"{arm}/paths/{name}": values for name, values in read(picture).items()}
