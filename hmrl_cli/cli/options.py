"""Arguments and options that commands share."""

from __future__ import annotations

import enum
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from hmrl_cli import inputs
from hmrl_cli.cli import completion
from hmrl_cli.config import plugins
from hmrl_cli.errors import (
    ConfigError,
    InputError,
    shown,
)
from hmrl_cli.storage import layout
from hmrl_cli.storage.places import near

OF_RUN = "as in the run"  # a default


class SplitName(enum.StrEnum):
    """Which tasks of a family."""

    test = "test"
    hidden = "hidden"
    train = "train"


class RewardName(enum.StrEnum):
    """Which reward of a family."""

    sparse = "sparse"
    dense = "dense"


Preset = Annotated[
    str,
    typer.Argument(
        metavar="PRESET|FILE",
        help="A preset (see: hmrl list presets), or a TOML file.",
        autocompletion=completion.presets_of_command,
    ),
]


Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="K=V",
        help="A line of TOML, as in 'algorithm.inner_lr = 0.1'; repeatable.",
        autocompletion=completion.assignments,
    ),
]


Seed = Annotated[int | None, typer.Option(help="The first seed.")]


NumSeeds = Annotated[int | None, typer.Option(help="Train this many seeds, SEED, SEED+1, ..., in one run.")]


Name = Annotated[str | None, typer.Option(help="Name of the run: its directory is runs/NAME.")]


RunDirectory = Annotated[Path | None, typer.Option("--run-dir", metavar="DIR", help="Directory of the run.")]


InitFrom = Annotated[
    str | None,
    typer.Option(
        metavar="RUN_DIR",
        help="Start from the last checkpoint of this run, with all it learned.",
        autocompletion=completion.runs,
    ),
]


MoreEpochs = Annotated[
    str | None,
    typer.Option("--epochs", metavar="+N", help="Of a complete run: N epochs more, as a new run."),
]


Resume = Annotated[bool, typer.Option("--resume", help="Continue the run if it exists, exactly.")]


Coordinator = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="Process 0 of several that share the work; see `hmrl guide runs`."
    ),
]


Processes = Annotated[
    int | None, typer.Option(min=1, help="Number of processes; 1 joins no other, whatever launched them.")
]


ProcessId = Annotated[int | None, typer.Option(min=0, help="Index of this process.")]


DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, train nothing.")]


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show every epoch as a line.")]


Skills = Annotated[
    str | None,
    typer.Option(
        metavar="RUN_DIR|pretrained:NAME",
        help="Act through the skills of this pretrain-skills run, or see: hmrl list pretrained.",
        autocompletion=completion.skills,
    ),
]


Evaluable = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN_DIR|pretrained:NAME",
        help="Run directories, or see: hmrl list pretrained.",
        readable=False,  # whether it can be read shows when it is read
        autocompletion=completion.runs_and_pretrained,
    ),
]


RunDir = Annotated[
    Path,
    typer.Argument(metavar="RUN_DIR", help="Run directory.", readable=False, autocompletion=completion.runs),
]


SkillRunDir = Annotated[
    Path,
    typer.Argument(
        metavar="RUN_DIR",
        help="Directory of a skill run.",
        readable=False,
        autocompletion=completion.runs,
    ),
]


RunDirs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN_DIR", help="Run directories.", readable=False, autocompletion=completion.runs
    ),
]


SetEvaluation = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="K=V",
        help="Another evaluation.*, as in evaluation.rule=refit; repeatable.",
        autocompletion=completion.assignments,
    ),
]


TasksFile = Annotated[
    Path | None, typer.Option("--tasks", metavar="FILE.npz", help="These tasks instead of those of a split.")
]


class _Flags:
    """In the help, a flag has no type beside it, and an argument shows its name alone."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters of a command."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
            if param.param_type_name == "argument":
                param.display_type_rich = lambda ctx: ""
                if param.nargs != 1 and not hasattr(param, "_usage_display_name"):  # of an older typer
                    param.metavar = f"{param.metavar.rstrip('.')}..."
        return params


class Command(_Flags, typer.core.TyperCommand):
    """A command."""


class Commands(_Flags, typer.core.TyperGroup):
    """The list of all commands."""

    def _main_shell_completion(self, *args: Any, **kwargs: Any) -> None:
        with completion.whole_words():
            super()._main_shell_completion(*args, **kwargs)


Protocol = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A named way to adapt (see: hmrl list protocols).",
        show_default=OF_RUN,
        autocompletion=completion.protocol_names,
    ),
]


Evaluated = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="Evaluations by this protocol, or of this name.",
        show_default="that of the run",
        autocompletion=completion.protocol_names,
    ),
]


def is_directory(what: str, known: Collection[str]) -> bool:
    """Whether a word means a directory.  A folder that is no run does not hide a known name."""
    path = Path(what)
    return path.is_dir() and (what not in known or layout.is_run(path))


def check_known(argument: str, found: str, known: Collection[str], wanted: str) -> None:
    """Refuse an argument that is not among the known names.

    Raises:
        ConfigError: the argument is unknown; the message ends in what is `wanted`.
    """
    if found not in known:
        run = near(Path(found)) if argument.startswith("RUN_DIR") else ""
        hint = plugins.suggestion(found, known) or run
        raise ConfigError(f"{argument}: found {shown(found)}{hint}\nmust be {wanted}")


def check_tasks_file(path: Path | None, **of_split: Any) -> None:
    """Refuse a path that is no file, and a file beside options that choose tasks of a split.

    Raises:
        ConfigError: one of the options `of_split` is given as well.
        InputError: the path is no regular file.
    """
    if path is None:
        return
    for name, value in of_split.items():
        if value is not None:
            raise ConfigError(
                f"--{name.replace('_', '-')}: found together with --tasks; must be one of the two"
            )
    if reason := inputs.why_no_file(path):
        raise InputError(f"--tasks: found {shown(str(path))}, which {reason}; must be an .npz of tasks")
