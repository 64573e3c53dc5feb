"""Evaluation documents and runs that hold them."""

import functools
import json

import numpy as np

from hmrl_cli import config
from hmrl_cli.evaluation import adaptation
from hmrl_cli.types import Adaptation

FLAT, FEASIBLE = [-10.0, -8.0, -4.0, -2.0], [-2.0, -4.0, -3.0, -1.0]


def document(returned=None, success=0.5, feasible=FEASIBLE, **changes):
    """One as `hmrl eval` writes it: two seeds, four tasks, one update."""
    returned = np.array(FLAT)[None, :, None] + np.zeros((2, 1, 2)) if returned is None else returned
    rates = np.full(returned.shape, success)
    lines = {name: -5.0 for name in ("flat", "feasible")}
    lines |= {f"{line}_{rate}": 0.25 for line in ("flat", "feasible") for rate in ("success", "reached")}
    lines["per_task"] = {"flat": FLAT, "feasible": feasible}
    if feasible is None:
        lines |= {name: None for name in lines if name.startswith("feasible")}
    return {
        "schema": 1,
        "run": "runs/a",
        "family": "toy",
        "algorithm": "maml",
        "epoch": 4,
        "arrays_sha256": "ab",
        "num_seeds": 2,
        "episodes": 5,
        "env_steps": [0, 30],
        "adaptation": {"rule": "refit", "imitation_steps": 2, "tune_after": None},
        "split": "test",
        "reward": "sparse",
        "num_tasks": 4,
        **adaptation.curve_document(Adaptation(returned, rates, rates), lines),
        "tasks_sha256": "cd",
    } | changes


@functools.cache
def _config(*sets):
    resolved = config.resolve(
        "meta-train", "point/smoke", ["training.num_seeds=2", "training.epochs=4", *sets]
    )
    return config.to_toml(resolved.experiment)


def run(folder, name, content, skills=None, sets=()):
    """A run directory that holds its configuration, one evaluation, and the hash of its skills."""
    (folder / name / "eval").mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name / "eval" / "test-sparse.json").write_text(text)
    (folder / name / "config.toml").write_text(_config(*sets))
    provenance = {"schema": 1, "skills": skills and {"epoch": 2, "arrays_sha256": skills}}
    (folder / name / "provenance.json").write_text(json.dumps(provenance))
    return folder / name
