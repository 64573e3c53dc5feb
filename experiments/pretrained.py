"""Write one seed of a finished run into the package as pretrained, and measures it there, on the CPU.

    python experiments/pretrained.py RUN_DIR FAMILY/NAME "What it is." [--seed 0] [--skills FAMILY/NAME]

`--skills` names the pretrained skills that the run acts through; its own must be the same, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import jax
from hmrl_cli.runner import export, startup
from hmrl_cli.runner.progress import Silent
from hmrl_cli.runner.trained import open_trained
from hmrl_cli.storage import exports, files, pretrained, provenance, reader

OF_SKILLS = ("accuracy", "mutual_information", "effective_skills", "arrived", "time_to_arrive", "stays")
OF_POLICIES = {"return": "iqm", "success": "mean", "reached": "mean"}
# of a command line, with its words
DROPPED = {"--run-dir": 2, "--resume": 1, "-q": 1, "--name": 2, "--skills": 2}


def main() -> None:
    """Write and measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("description")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skills")
    given = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "cpu"
    startup.start()
    run = reader.read(given.run)
    place = pretrained.FOLDER / f"{given.name}{exports.SUFFIX}"
    data, card = packed(run, given.seed, given.skills)
    card |= {"description": given.description, "trained": trained(run, given.seed, given.skills)}
    place.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(place, data)
    files.write_json(exports.card_path(place), card)
    card |= {"measured": measured(given.name, card["kind"]), "measured_on": machine()}
    files.write_json(exports.card_path(place), card)


def packed(run: reader.Info, seed: int, skills: str | None) -> tuple[bytes, dict[str, Any]]:
    """The two files of one seed of a run."""
    found = open_trained(run, "sparse", Silent(), only=run.last_epoch)
    row = seed - run.experiment.training.seed
    state, parameters = jax.tree.map(lambda x: x[row : row + 1], (found.state, found.skills))
    experiment = of_one_seed(run.experiment, seed, skills)
    skills_from = None
    if skills is not None:
        file = pretrained.path_of(f"{pretrained.PREFIX}{skills}")
        their = exports.read_card(file, "skills")
        skills_from = their.experiment
        jax.tree.map(np.testing.assert_array_equal, export.read(file, their), parameters)
    kind: exports.Kind = "skills" if found.parts.learns_skills else "policy"
    return exports.encode((state, parameters), kind, experiment, skills_from, found.epoch, whole=True)


def of_one_seed(experiment: Experiment, seed: int, skills: str | None) -> Experiment:
    """The experiment of a run, as one of its seeds alone has it."""
    changed: dict[str, Any] = {
        "training": experiment.training.model_copy(update={"seed": seed, "num_seeds": 1})
    }
    if experiment.hierarchy is not None:
        name = f"{pretrained.PREFIX}{skills}"
        changed["hierarchy"] = experiment.hierarchy.model_copy(update={"skills": name})
    return experiment.model_copy(update=changed)


def trained(run: reader.Info, seed: int, skills: str | None) -> dict[str, Any]:
    """How it was trained."""
    kept = run.provenance
    return {
        "command": " ".join(command(kept["argv"], skills)),
        "preset": kept["preset"],
        "seed": seed,
        "seeds": kept["seeds"],
        "epochs": run.status["epoch"],
        "env_steps": run.status["summary"]["metrics"]["env_steps"],
        "hmrl": kept["versions"]["hmrl"],
        "jax": kept["versions"]["jax"],
        "devices": kept["machine"]["devices"],
    }


def command(argv: list[str], skills: str | None) -> list[str]:
    """A command line without the paths of the run."""
    words, kept = ["hmrl", *argv[1:]], []
    while words:
        count = DROPPED.get(words[0], 0)
        if not count:
            kept.append(words[0])
        words = words[max(count, 1) :]
    return [*kept, "--skills", f"{pretrained.PREFIX}{skills}"] if skills else kept


def measured(name: str, kind: str) -> list[dict[str, Any]]:
    """What `hmrl eval` measures, as a user would call it; a list of command line and numbers."""
    splits = [[]] if kind == "skills" else [[], ["--split", "hidden"]]
    rows = []
    for more in splits:
        words = ["eval", f"{pretrained.PREFIX}{name}", *more]
        rows.append({"command": " ".join(["hmrl", *words]), "numbers": numbers(evaluated(words))})
    return rows


def evaluated(words: list[str]) -> dict[str, Any]:
    """The document of a command line, called in a new folder, on the CPU."""
    ours = ("XLA_FLAGS", "JAX_")  # what tests set
    environment = {key: x for key, x in os.environ.items() if not key.startswith(ours)}
    environment |= {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(pretrained.FOLDER.parents[1])}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "hmrl_cli", *words, "--json"],
            cwd=folder,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def numbers(document: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a card: of skills, means over examples; of a policy, those after the last update."""
    if "steps" in document:
        return {key: document[key][middle][-1] for key, middle in OF_POLICIES.items()}
    rows = {key: document[key][0] for key in OF_SKILLS}
    return {key: statistics.fmean(x) if isinstance(x, list) else x for key, x in rows.items()}


def machine() -> dict[str, Any]:
    """What the bits of a number on the CPU depend on, beside the arrays."""
    return {
        "processor": startup.cache_folder().name,  # version of jaxlib and features of the processor
        "cores": len(os.sched_getaffinity(0)),
        "versions": provenance.versions(),
    }


if __name__ == "__main__":
    main()
