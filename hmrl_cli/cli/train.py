"""The two commands that train."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmrl_cli import config
from hmrl_cli.cli.options import (
    DryRun,
    Json,
    Name,
    NumSeeds,
    Preset,
    Quiet,
    Resume,
    RunDirectory,
    Seed,
    Sets,
    Skills,
    Verbose,
)
from hmrl_cli.cli.output import as_cell, prepare, print_json, print_line, print_table, progress_on_stderr
from hmrl_cli.errors import (
    ConfigError,
)
from hmrl_cli.runner import signals
from hmrl_cli.runner.progress import Progress
from hmrl_cli.storage import reader
from hmrl_cli.storage.naming import named
from hmrl_cli.storage.places import check_new


def pretrain_skills(
    preset: Preset,
    sets: Sets = None,
    seed: Seed = None,
    num_seeds: NumSeeds = None,
    name: Name = None,
    run_dir: RunDirectory = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Learn skills without reward.

    The last line on stdout is the run directory.
    """
    flags = {"training.seed": seed, "training.num_seeds": num_seeds}
    asked = _resolve("pretrain-skills", preset, sets, flags)
    _train(*asked, _run_path(name, run_dir), resume, dry_run, as_json, progress_on_stderr(quiet, verbose))


def meta_train(
    preset: Preset,
    skills: Skills = None,
    sets: Sets = None,
    seed: Seed = None,
    num_seeds: NumSeeds = None,
    name: Name = None,
    run_dir: RunDirectory = None,
    resume: Resume = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Meta-train a learner of tasks.

    The last line on stdout is the run directory.
    """
    flags = {"hierarchy.skills": skills, "training.seed": seed, "training.num_seeds": num_seeds}
    asked = _resolve("meta-train", preset, sets, flags)
    _train(*asked, _run_path(name, run_dir), resume, dry_run, as_json, progress_on_stderr(quiet, verbose))


def _resolve(
    command: str, preset: str, sets: list[str] | None, flags: Mapping[str, Any]
) -> tuple[config.Resolved, reader.Skills | None]:
    """What to run, and the skills that it acts through."""
    given = {path: value for path, value in flags.items() if value is not None}
    resolved = config.resolve(command, preset, sets or [], given)
    return resolved, reader.open_skills(resolved.experiment)


def _run_path(name: str | None, run_dir: Path | None) -> Path | None:
    if name is not None and run_dir is not None:
        raise ConfigError("--run-dir: found together with --name; must be one of the two")
    return run_dir if name is None else named(name)


def _train(
    resolved: config.Resolved,
    skills: reader.Skills | None,
    path: Path | None,
    resume: bool,
    dry_run: bool,
    as_json: bool,
    shown_progress: contextlib.AbstractContextManager[Progress],
) -> None:
    if path is not None and not (resume and os.path.lexists(path)):
        check_new(path)
    # a plan is made in seconds, and stops at once
    caught = contextlib.nullcontext(lambda: None) if dry_run else signals.stop_signals()
    with shown_progress as shows, caught as stop:
        prepare(shows)
        for note in resolved.notes:
            shows.note(note)
        from hmrl_cli.runner import train

        plan = train.check(resolved, shows.note, skills)
        if dry_run:
            result = {"dry_run": True, "config": config.flat(resolved.experiment), **plan}
        else:
            argv = ["hmrl", *sys.argv[1:]]
            result = train.run(resolved, path, resume, shows, argv=argv, stop=stop, skills=skills)
    if as_json:
        print_json(result)
    elif dry_run:
        print_table(("setting", "value"), [(key, as_cell(value)) for key, value in plan.items()])
    else:
        print_line(result["run"])
