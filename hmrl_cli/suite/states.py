"""How far each cell of a suite is, as the files of its run say."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hmrl_cli import config, reading
from hmrl_cli.config import plugins, recorded
from hmrl_cli.errors import InputError, RunDirError, joined
from hmrl_cli.experiment import Experiment
from hmrl_cli.storage import layout, reader
from hmrl_cli.suite.cells import Cell


class State(NamedTuple):
    """How far a cell is, and what there is to say of it, such as "epoch 3 of 10, killed"."""

    state: Literal["done", "partly", "missing", "other"]  # "other": another run has its place
    problem: str = ""


def states(cells: Sequence[Cell], folder: Path) -> dict[str, State]:
    """The state of each cell by its name.

    Args:
        cells: all cells of a suite.
        folder: the folder of the suite, which may be missing.
    """
    found: dict[str, State] = {}
    epochs: dict[str, int | None] = {}  # run -> the epoch of its result
    wanted = {cell.name: cell.experiment for cell in cells}
    for cell in cells:
        if cell.kind == "eval":
            found[cell.name] = _of_evaluation(folder / cell.result, epochs[cell.run])
        else:
            libraries = [wanted[name] for name in cell.needs]
            found[cell.name], epochs[cell.run] = _of_run(cell, libraries, folder)
    return found


def check_places(found: dict[str, State], folder: Path) -> None:
    """Refuse to run where the place of a cell is taken.

    Raises:
        RunDirError: names the first such run, and what differs.
    """
    for name, state in found.items():
        if state.state == "other":
            raise RunDirError(
                f"{folder / name}: {state.problem}\n"
                "must be the suite as it was, or another folder: --out FOLDER; or move that run away"
            )


def _of_run(cell: Cell, libraries: Sequence[Experiment], folder: Path) -> tuple[State, int | None]:
    """The state of a training over these skills, and the epoch of its result if it is done."""
    path = folder / cell.run
    if not (path / layout.CONFIG).exists():
        return State("missing"), None
    try:
        run = reader.read(path, code=False)
        different = _difference(cell.experiment, run.experiment, run.provenance, folder)
        different = different or _of_other_skills(run, libraries, folder)
    except InputError as error:
        return State("partly", joined(error)), None  # its command repeats the error, and others run
    if different:
        return State("other", different), None
    if run.last_epoch is not None:
        return State("done"), run.last_epoch
    epoch, epochs = run.status.get("epoch", 0), run.experiment.training.epochs
    return State("partly", f"epoch {epoch} of {epochs}, {run.status.get('state', 'not started')}"), None


def _of_other_skills(run: reader.Info, libraries: Sequence[Experiment], folder: Path) -> str | None:
    """A text on how the skills of a run differ from those of the suite; None where they do not."""
    if not (run.path / layout.SKILLS).is_file():  # as in runs of early versions
        return None
    kept, provenance = reader.recorded_skills(run.path, run.provenance), run.provenance.get("skills") or {}
    found = [_difference(wanted, kept, provenance, folder) for wanted in libraries]
    return next((f"its skills: {different}" for different in found if different), None)


def _difference(
    wanted: Experiment, there: Experiment, provenance: Mapping[str, Any], folder: Path
) -> str | None:
    """A text on the first setting or plugin file in which a run differs from the suite; None if none does.

    Args:
        wanted: how the suite trains it.
        there: how it was trained.
        provenance: the run's record of its plugins, under "plugins".
        folder: where it was trained.
    """
    wanted = _absolute(_settled(wanted, there), Path())
    now, before = recorded.record(wanted), provenance.get("plugins", {})
    # both name a plugin file by its path, but relative to different folders
    before = {section: {**before.get(section, {}), "name": ours["name"]} for section, ours in now.items()}
    return config.difference(wanted, _absolute(there, folder)) or recorded.difference(now, before)


def _settled(wanted: Experiment, run: Experiment) -> Experiment:
    """An experiment with the number that its run has chosen in place of `tasks_at_once` "auto"."""
    if getattr(wanted.algorithm, "tasks_at_once", None) != "auto":
        return wanted
    chosen = {"tasks_at_once": getattr(run.algorithm, "tasks_at_once", 0)}
    return wanted.model_copy(update={"algorithm": wanted.algorithm.model_copy(update=chosen)})


def _absolute(experiment: Experiment, folder: Path) -> Experiment:
    """An experiment with absolute paths of plugin files, which were relative to `folder`."""
    found = {}
    for name in plugins.FOLDERS:
        section = getattr(experiment, name)
        if section is not None and plugins.is_file(section.name):
            found[name] = section.model_copy(update={"name": os.path.abspath(folder / section.name)})
    return experiment.model_copy(update=found)


def _of_evaluation(file: Path, epoch: int | None) -> State:
    """The state of an evaluation of a run, which counts if it is of the run's last epoch."""
    if epoch is None or not file.exists():
        return State("missing")
    try:
        document = reading.read_json(file)
    except InputError as error:
        return State("missing", joined(error))
    return State("done") if document.get("epoch") == epoch else State("missing", "of an earlier epoch")
