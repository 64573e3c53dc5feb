"""The part of a page on skills: numbers, pictures of paths, and a player."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hmrl_cli.errors import InputError
from hmrl_cli.lazy import np
from hmrl_cli.reading import read_bytes, read_json
from hmrl_cli.report import drawing, elements, thinning, viewer
from hmrl_cli.report.arms import Arm
from hmrl_cli.report.differences import plain
from hmrl_cli.report.elements import escaped, narrow, note

NUMBERS = {  # of skills.json -> column
    "accuracy": "accuracy",
    "mutual_information": "mutual information, nats",
    "effective_skills": "effective skills",
    "coverage": "coverage, cells",
    "state_coverage": "random skills cover, cells",
    "goal_arrived": "goals arrived at",
    "arrived": "arrived",
    "displacement": "displacement, m",
}
NUMBERS_NOTE = "Mean over seeds and skills, with the lowest and the highest seed."


def skills_of(runs: Sequence[Arm]) -> list[tuple[str, Path]]:
    """Name and directory of the runs that have skills."""
    found = [(arm, path) for arm in runs for path in arm.paths if (path / "skills.json").is_file()]
    several = len({arm.family for arm, _ in found}) > 1
    return [
        (
            " ".join(
                [
                    *([f"{arm.family}:"] if several else []),
                    arm.name,
                    *([path.name] if len(arm.paths) > 1 else []),
                ]
            ),
            path,
        )
        for arm, path in found
    ]


def part(named: Sequence[tuple[str, Path]], room: int) -> str:
    """Numbers, pictures and players of skill runs; as many of them as fit into `room` bytes."""
    if not named:
        return ""
    rows = [{"run": name} | _numbers(path) for name, path in named]
    columns = dict.fromkeys(key for row in rows for key in row)
    rows = [{key: row.get(key, "") for key in columns} for row in rows]
    parts = [narrow(rows, tuple(columns), "Numbers of the skills"), note(NUMBERS_NOTE)]
    for number, (name, path) in enumerate(named):
        share = room // (len(named) - number)  # room that a run leaves is for the runs after it
        picture = _picture(path, name, number)
        shown = picture if len(picture) <= share // 2 else _elsewhere(name, path / "skills.svg")
        player = _player(path, name, share - len(shown))
        parts += [shown, player]
        room -= len(shown) + len(player)
    return "".join(parts)


def _numbers(path: Path) -> dict[str, str]:
    """The numbers of skills.json, of those that are in NUMBERS."""
    found = read_json(path / "skills.json")
    return {
        column: _over_seeds(found[key]) for key, column in NUMBERS.items() if isinstance(found.get(key), list)
    }


def _over_seeds(values: Any) -> str:
    of_seeds = [float(np.mean(one)) for one in values]
    middle, low, high = plain(float(np.mean(of_seeds)), min(of_seeds), max(of_seeds))
    return f"{middle} ({low} to {high})" if len(of_seeds) > 1 else middle


def _picture(path: Path, name: str, number: int) -> str:
    """The picture of the paths of every seed; nothing where there is none."""
    file = path / "skills.svg"
    if not file.is_file():
        return ""
    svg = drawing.short(read_bytes(file).decode(errors="replace"))
    caption = "Paths of every skill, in one colour for each skill; a dot is the mean end."
    return elements.picture(svg, f"Paths of the skills of {name}", f"{name}: {caption}", f"s{number}")


def _elsewhere(name: str, file: Path) -> str:
    return f"<p><small>{escaped(name)}: <code>{escaped(file)}</code></small></p>"


def _player(path: Path, name: str, room: int) -> str:
    """The page that plays the skills, in a frame, with as many frames as there is room for."""
    file = path / "skills.html"
    try:
        document = thinning.document_in(read_bytes(file).decode(errors="replace"))
    except InputError:
        return ""
    empty = html.escape(viewer.page({**document, "episodes": []}))
    fitting = thinning.fitted(document, room - len(empty))
    if fitting is None:
        return _elsewhere(name, file)
    text = html.escape(viewer.page(fitting))
    return (
        f'<figure class="screen"><iframe title="Player of the skills of {escaped(name)}" loading="lazy" '
        f'sandbox="allow-scripts" srcdoc="{text}"></iframe>'
        f"<figcaption>{escaped(name)}: every skill of the first seed, played.</figcaption></figure>"
    )
