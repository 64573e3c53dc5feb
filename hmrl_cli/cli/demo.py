"""The demo: the main job, small but real, as a sequence of command lines of their own."""

from __future__ import annotations

import contextlib
import datetime
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from hmrl_cli.cli import progress
from hmrl_cli.cli.options import DryRun, Json
from hmrl_cli.cli.output import print_json, print_line
from hmrl_cli.errors import HmrlError, RunDirError
from hmrl_cli.storage.naming import RUNS, check_place
from hmrl_cli.storage.places import Taken

Words = tuple[str, ...]  # of a command line, without the first, "hmrl"

FLAT, SKILLS, HMRL, UNTRAINED = "maesn", "skills", "hmrl", "skills_only"  # directories of runs


class Stage(NamedTuple):
    """Command lines that run one after the other."""

    title: str
    commands: tuple[Words, ...]


class Demo(NamedTuple):
    """All that the demo runs."""

    beside: Words  # a training beside the first two stages, which use one core for part of the time
    training: tuple[Stage, ...]
    measuring: tuple[Stage, ...]
    comparison: Words  # whose stdout is the result
    figures: Words
    report: Words


def definition(folder: Path) -> Demo:
    """The demo in a folder.

    Skills are learned without reward.  Where to look with them is learned on related tasks.  Then goals are
    searched that were never trained on, with sparse reward.  Beside it stand the same search without
    meta-learning, and MAESN without skills, which decides as often.  Each has 16 episodes of a goal.
    """
    flat, skills, hmrl, untrained = (str(folder / name) for name in (FLAT, SKILLS, HMRL, UNTRAINED))
    arms, through = (hmrl, untrained, flat), ("meta-train", "wheeled/demo", "--skills", skills)
    less = ("training.epochs=1", "algorithm.batches=1", "evaluation.relabel.broad=1")
    sets = tuple(word for line in less for word in ("--set", line))
    first = Stage(
        "1/4  Skills of a wheeled robot, found without reward (and, in the background, flat MAESN)",
        (("pretrain-skills", "wheeled/demo", "--run-dir", skills),),
    )
    second = Stage(
        "2/4  HMRL: where goals are, learned over these skills with sparse reward",
        ((*through, "--run-dir", hmrl), (*through, "--run-dir", untrained, "-q", *sets)),
    )
    search = ("--reward", "sparse")
    return Demo(
        ("meta-train", "wheeled/demo_flat", "--run-dir", flat, "-q"),
        (first, second),
        tuple(
            Stage(
                f"{number}/4  Searching {split} goals, with sparse reward",
                (("eval", *arms, "--split", split, *search),),
            )
            for number, split in ((3, "test"), (4, "hidden"))
        ),
        ("compare", *arms),
        ("report", *arms, "-o", str(folder / "curves.svg")),
        ("report", *arms, skills, "-o", str(folder / "report.html")),
    )


def demo(
    folder: Annotated[
        Path | None, typer.Argument(help="A new folder.", show_default="runs/demo-TIME")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Run the main job, small but real, in some minutes.

    Skills of a wheeled robot, meta-training over them, a search for new goals, and a comparison.
    With --dry-run, print the command lines instead.
    """
    out = folder or RUNS / f"demo-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    steps = definition(out)
    _check_folder(out)
    if dry_run:
        _print_lines(steps, as_json)
        return
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with _interrupted_by_term():
        with _beside(steps.beside, out / f"{FLAT}.log"):
            _run(steps.training)
        _run(steps.measuring)
        found = _called((*steps.comparison, "--json")) if as_json else _called(steps.comparison, shows=True)
        _called(steps.figures)
        page = _called(steps.report).strip()
    figures = [str(out / "curves.svg"), str(out / SKILLS / "skills.svg")]
    if as_json:
        print_json({"folder": str(out), "comparison": json.loads(found), "figures": figures, "report": page})
    else:
        print_line(f"figures: {', '.join(figures)}")
        print_line(f"report:  {page}")
    _say(f"took {time.monotonic() - began:.0f} s")


def _check_folder(folder: Path) -> None:
    """Refuse a folder in which no run of the demo can be created; a demo cannot be resumed.

    Raises:
        RunDirError: a run exists, or cannot be created.
    """
    for name in (FLAT, SKILLS, HMRL, UNTRAINED):
        try:
            check_place(folder / name)
        except Taken:
            raise RunDirError(
                f"{folder / name}: exists; the folder of a demo must be a new one\n"
                "to have one chosen, runs/demo-TIME: leave the folder out"
            ) from None


def _print_lines(steps: Demo, as_json: bool) -> None:
    commands = [command for stage in (*steps.training, *steps.measuring) for command in stage.commands]
    lines = [
        shlex.join(["hmrl", *words])
        for words in (steps.beside, *commands, steps.comparison, steps.figures, steps.report)
    ]
    if as_json:
        print_json({"commands": lines})
    else:
        for line in lines:
            print_line(line)


def _run(stages: tuple[Stage, ...]) -> None:
    for stage in stages:
        _say(stage.title)
        for command in stage.commands:
            _called(command)


def _say(text: str) -> None:
    progress.Quiet(sys.stderr).note(text)


@contextlib.contextmanager
def _interrupted_by_term() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that it also stops every process that was started."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _called(words: Words, shows: bool = False) -> str:
    """Run a command line; return its stdout, or "" if shown.  A failure ends the demo with the same code."""
    with _started(words, stdout=None if shows else subprocess.PIPE, text=True) as process:
        out, _ = process.communicate()
    _check(words, process.returncode)
    return out or ""


@contextlib.contextmanager
def _beside(words: Words, log: Path) -> Iterator[None]:
    """Run a command line in the background, and wait for it at the end.  If it fails, show its output."""
    with log.open("wb") as file, _started(words, stdout=file, stderr=file) as process:
        yield
        process.wait()
    if process.returncode:
        _say(log.read_text(errors="replace").rstrip())
    _check(words, process.returncode)


def _check(words: Words, code: int) -> None:
    if code:
        ended = HmrlError(f"hmrl {words[0]} ended with code {code}; to go on by hand: hmrl demo --dry-run")
        ended.exit_code = code if code > 0 else 128 - code  # below 0: killed by a signal
        raise ended


@contextlib.contextmanager
def _started(words: Words, **streams: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a command line as a process, which has ended when the block ends."""
    with subprocess.Popen([sys.executable, "-P", "-m", "hmrl_cli", *words], **streams) as process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise
