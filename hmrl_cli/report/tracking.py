"""The data of a run for a tracker of experiments: settings, metrics and evaluations of each seed.

A tracker takes one run for each seed, because a metric of a tracker is one number at a time.  The seeds of a
run are a group.  The identity of a seed follows from the run alone, so that a second call finds the first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hmrl_cli import config, reading
from hmrl_cli.config.layers import leaves
from hmrl_cli.storage import document as documents
from hmrl_cli.storage import layout, reader
from hmrl_cli.storage.evaluations import files_of
from hmrl_cli.storage.metrics import read_metrics
from hmrl_cli.storage.trackers import Tracked

IDENTITY = ("created", "argv", "config_hash")  # keys of provenance.json that tell runs apart


def seeds_of(run: reader.Info) -> list[Tracked]:
    """The seeds of a run, as a tracker takes them.

    Args:
        run: the run.

    Raises:
        InputError: metrics.jsonl or a document is damaged.
    """
    training, group = run.experiment.training, run.path.resolve().name
    settings = {**config.flat(run.experiment), **dict(_provenance(run.provenance))}
    lines = read_metrics(run.path) if (run.path / layout.METRICS).exists() else []
    evaluated = {file.stem: documents.read(file) for file in files_of(run.path)}
    numbers = _of_skills(run.path / "skills.json")
    tracked = []
    for row, seed in enumerate(training.seeds):
        curves = {name: _curves(document, row) for name, document in evaluated.items()}
        tracked.append(
            Tracked(
                id=_id(run, seed),
                name=f"{group}/seed{seed}",
                group=group,
                state=run.status.get("state", "unknown"),
                settings={**settings, "training.seed": seed, "training.num_seeds": 1},
                metrics=[(line["epoch"], dict(_of_seed(line, row))) for line in lines],
                evaluations={name: curve for name, curve in curves.items() if curve},
                numbers=dict(_of_seed(numbers, row)),
            )
        )
    return tracked


def _id(run: reader.Info, seed: int) -> str:
    """Sixteen hexadecimal digits.  They are the same for a copy of the run, even after more training."""
    kept = [run.provenance.get(key) for key in IDENTITY] if run.provenance else str(run.path.resolve())
    return hashlib.sha256(json.dumps([kept, seed]).encode()).hexdigest()[:16]


def _provenance(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The content of provenance.json, except origins and seeds, which are among the settings."""
    kept = {key: value for key, value in found.items() if key not in ("schema", "origins", "seeds")}
    for path, value in leaves(kept):
        if value not in (None, [], {}):
            words = isinstance(value, list)
            yield f"provenance.{path}", " ".join(map(str, value)) if words else value


def _of_skills(file: Path) -> dict[str, Any]:
    """The numbers of skills, lists over seeds; empty where there is no such file."""
    if not file.is_file():
        return {}
    return {f"skills/{name}": value for name, value in reading.read_json(file).items()}


def _of_seed(values: Mapping[str, Any], row: int) -> Iterator[tuple[str, float]]:
    """The numbers [] of a seed, by name.  A value that is not a list is the same for all seeds."""
    for name, value in values.items():
        of_seed = value[row] if isinstance(value, list) and row < len(value) else value
        if type(of_seed) in (int, float) and name not in ("epoch", "skills/epoch"):
            yield name, float(of_seed)


def _curves(document: Mapping[str, Any], row: int) -> list[tuple[int, dict[str, float]]]:
    """Means over tasks of a seed, by updates; empty where only means over seeds were kept."""
    per_task = document["per_task"]
    if per_task is None:
        return []
    means = {
        measure: [sum(column) / len(column) for column in zip(*per_task[measure][row], strict=True)]
        for measure in documents.MEASURES
    }
    return [
        (updates, {measure: values[index] for measure, values in means.items()})
        for index, updates in enumerate(document["steps"])
    ]
