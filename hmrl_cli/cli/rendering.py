"""The command that plays episodes on a page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hmrl_cli import config
from hmrl_cli.cli import completion
from hmrl_cli.cli.options import (
    Coordinator,
    Json,
    Processes,
    ProcessId,
    Protocol,
    RewardName,
    SetEvaluation,
    SplitName,
    check_known,
    is_directory,
)
from hmrl_cli.cli.output import print_json, print_line
from hmrl_cli.cli.session import alone, begin
from hmrl_cli.config import plugins, presets
from hmrl_cli.errors import ConfigError, shown
from hmrl_cli.storage import outputs, reader


def render(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN_DIR|FAMILY",
            help="A run directory, or a family, its file or a preset of one.",
            autocompletion=completion.runs_and_families,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            metavar="FILE.html",
            help="The page.",
            show_default="render.html in the run, else FAMILY.html",
        ),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="Tasks of this split.")] = SplitName.test,
    reward: Annotated[RewardName, typer.Option(help="Which reward is earned.")] = RewardName.sparse,
    num_tasks: Annotated[int, typer.Option(min=1, max=100, help="How many tasks.")] = 3,
    protocol: Protocol = None,
    set_: SetEvaluation = None,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process_id: ProcessId = None,
    as_json: Json = False,
) -> None:
    """Write one HTML page that plays episodes.

    Episodes play one at a time, or all at once as ghosts. A skill run shows every skill. A meta-run
    shows the episodes of an adaptation, as eval measures it. A family shows the scripted controller
    that knows the goal. The page is self-contained; stdout is its path.
    """
    known = {*plugins.names("families"), *presets.files()}
    run = reader.read(Path(what)) if is_directory(what, known) else None
    if run is None:
        _check_family(what, protocol, set_)
    else:
        _check_run(run, protocol, set_)
    if out is not None and out.suffix != ".html":
        raise ConfigError(f"-o: found {shown(out.name)}; must end in .html")
    place = out or (run.path / "render.html" if run else outputs.page_of(what))
    outputs.check_page(place, "render")
    command = ("render", what, place, split, reward, num_tasks, protocol, set_)
    with alone(begin(coordinator, processes, process_id), command) as shows:
        from hmrl_cli.runner import render as renders

        of_run = partial(renders.render_run, run, protocol=protocol, sets=set_ or ()) if run else None
        write = of_run or partial(renders.render_family, what)
        path = str(
            write(split=split.value, reward=reward.value, num_tasks=num_tasks, out=out, progress=shows)
        )
    if as_json:
        print_json({"render": path})
    else:
        print_line(path)


def _check_family(what: str, protocol: str | None, set_: Sequence[str] | None) -> None:
    """ConfigError unless it is a family, its file or a preset, which does not adapt."""
    if plugins.is_file(what):
        config.family_of(what)  # refuses a broken file before jax is imported
    else:
        known = {*plugins.names("families"), *presets.files()}
        check_known("RUN_DIR|FAMILY", what, known, "a run directory, a family or a preset (see: hmrl list)")
    _check_no_protocol(protocol)
    if set_:
        raise ConfigError(
            f"--set: found {shown(set_[0])} for a family, which does not adapt; must be left out"
        )


def _check_run(run: reader.Info, protocol: str | None, set_: Sequence[str] | None) -> None:
    """ConfigError unless the run adapts by these settings."""
    if run.experiment.algorithm.command == "pretrain-skills":
        _check_no_protocol(protocol)
    if protocol or set_:
        config.with_evaluation(run.experiment, set_ or (), protocol=protocol)


def _check_no_protocol(protocol: str | None) -> None:
    if protocol:
        raise ConfigError(f"--protocol: found {shown(protocol)} for what does not adapt; must be left out")
