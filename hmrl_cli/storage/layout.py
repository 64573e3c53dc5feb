"""The files of a run directory.

config.toml       the resolved configuration: running it again repeats the run
provenance.json   versions, devices, cores, seeds, command line, the skills and the parent of the run
skills.toml       the configuration that trained those skills
metrics.jsonl     one line per epoch; nothing in it depends on the clock
tb/               the same for TensorBoard
checkpoints/      see checkpoints.py
eval/             see evaluations.py
plugins/          files of plugins as they were when the run began
status.json       state and epoch, replaced as a whole
events.log        events with their times
lock              held (flock) by the one process that writes
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

CONFIG = "config.toml"
PROVENANCE = "provenance.json"
SKILLS = "skills.toml"
METRICS = "metrics.jsonl"
BOARD = "tb"
CHECKPOINTS = "checkpoints"
EVALUATIONS = "eval"
PLUGINS = "plugins"
STATUS = "status.json"
EVENTS = "events.log"
LOCK = "lock"

SCHEMA = 1  # of status.json and provenance.json
REPLACED = (CONFIG, PROVENANCE, SKILLS, STATUS)  # as a whole, by a temporary file
FILES = (*REPLACED, METRICS, EVENTS)
MARKS = {*FILES, LOCK}  # two of them make a run
BEFORE_CONFIG = {LOCK, PROVENANCE, SKILLS, STATUS, EVENTS, CHECKPOINTS, PLUGINS}  # CONFIG is written last


def is_run(path: Path) -> bool:
    """Whether a directory is a run: it holds config.toml."""
    return (path / CONFIG).is_file()


def seems_run(names: Iterable[str]) -> bool:
    """Whether a directory with files of these names is a run, even if its config.toml is gone."""
    return len(MARKS.intersection(names)) > 1
