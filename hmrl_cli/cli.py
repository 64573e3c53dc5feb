"""The command line: the only module that prints, exits or reads argv.

A command validates what it was given, before jax is imported, and hands over to `experiment` or
`report`.  stdout holds the result and nothing else: one JSON document under --json, a run directory
at the end otherwise.
"""

from __future__ import annotations

import codecs
import contextlib
import enum
import errno
import io
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer

import hmrl_cli
from hmrl_cli import (
    comparison,
    config,
    exports,
    inputs,
    interruption,
    listing,
    outputs,
    plugins,
    presets,
    progress,
    records,
    rundir,
    runtime,
    tables,
)
from hmrl_cli.documents import MIDDLE
from hmrl_cli.errors import (
    ConfigError,
    Diverged,
    HmrlError,
    InputError,
    StorageError,
    did_you_mean,
    one_line,
    shown,
    telling_limits,
)
from hmrl_cli.schema import Experiment

app = typer.Typer(
    name="hmrl",
    help="Exploration via hierarchical meta reinforcement learning.",
    pretty_exceptions_enable=False,
    # Boxes and colours for a person, plain text for a file or a pipe.
    rich_markup_mode="rich" if sys.stdout and sys.stdout.isatty() else None,
)


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
    str, typer.Argument(metavar="PRESET|FILE", help="A preset (see: hmrl list presets), or a TOML file.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="K=V", help="A line of TOML, as in 'algorithm.inner_lr = 0.1'; repeatable."
    ),
]
Seed = Annotated[int | None, typer.Option(help="The first seed.")]
NumSeeds = Annotated[int | None, typer.Option(help="Train this many seeds, SEED, SEED+1, ..., in one run.")]
Name = Annotated[str | None, typer.Option(help="Name of the run: its directory is runs/NAME.")]
RunDirectory = Annotated[Path | None, typer.Option("--run-dir", metavar="DIR", help="Directory of the run.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run if it exists, exactly.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, train nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show every epoch as a line.")]
Skills = Annotated[
    str | None, typer.Option(metavar="RUN_DIR", help="Act through the skills of this pretrain-skills run.")
]
RunDirs = Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="Run directories.")]
TasksFile = Annotated[
    Path | None, typer.Option("--tasks", metavar="FILE.npz", help="These tasks instead of those of a split.")
]


def main() -> None:
    """Entry point of `hmrl`."""
    if sys.warnoptions:  # -W and PYTHONWARNINGS: what a library warns of must not end a run
        warnings.resetwarnings()
        for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)
    leave(run(sys.argv[1:]))


def leave(code: int) -> NoReturn:
    """End the process, at once where a compilation was given up on."""
    if interruption.goes_on():
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(argv: Sequence[str]) -> int:
    """Run a command line and return its exit code; nothing that goes wrong leaves a traceback."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this process
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="as_utf8")
    debug = "--debug" in argv
    try:
        with telling_limits():
            code = app(args=list(argv) or ["--help"], prog_name="hmrl", standalone_mode=False)
        sys.stdout.flush()
        if code == 130:  # what typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except (BrokenPipeError, SystemExit):  # typer turns the one into the other
        _discard_stdout()  # as in `hmrl list | head -1`: the reader has what it wants
        return 0
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted")
        return 130
    except OSError as error:  # files of a run have errors of their own
        if error.errno == errno.ENAMETOOLONG:
            name = shown(str(error.filename))
            return _explain(ConfigError(f"found {name}; must be a name that a file can have"), debug)
        _discard_stdout()  # a full disk behind it
        return _explain(StorageError(f"{error.filename or 'stdout'}: {error.strerror}"), debug)
    except Exception as error:
        return _explain(error, debug)


def _as_utf8(error: UnicodeError) -> tuple[bytes, int]:
    """What an encoding of stdout lacks, as UTF-8: a path of other letters stays the path that it is."""
    assert isinstance(error, UnicodeEncodeError)
    return error.object[error.start : error.end].encode("utf-8", "surrogateescape"), error.end


codecs.register_error("as_utf8", _as_utf8)


def _explain(error: Exception, debug: bool) -> int:
    """Say what went wrong in one or two lines; the exit code."""
    usage = getattr(error, "format_message", None)  # typer's own errors, whose class it does not export
    if debug and usage is None:
        traceback.print_exception(error)
    if type(error).__name__ in ("FloatingPointError", "InternalFloatingPointError"):  # by JAX_DEBUG_NANS
        error = Diverged(f"what jax looked at ({one_line(error)[:100]})")
    if isinstance(error, HmrlError):
        _complain(str(error))
        return error.exit_code
    if usage is not None:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "hmrl"
        problem = " ".join(usage().replace("Value error, ", "").split())
        _complain(f"{problem}\nsee: {command} --help")
        return 2
    reason = one_line(error)[:300]
    _complain(
        f"bug: {type(error).__name__}: {reason}\nto see where: rerun with --debug, as in: hmrl --debug ..."
    )
    return 1


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):
        for line in f"error: {text}".splitlines():
            print(progress.printable(line), file=sys.stderr)


def _discard_stdout() -> None:
    """Let nothing more, the interpreter's last flush included, go to the closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(wanted: bool) -> None:
    if wanted:
        _out(f"hmrl {hmrl_cli.__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Exploration via hierarchical meta reinforcement learning."""


# Training.


@app.command("pretrain-skills")
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
    resolved = _resolve("pretrain-skills", preset, sets, flags)
    _train(resolved, _run_path(name, run_dir), resume, dry_run, as_json, _progress(quiet, verbose))


@app.command("meta-train")
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
    resolved = _resolve("meta-train", preset, sets, flags)
    _train(resolved, _run_path(name, run_dir), resume, dry_run, as_json, _progress(quiet, verbose))


def _resolve(command: str, preset: str, sets: list[str] | None, flags: Mapping[str, Any]) -> config.Resolved:
    given = {path: value for path, value in flags.items() if value is not None}
    resolved = config.resolve(command, preset, sets or [], given)
    records.check_skills(resolved.experiment)
    return resolved


def _run_path(name: str | None, run_dir: Path | None) -> Path | None:
    if name is not None and run_dir is not None:
        raise ConfigError("--run-dir: found together with --name; must be one of the two")
    return run_dir if name is None else rundir.named(name)


def _train(
    resolved: config.Resolved,
    path: Path | None,
    resume: bool,
    dry_run: bool,
    as_json: bool,
    shown_progress: contextlib.AbstractContextManager[progress.Progress],
) -> None:
    if path is not None and not (resume and os.path.lexists(path)):
        rundir.check_new(path)
    # a plan is made in seconds, and stops at once
    caught = contextlib.nullcontext(lambda: None) if dry_run else interruption.stop_signals()
    with shown_progress as shows, caught as stop:
        _prepare(shows)
        for note in resolved.notes:
            shows.note(note)
        from hmrl_cli import experiment

        plan = experiment.check(resolved)
        if dry_run:
            result = {"dry_run": True, "config": config.flat(resolved.experiment), **plan}
        else:
            argv = ["hmrl", *sys.argv[1:]]
            with rundir.open_run(resolved, path, resume, argv, shows.note) as run_directory:
                result = _train_in(run_directory, resolved, resume, shows, stop)
    if as_json:
        _out_json(result)
    elif dry_run:
        _out_table(("setting", "value"), [(key, _value(value)) for key, value in plan.items()])
    else:
        _out(result["run"])


def _train_in(
    run_directory: rundir.RunDir,
    resolved: config.Resolved,
    resume: bool,
    shows: progress.Progress,
    stop: Callable[[], int | None],
) -> dict[str, Any]:
    """Train, unless that has been done; what to print."""
    from hmrl_cli import experiment

    if run_directory.is_complete:
        shows.say("the run is complete already")
        summary = run_directory.status.get("summary", {})
    else:
        summary = experiment.train(resolved, run_directory, resume, shows, stop)
        run_directory.complete(summary)
    return {"run": str(run_directory.path), "state": "complete", "epoch": run_directory.epoch, **summary}


# Results.


@app.command("export")
def export(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Run directory.")],
    out: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE.safetensors", help="Arrays; the card is FILE.json."),
    ],
    as_json: Json = False,
) -> None:
    """Write the frozen skills, or the policy before adaptation, as safetensors with a JSON card.

    What comes from a skill run can stand in for it: hmrl meta-train PRESET --skills FILE.safetensors.
    """
    exports.check_output(out, records.read(run_dir).experiment)
    with _progress(quiet=False, verbose=False) as shows:
        _prepare(shows)
        from hmrl_cli import frozen

        card = frozen.export(run_dir, out, shows)
    if as_json:
        _out_json({"file": str(out), "card": str(exports.card_path(out)), **card})
    else:
        _out(str(out))


@app.command()
def imitate(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Directory of a skill run.")],
    trajectory: Annotated[
        Path, typer.Argument(metavar="FILE.npz", help="obs [T + 1, size]: observations from a reset on.")
    ],
    as_json: Json = False,
) -> None:
    """Find the skill that follows a trajectory, and measure how closely it does.

    One line for each seed: the skill that the discriminator finds, how far it stays from the trajectory, and
    how far the skills do on average.
    """
    records.read(run_dir)
    if reason := inputs.why_no_file(trajectory):
        raise InputError(f"{shown(str(trajectory))}: {reason}; must be an .npz of observations")
    with _progress(quiet=False, verbose=False) as shows:
        _prepare(shows)
        from hmrl_cli import imitation

        result = imitation.imitate(run_dir, trajectory, shows)
    if as_json:
        _out_json(result)
        return
    columns = (result[name] for name in ("skill", "distance_of_chosen", "distance_of_mean"))
    rows = [[_value(cell) for cell in row] for row in zip(*columns, strict=True)]
    _out_table(("skill", "distance", "distance of the mean skill"), rows)


@app.command("eval")
def evaluate(
    run_dirs: RunDirs,
    split: Annotated[SplitName | None, typer.Option(help="Tasks of this split.  [default: test]")] = None,
    tasks: TasksFile = None,
    reward: Annotated[RewardName, typer.Option(help="Adapt to this reward.")] = RewardName.sparse,
    adapt_steps: Annotated[int | None, typer.Option(min=0, help="Inner updates; as in the run.")] = None,
    episodes: Annotated[
        int | None, typer.Option(min=1, help="Episodes per inner update; as in the run.")
    ] = None,
    num_tasks: Annotated[int | None, typer.Option(min=1, help="Tasks of the split; as in the run.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="K=V",
            help="Another evaluation.*, as in evaluation.rule=refit; repeatable.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the adaptation to held-out tasks.

    The table goes to stderr and the run directory to stdout; with --json, several runs give a list.
    """
    _check_tasks_file(tasks, split=split, num_tasks=num_tasks)
    given = {"adapt_steps": adapt_steps, "episodes": episodes, "num_tasks": num_tasks}
    wanted = {name: value for name, value in given.items() if value is not None}
    for run_directory in run_dirs:
        experiment_of_run = records.read(run_directory).experiment
        if wanted or set_:
            config.with_evaluation(experiment_of_run, set_ or (), wanted)
    results = []
    with _progress(quiet=False, verbose=False) as shows:
        _prepare(shows)
        from hmrl_cli import experiment

        for run_directory in run_dirs:
            result = experiment.evaluate(
                run_directory,
                split=(split or SplitName.test).value,
                tasks_file=tasks,
                reward=reward.value,
                **given,
                sets=set_ or (),
                progress=shows,
            )
            results.append(result)
    if as_json:
        _out_json(results[0] if len(results) == 1 else results)
        return
    for run_directory, result in zip(run_dirs, results, strict=True):
        _table(*_result_table(result), stream=sys.stderr)
        _caption(_lines_text(result), sys.stderr)
        _out(str(run_directory))


def _result_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A line per number of inner updates, middle [low, high] of each measure; of skills, one per number."""
    if "steps" not in result:
        return ["skills", "value"], [[key, _value(value)] for key, value in result.items()]
    measures = [key for key in ("return", "success", "reached", "fraction") if result.get(key)]
    rows = [
        [str(step), *(_interval(result[measure], MIDDLE[measure], index) for measure in measures)]
        for index, step in enumerate(result["steps"])
    ]
    return ["updates", *measures], rows


def _interval(measure: Mapping[str, Any], middle: str, index: int) -> str:
    """A number with its interval; nothing where there is none."""
    if measure.get(middle) is None:
        return ""
    centre, low, high = (measure[key][index] for key in (middle, "low", "high"))
    return f"{centre:.4g} [{low:.4g}, {high:.4g}]"


def _lines_text(result: Mapping[str, Any]) -> str:
    """The reference lines of an evaluation, and what doing nothing meets where it meets anything."""
    told = []
    for line in ("flat", "feasible"):
        if result.get(line) is not None:
            rates = {name: result.get(f"{line}_{name}") for name in ("success", "reached")}
            met = ", ".join(f"{name} {_value(rate)}" for name, rate in rates.items() if rate)
            told.append(f"{line} {_value(result[line])}{f' ({met})' if met else ''}")
    return ", ".join(told)


@app.command()
def compare(run_dirs: RunDirs, as_json: Json = False) -> None:
    """Compare evaluated runs, with intervals, and the first run with each of the others.

    A difference is the mean of the first run minus that of another, after the
    last update. It is paired by task, and by seed where both runs stand on the
    same skills. Its 95 % interval draws tasks and seeds anew.
    """
    for run_directory in run_dirs:
        records.read(run_directory)
    from hmrl_cli import report as reports

    result = reports.compare(run_dirs)
    if as_json:
        _out_json(result)
        return
    _out_rows(comparison.without_nothing(result["rows"]), ("run", "split", "return", "success", "reached"))
    if result.get("differences"):
        _out("")
        rows = [comparison.difference_cells(one) for one in result["differences"]]
        _out_rows(rows, (*list(rows[0])[:2], "return", "success", "reached"))


def _out_rows(rows: Sequence[Mapping[str, Any]], always: Sequence[str]) -> None:
    """Rows by column: on a terminal those columns that fit, and one line of what is the same in all rows."""
    columns = list(rows[0])
    cells = [{column: _value(row[column]) for column in columns} for row in rows]
    width, caption = _width(sys.stdout), []
    if width is not None:
        columns, constant, left_out = tables.chosen(cells, always, width)
        same = [f"{column} {cells[0][column]}" for column in constant if cells[0][column]]
        caption += [f"in every row: {', '.join(same)}"] if same else []
        caption += [f"in a wider terminal, or with --json: {', '.join(left_out)}"] if left_out else []
    _out_table(columns, [[row[column] for column in columns] for row in cells])
    for text in caption:
        _caption(text, sys.stdout)


@app.command()
def report(
    run_dirs: RunDirs,
    out: Annotated[
        Path | None,
        typer.Option("-o", metavar="FILE.html", help="[default: report.html in the only run, or here]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one HTML page on the runs, or, to a name that ends in .svg, their adaptation curves.

    It is self-contained; stdout is its path.
    """
    for run_directory in run_dirs:
        records.read(run_directory)
    if out is None:
        out = run_dirs[0] / "report.html" if len(run_dirs) == 1 else Path("report.html")
    outputs.check_page(out, "report")
    runtime.prepare()
    from hmrl_cli import report as reports

    path = str(reports.write(run_dirs, out))
    if as_json:
        _out_json({"report": path})
    else:
        _out(path)


@app.command()
def render(
    what: Annotated[
        str, typer.Argument(metavar="RUN_DIR|FAMILY", help="A run directory, or a family or a preset of one.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", metavar="FILE.html", help="[default: render.html in the run, else FAMILY.html]"),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="Tasks of this split.")] = SplitName.test,
    reward: Annotated[RewardName, typer.Option(help="Which reward is earned.")] = RewardName.sparse,
    num_tasks: Annotated[int, typer.Option(min=1, max=100, help="How many tasks.")] = 3,
    as_json: Json = False,
) -> None:
    """Write one HTML page that plays episodes.

    Of a skill run, every skill; of a meta-run, its policy before and after adaptation; of a family, the
    scripted controller that knows the goal. The page is self-contained; stdout is its path.
    """
    is_run = Path(what).is_dir()
    if is_run:
        records.read(Path(what))
    else:
        known = {*plugins.names("families"), *presets.files()}
        _check_known("RUN_DIR|FAMILY", what, known, "a run directory, a family or a preset (see: hmrl list)")
    if out is not None and out.suffix != ".html":
        raise ConfigError(f"-o: found {shown(out.name)}; must end in .html")
    place = out or (Path(what) / "render.html" if is_run else Path(f"{what.replace('/', '-')}.html"))
    outputs.check_page(place, "render")
    with _progress(quiet=False, verbose=False) as shows:
        _prepare(shows)
        from hmrl_cli import render as renders

        settings: dict[str, Any] = {
            "split": split.value,
            "reward": reward.value,
            "num_tasks": num_tasks,
            "out": out,
            "progress": shows,
        }
        write = partial(renders.render_run, Path(what)) if is_run else partial(renders.render_family, what)
        path = str(write(**settings))
    if as_json:
        _out_json({"render": path})
    else:
        _out(path)


# Looking things up.


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show versions, devices, the cache of compiled programs and the room on the disk."""
    cache_problem = runtime.start()
    from hmrl_cli import doctor as doctors

    found = doctors.examine(cache_problem)
    if as_json:
        _out_json(found)
        return
    sections = ((name, section) for name, section in found.items() if isinstance(section, Mapping))
    rows = [[name, key, _value(value)] for name, section in sections for key, value in section.items()]
    _out_table(("", "what", "found"), rows)


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Argument(metavar="[families|algorithms|bonuses|presets]", help="What to list.")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="One of them, in detail.")] = None,
    split: Annotated[SplitName | None, typer.Option(help="Roll a family out on this split.")] = None,
    tasks: TasksFile = None,
    as_json: Json = False,
) -> None:
    """List what there is, or one in detail.

    `hmrl list families NAME --json`, with --split or --tasks if need be, describes a family by rolling
    it out: sizes, and the returns of doing nothing and of a scripted controller.
    """
    if kind is not None and kind not in listing.LISTINGS:
        raise ConfigError(
            f"list: found {shown(kind)}{did_you_mean(kind, listing.LISTINGS)}\n"
            f"must be one of: {', '.join(listing.LISTINGS)}"
        )
    rolls_out = split is not None or tasks is not None
    if rolls_out and (kind != "families" or name is None):
        raise ConfigError("--split, --tasks: must go with one family, as in: hmrl list families NAME")
    if name is None:
        _list_all([kind] if kind else list(listing.LISTINGS), as_json)
    elif kind == "families" and (rolls_out or as_json):
        _check_tasks_file(tasks, split=split)
        _describe_family(name, split or SplitName.test, tasks, as_json)
    elif kind == "presets":
        _show_preset(name, as_json)
    else:
        _list_fields(str(kind), name, as_json)


def _list_all(kinds: Sequence[str], as_json: bool) -> None:
    listings = {kind: listing.LISTINGS[kind]() for kind in kinds}
    if as_json:
        _out_json(listings)
        return
    for kind, rows in listings.items():
        columns = [kind, *(list(rows[0])[1:] if rows else ())]
        _out_table(columns, [list(row.values()) for row in rows])


def _describe_family(name: str, split: SplitName, tasks: Path | None, as_json: bool) -> None:
    config.family_of(name)  # a wrong name is told before jax is imported
    with _progress(quiet=False, verbose=False) as shows:
        _prepare(shows)
        from hmrl_cli import experiment

        described = experiment.describe_family(name, split.value, tasks)
    if as_json:
        _out_json(described)
    else:
        rows = [(key, _value(_without_tasks(value))) for key, value in described.items()]
        _out_table(("family", name), rows)


def _without_tasks(value: Any) -> Any:
    """Reference lines without those of each task."""
    return {key: x for key, x in value.items() if key != "per_task"} if isinstance(value, Mapping) else value


def _list_fields(kind: str, name: str, as_json: bool) -> None:
    module = plugins.load(kind, name)
    rows = listing.fields(module.Config)
    if as_json:
        command = {"command": module.Config.command} if kind == "algorithms" else {}
        fields = [row._asdict() for row in rows]
        _out_json({"name": name, **command, "description": listing.purpose(kind, name), "fields": fields})
        return
    cells = [(row.name, row.type, _value(row.default), row.description) for row in rows]
    _out_table((name, "type", "default", "description"), cells)


@app.command()
def show(
    what: Annotated[
        str, typer.Argument(metavar="RUN_DIR|PRESET", help="A run directory, a preset or a file.")
    ],
    as_json: Json = False,
) -> None:
    """Show a configuration and where it is from.

    Each value comes with its origin, a run with its status.
    """
    if not Path(what).is_dir():
        if not what.endswith(".toml"):
            wanted = "a run directory, a preset (see: hmrl list presets) or a path that ends in .toml"
            _check_known("RUN_DIR|PRESET", what, presets.files(), wanted)
        _show_preset(what, as_json)
        return
    info = records.read(Path(what))
    origins = info.provenance.get("origins", {})
    if as_json:
        settings = config.flat(info.experiment)
        _out_json({"run": what, "status": info.status, "config": settings, "origins": origins})
        return
    state, epoch, epochs = (info.status.get(key, "?") for key in ("state", "epoch", "epochs"))
    _out(f"# {what}: {state}, epoch {epoch} of {epochs}")
    _out_config(info.experiment, origins)


def _show_preset(preset: str, as_json: bool) -> None:
    served = config.serving(preset)
    if as_json:
        commands = {
            resolved.command: {"config": config.flat(resolved.experiment), "origins": resolved.origins}
            for resolved in served
        }
        _out_json({"preset": preset, "commands": commands})
        return
    for resolved in served:
        _out(f"# hmrl {resolved.command} {preset}")
        _out_config(resolved.experiment, resolved.origins)


# Printing.


def _out(text: str) -> None:
    print(progress.printable(text), flush=True)


def _out_json(value: Any) -> None:
    print(json.dumps(value, indent=2, allow_nan=False), flush=True)


def _out_config(experiment: Experiment, origins: Mapping[str, str]) -> None:
    """Lines of TOML, with the origins as comments."""
    lines = {path: f"{path} = {json.dumps(value)}" for path, value in config.flat(experiment).items()}
    width = max(map(len, lines.values()))
    for path, line in lines.items():
        _out(f"{line:<{width}}  # {origins.get(path, 'unknown')}")


def _out_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    _table(columns, rows, stream=sys.stdout)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO) -> None:
    """A table, as wide as a terminal at most; nothing of it is ever cut."""
    cells = [[progress.printable(cell) for cell in row] for row in (columns, *rows)]
    width = _width(stream)
    header, *blocks = tables.fitted(cells, width)
    if width is None:
        _print_lines(header, stream)
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(file=stream)
        for line in header:
            console.print(Text(line, style="bold"), soft_wrap=True)
    for block in blocks:
        _print_lines(block, stream)


def _caption(text: str, stream: TextIO) -> None:
    if text:
        _print_lines(tables.wrapped(progress.printable(text), _width(stream)), stream)


def _print_lines(lines: Sequence[str], stream: TextIO) -> None:
    for line in lines:
        print(line, file=stream, flush=True)


def _width(stream: TextIO) -> int | None:
    """Characters of a line of a terminal; None where a line may be of any length."""
    if not stream.isatty():
        return None
    from rich.console import Console

    return Console(file=stream).width


def _value(value: Any) -> str:
    """A cell: numbers to four digits, lists in brackets, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return str(value)


@contextlib.contextmanager
def _progress(quiet: bool, verbose: bool) -> Iterator[progress.Progress]:
    shows = progress.make(sys.stderr, quiet=quiet, verbose=verbose)
    try:
        # whatever a library prints, stdout is the result's
        with contextlib.redirect_stdout(sys.stderr), runtime.cache_warnings(shows.note):
            yield shows
    finally:
        shows.close()


def _prepare(shows: progress.Progress) -> None:
    warning = runtime.start()
    if warning:
        shows.note(warning)


def _check_known(argument: str, found: str, known: Collection[str], wanted: str) -> None:
    """Complain of an argument that is neither a run directory nor known; `wanted` is all that it may be."""
    if found not in known:
        raise ConfigError(f"{argument}: found {shown(found)}{did_you_mean(found, known)}\nmust be {wanted}")


def _check_tasks_file(path: Path | None, **of_split: Any) -> None:
    """A file of tasks is one, and stands alone: what chooses tasks of a split would do nothing beside it."""
    if path is None:
        return
    for name, value in of_split.items():
        if value is not None:
            raise ConfigError(
                f"--{name.replace('_', '-')}: found together with --tasks; must be one of the two"
            )
    if reason := inputs.why_no_file(path):
        raise InputError(f"--tasks: found {shown(str(path))}, which {reason}; must be an .npz of tasks")
