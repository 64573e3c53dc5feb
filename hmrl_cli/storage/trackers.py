"""Trackers of experiments, Weights & Biases and MLflow, which take what is already on the disk.

Nothing leaves the machine, unless MLFLOW_TRACKING_URI names a server.  Nothing asks a question.  A seed that
was written before, and has not changed, is not written again.  A changed seed replaces its earlier version.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmrl_cli.errors import MissingDependency, StorageError, one_error, one_line

PROJECT = "hmrl"  # name of the project, or of MLflow's experiment, unless its variable has another
MARK = "hmrl.json"  # in the folder of an offline run of Weights & Biases, with the digest of what it holds
AT_ONCE = {"metrics": 1000, "params": 100}  # that MLflow takes in a call
NOT_IN_A_NAME = re.compile(r"[^\w\-. :/]")  # of MLflow
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}  # unless the user has others
STATUS = {"complete": "FINISHED", "running": "RUNNING", "killed": "KILLED"}  # of MLflow; others have failed


class Tracked(NamedTuple):
    """A seed of a run, as a tracker takes it."""

    id: str
    name: str
    group: str  # what the seeds of a run share
    state: str  # of the run
    settings: dict[str, Any]  # dotted path -> plain value, provenance included
    metrics: list[tuple[int, dict[str, float]]]  # by epoch
    evaluations: dict[str, list[tuple[int, dict[str, float]]]]  # name of a document -> by inner updates
    numbers: dict[str, float]  # without an axis

    @property
    def digest(self) -> str:
        """SHA-256 of all fields."""
        return hashlib.sha256(json.dumps(self, sort_keys=True).encode()).hexdigest()


Outcome = tuple[str, bool]  # where a seed is, and whether it was written now


def write(to: str, seeds: Sequence[Tracked]) -> list[Outcome]:
    """Write seeds to a tracker, and return where each of them is, and whether it was written now.

    Args:
        to: a name in `TRACKERS`.
        seeds: the seeds.

    Raises:
        MissingDependency: the library of the tracker is not installed.
        StorageError: the tracker failed.
    """
    library = _imported(to)
    try:
        return [TRACKERS[to](library, seed) for seed in seeds]
    except Exception as error:  # each library has errors of its own
        raise StorageError(f"--to {to}: {one_error(error)}") from error


def _imported(name: str) -> Any:
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)  # before the import, which reads them
    try:
        library = importlib.import_module(name)
    except ImportError as error:
        library, reason = None, f"{name} is not installed" if error.name == name else one_line(error)
    else:
        reason = f"{name} is not installed"
    if library is None or library.__file__ is None:  # a mere folder of that name, as offline runs have
        raise MissingDependency(f"--to {name}: {reason}; in a checkout: pip install '.[{name}]'")
    return library


def _to_wandb(wandb: Any, seed: Tracked) -> Outcome:
    """An offline run below wandb/, which `wandb sync` uploads under the identity of the seed."""
    root = Path(os.environ.get("WANDB_DIR") or ".") / "wandb"
    earlier = list(root.glob(f"offline-run-*-{seed.id}"))
    for folder in earlier:
        mark = folder / MARK
        if mark.is_file() and mark.read_text() == seed.digest:
            return str(folder), False
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        mode="offline",
        id=seed.id,
        name=seed.name,
        group=seed.group,
        config=seed.settings,
        settings=wandb.Settings(
            silent=True, console="off", save_code=False, disable_git=True, x_disable_stats=True
        ),
    )
    run.define_metric("epoch")
    run.define_metric("*", step_metric="epoch")
    for epoch, values in seed.metrics:
        run.log({"epoch": epoch, **values})
    for name, rows in seed.evaluations.items():
        axis = f"eval/{name}/updates"
        run.define_metric(axis)
        run.define_metric(f"eval/{name}/*", step_metric=axis)
        for updates, values in rows:
            run.log({axis: updates, **{f"eval/{name}/{measure}": x for measure, x in values.items()}})
    run.summary.update(seed.numbers)
    folder = Path(run.dir).parent
    run.finish(exit_code=0 if seed.state == "complete" else 1)
    (folder / MARK).write_text(seed.digest)
    for before in earlier:  # earlier folders of this seed, incomplete or out of date
        if before.resolve() != folder.resolve():
            shutil.rmtree(before)
    return os.path.relpath(folder), True


def _to_mlflow(mlflow: Any, seed: Tracked) -> Outcome:
    """A run in MLflow's own store; its tag identifies the seed."""
    client = mlflow.MlflowClient()
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name)
    earlier = client.search_runs([experiment], f"tags.`hmrl.id` = '{seed.id}'")
    for before in earlier:
        if before.data.tags.get("hmrl.digest") == seed.digest:
            return before.info.run_id, False
    tags = {"mlflow.runName": seed.name, "hmrl.id": seed.id, "hmrl.group": seed.group}
    run_id: str = client.create_run(experiment, tags=tags).info.run_id
    numbers = [(key, value, step) for key, value, step in _numbers(seed)]
    metrics = [mlflow.entities.Metric(_clean(key), value, 0, step) for key, value, step in numbers]
    params = [mlflow.entities.Param(_clean(key), str(value)[:500]) for key, value in seed.settings.items()]
    for kind, rows in (("metrics", metrics), ("params", params)):
        for start in range(0, len(rows), AT_ONCE[kind]):
            client.log_batch(run_id, **{kind: rows[start : start + AT_ONCE[kind]]})
    client.set_terminated(run_id, STATUS.get(seed.state, "FAILED"))
    client.set_tag(run_id, "hmrl.digest", seed.digest)  # without it, the run is written anew
    for before in earlier:
        client.delete_run(before.info.run_id)
    return run_id, True


def _numbers(seed: Tracked) -> Iterator[tuple[str, float, int]]:
    """All numbers of a seed: name, value and epoch or updates."""
    for epoch, values in seed.metrics:
        yield from ((key, value, epoch) for key, value in values.items())
    for name, rows in seed.evaluations.items():
        for updates, values in rows:
            yield from ((f"eval/{name}/{measure}", value, updates) for measure, value in values.items())
    yield from ((key, value, 0) for key, value in seed.numbers.items())


def _clean(name: str) -> str:
    """A name without what MLflow refuses, as the "=" of a document's name."""
    return NOT_IN_A_NAME.sub("_", name)


TRACKERS: dict[str, Callable[[Any, Tracked], Outcome]] = {"wandb": _to_wandb, "mlflow": _to_mlflow}
