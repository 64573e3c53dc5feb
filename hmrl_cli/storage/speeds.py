"""The speed that earlier runs had on this machine, from their events.log."""

from __future__ import annotations

import contextlib
import re
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hmrl_cli import config, reading
from hmrl_cli.config import presets
from hmrl_cli.errors import HmrlError
from hmrl_cli.experiment import Experiment
from hmrl_cli.storage import layout, listing

SPEED = re.compile(rb" epoch \d+: checkpoint, (\d+) steps/s$", re.MULTILINE)
MOST_RUNS = 200  # that are looked at, the youngest first
NEWEST = 2**16  # bytes of events.log that are read


class Speed(NamedTuple):
    """A speed, and the run that had it."""

    steps_per_second: float  # environment steps of all seeds
    run: Path
    seeds: int
    same: bool  # whether the run has the same settings; else only family, algorithm and hierarchy are


def measured(
    folder: Path, experiment: Experiment, machine: Mapping[str, Any], path: Path | None = None
) -> Speed | None:
    """The speed of the earlier run that is most like an experiment; None where there is none.

    The same settings of family, algorithm, bonus and hierarchy come first, then as many seeds, then the
    youngest run.

    Args:
        folder: of runs, which need not exist.
        experiment: what will be trained.
        machine: `provenance.machine()`.  A run on other devices or cores is no measure.
        path: of the new run; runs beside it count too.
    """
    best: tuple[tuple[bool, bool], Speed] | None = None
    for run in _youngest(folder, path):
        with contextlib.suppress(HmrlError, OSError, KeyError, TypeError, AttributeError):
            likeness, seeds = _likeness(presets.read(run / layout.CONFIG, str(run)), experiment)
            if likeness is None or (best and likeness <= best[0]) or not _is_here(run, machine):
                continue
            if speeds := [int(speed) for speed in SPEED.findall(_tail(run / layout.EVENTS))]:
                best = likeness, Speed(statistics.median(speeds), run, seeds, likeness[0])
                if all(likeness):
                    break
    return best and best[1]


def _youngest(folder: Path, path: Path | None) -> Iterator[Path]:
    """The runs in a folder, at any depth, and those beside a path; the most recently written first."""
    runs = [run for run, _ in listing.found(folder)] if folder.is_dir() else []
    if path is not None:
        with contextlib.suppress(OSError):  # there may be no such folder yet
            runs += path.parent.iterdir()
    times = {}
    for run in runs:
        with contextlib.suppress(OSError):
            times[run] = (run / layout.EVENTS).stat().st_mtime
    yield from sorted(times, key=lambda run: -times[run])[:MOST_RUNS]


def _likeness(tables: Mapping[str, Any], experiment: Experiment) -> tuple[tuple[bool, bool] | None, int]:
    """Whether settings and number of seeds are equal, None for another learner; and the run's seeds."""
    ours = config.tree(experiment)
    seeds = tables["training"]["num_seeds"]
    for section in ("family", "algorithm"):
        if tables[section]["name"] != ours[section]["name"]:
            return None, seeds
    if ("hierarchy" in tables) != ("hierarchy" in ours):
        return None, seeds
    learner = ours["algorithm"].get("learner")  # of skills: with replay or without
    if tables["algorithm"].get("learner", learner) != learner:
        return None, seeds
    same = all(
        _without_paths(tables.get(section)) == _without_paths(ours.get(section))
        for section in ("family", "algorithm", "bonus", "hierarchy")
    )
    return (same, seeds == experiment.training.num_seeds), seeds


def _without_paths(table: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The settings of a table without the path of skills, which does not affect the speed."""
    return None if table is None else {key: value for key, value in table.items() if key != "skills"}


def _is_here(run: Path, machine: Mapping[str, Any]) -> bool:
    """Whether a run was trained on these devices."""
    theirs = reading.read_json(run / layout.PROVENANCE)["machine"]
    return all(theirs[key] == machine[key] for key in ("devices", "affinity"))


def _tail(path: Path) -> bytes:
    """The newest events."""
    with reading.open_file(path) as file:
        file.seek(max(0, path.stat().st_size - NEWEST))
        return file.read()
