"""The commands that train."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmrl_cli import config
from hmrl_cli.cli import dry_runs
from hmrl_cli.cli.options import (
    Coordinator,
    DryRun,
    InitFrom,
    Json,
    MoreEpochs,
    Name,
    NumSeeds,
    Preset,
    Processes,
    ProcessId,
    Quiet,
    Resume,
    RunDir,
    RunDirectory,
    Seed,
    Sets,
    Skills,
    Verbose,
)
from hmrl_cli.cli.output import print_json, print_line, print_table
from hmrl_cli.cli.session import Session, begin, running
from hmrl_cli.errors import ConfigError, shown
from hmrl_cli.runner import signals
from hmrl_cli.storage import upstream
from hmrl_cli.storage.naming import check_place, check_run, named


def pretrain_skills(
    preset: Preset,
    sets: Sets = None,
    init_from: InitFrom = None,
    seed: Seed = None,
    num_seeds: NumSeeds = None,
    name: Name = None,
    run_dir: RunDirectory = None,
    resume: Resume = False,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process_id: ProcessId = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Learn skills without reward.

    The last line on stdout is the run directory.
    """
    session = begin(coordinator, processes, process_id, quiet, verbose, resumes=True)
    flags = {"training.init_from": init_from, "training.seed": seed, "training.num_seeds": num_seeds}
    asked = _resolve("pretrain-skills", preset, sets, flags)
    _train(*asked, _run_path(name, run_dir), resume, dry_run, as_json, session)


def meta_train(
    preset: Preset,
    skills: Skills = None,
    sets: Sets = None,
    init_from: InitFrom = None,
    seed: Seed = None,
    num_seeds: NumSeeds = None,
    name: Name = None,
    run_dir: RunDirectory = None,
    resume: Resume = False,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process_id: ProcessId = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Meta-train a learner of tasks.

    The last line on stdout is the run directory.
    """
    session = begin(coordinator, processes, process_id, quiet, verbose, resumes=True)
    flags = {
        "hierarchy.skills": skills,
        "training.init_from": init_from,
        "training.seed": seed,
        "training.num_seeds": num_seeds,
    }
    asked = _resolve("meta-train", preset, sets, flags)
    _train(*asked, _run_path(name, run_dir), resume, dry_run, as_json, session)


def resume(
    run_dir: RunDir,
    epochs: MoreEpochs = None,
    name: Name = None,
    new_dir: RunDirectory = None,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process_id: ProcessId = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Go on with a run as its own files say.

    With --epochs +N, a new run begins where this one ended. Its numbers are
    those that a longer run would have had; --name and --run-dir are its place.
    The last line on stdout is the run directory.
    """
    session = begin(coordinator, processes, process_id, quiet, verbose, resumes=True)
    path = _run_path(name, new_dir)
    if epochs is None and path is not None:
        raise ConfigError(
            f"{'--name' if name else '--run-dir'}: found without --epochs; must go with --epochs +N"
        )
    if epochs is None:
        resolved, sources, written = upstream.of_run(run_dir)
        _train(resolved, sources, run_dir, True, False, as_json, session, written)
    elif not re.fullmatch(r"\+[1-9]\d{0,7}", epochs):
        raise ConfigError(
            f"--epochs: found {shown(epochs)}; must be +N with N from 1 to 10000000, as in: --epochs +100"
        )
    else:
        _train(*upstream.longer(run_dir, int(epochs)), path, False, False, as_json, session)


def _resolve(
    command: str, preset: str, sets: list[str] | None, flags: Mapping[str, Any]
) -> tuple[config.Resolved, upstream.Sources]:
    """What to run, and what it stands on."""
    given = {path: value for path, value in flags.items() if value is not None}
    return upstream.resolve(command, preset, sets or [], given)


def _run_path(name: str | None, run_dir: Path | None) -> Path | None:
    if name is not None and run_dir is not None:
        raise ConfigError("--run-dir: found together with --name; must be one of the two")
    return run_dir if name is None else named(name)


def _train(
    resolved: config.Resolved,
    sources: upstream.Sources,
    path: Path | None,
    resume: bool,
    dry_run: bool,
    as_json: bool,
    session: Session,
    written: config.Written | None = None,
) -> None:
    if session.is_first and path is not None and not (resume and os.path.lexists(path)):
        check_place(path)
    # a plan is made in seconds, and stops at once
    caught = contextlib.nullcontext(lambda: None) if dry_run else signals.stop_signals()
    command = (config.to_toml(resolved.experiment), str(path), str(resume))
    with caught as stop, running(session, command, stop) as shows:
        for note in resolved.notes:
            shows.note(note)
        from hmrl_cli.runner import estimate, train

        resolved = train.settled(resolved, path, sources, shows.note)
        if dry_run and session.is_first:
            check_run(resolved, path, resume, sources)
        plan = train.check(resolved, shows.note, sources)
        if dry_run:
            plan |= estimate.time(resolved.experiment, plan["total_steps"], path)
            result = {"dry_run": True, "config": config.flat(resolved.experiment), **plan}
        else:
            argv = ["hmrl", *sys.argv[1:]]
            result = train.run(
                resolved, path, resume, shows, argv=argv, stop=stop, sources=sources, written=written
            )
    if as_json:
        print_json(result)
    elif dry_run:
        print_table(("plan", "value"), dry_runs.rows(plan, resolved.experiment.training))
    else:
        print_line(result["run"])
