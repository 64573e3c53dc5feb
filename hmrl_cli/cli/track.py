"""The command that hands runs to a tracker of experiments."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

from hmrl_cli.cli.options import Json, RunDirs, check_known
from hmrl_cli.cli.output import print_json, print_line
from hmrl_cli.report import tracking
from hmrl_cli.storage import reader, trackers


def track(
    run_dirs: RunDirs,
    to: Annotated[str, typer.Option("--to", metavar="wandb|mlflow", help="The tracker.")],
    as_json: Json = False,
) -> None:
    """Hand runs to a tracker, after their training.

    Each seed becomes a run of the tracker, with settings, provenance, metrics
    and evaluations, in its local store. A second call writes only what has
    changed. stdout has a line for each seed: where it is.
    """
    check_known("--to", to, trackers.TRACKERS, f"one of: {', '.join(trackers.TRACKERS)}")
    runs = [reader.read(run_directory, code=False) for run_directory in run_dirs]
    seeds = [seed for run in runs for seed in tracking.seeds_of(run)]
    with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints
        places = trackers.write(to, seeds)
    rows = [
        {"name": seed.name, "id": seed.id, "place": place, "written": written}
        for seed, (place, written) in zip(seeds, places, strict=True)
    ]
    if as_json:
        print_json({"to": to, "seeds": rows})
    else:
        for row in rows:
            print_line(f"{row['name']}: {row['place']}{'' if row['written'] else ', as it was'}")
