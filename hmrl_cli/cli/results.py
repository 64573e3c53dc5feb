"""Commands on trained runs: export, imitate and eval."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hmrl_cli import config, inputs
from hmrl_cli.cli.options import (
    OF_RUN,
    Coordinator,
    Evaluable,
    Json,
    Processes,
    ProcessId,
    Protocol,
    Quiet,
    RewardName,
    RunDir,
    SetEvaluation,
    SkillRunDir,
    SplitName,
    TasksFile,
    check_tasks_file,
)
from hmrl_cli.cli.output import (
    as_cell,
    print_caption,
    print_json,
    print_line,
    print_table,
    write_table,
)
from hmrl_cli.cli.session import alone, begin, running
from hmrl_cli.errors import ConfigError, Diverged, HmrlError, InputError, RunDirError, shown
from hmrl_cli.report import differences
from hmrl_cli.runner.progress import Progress
from hmrl_cli.storage import exports, layout, pretrained, reader
from hmrl_cli.storage.document import MIDDLE, SIZES

OF_ONE_RUN = (ConfigError, Diverged, InputError, RunDirError)  # errors that concern no other run
WHERE = ("direction", "place")  # numbers of skills that have no mean


def export(
    run_dir: RunDir,
    out: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE.safetensors", help="Arrays; the card is FILE.json."),
    ],
    coordinator: Coordinator = None,
    processes: Processes = None,
    process_id: ProcessId = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write skills, or a policy, to a file.

    It is the frozen skills, or the policy before adaptation, as safetensors
    with a JSON card.

    What comes from a skill run can stand in for it: hmrl meta-train PRESET --skills FILE.safetensors.
    """
    run = reader.read(run_dir)
    exports.check_output(out, run.experiment)
    session = begin(coordinator, processes, process_id, quiet)
    with alone(session, ("export", run_dir, out)) as shows:
        from hmrl_cli.runner import export

        card = export.export(run, out, shows)
    if as_json:
        print_json({"file": str(out), "card": str(exports.card_path(out)), **card})
    else:
        print_line(str(out))


def imitate(
    run_dir: SkillRunDir,
    trajectory: Annotated[
        Path, typer.Argument(metavar="FILE.npz", help="obs [T + 1, size]: observations from a reset on.")
    ],
    coordinator: Coordinator = None,
    processes: Processes = None,
    process_id: ProcessId = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Find the skill that follows a trajectory.

    It also measures how closely the skill does.

    One line for each seed: the skill that the discriminator finds, how far it stays from the trajectory, and
    how far the skills do on average.
    """
    run = reader.read(run_dir)
    if reason := inputs.why_no_file(trajectory):
        raise InputError(f"{shown(str(trajectory))}: {reason}; must be an .npz of observations")
    session = begin(coordinator, processes, process_id, quiet)
    with alone(session, ("imitate", run_dir, trajectory)) as shows:
        from hmrl_cli.runner import imitate

        result = imitate.imitate(run, trajectory, shows)
    if as_json:
        print_json(result)
        return
    columns = (result[name] for name in ("skill", "distance_of_chosen", "distance_of_mean"))
    rows = [[as_cell(cell) for cell in row] for row in zip(*columns, strict=True)]
    print_table(("skill", "distance", "distance of the mean skill"), rows)


def evaluate(
    run_dirs: Evaluable,
    split: Annotated[SplitName | None, typer.Option(help="Tasks of this split.", show_default="test")] = None,
    tasks: TasksFile = None,
    reward: Annotated[RewardName, typer.Option(help="Adapt to this reward.")] = RewardName.sparse,
    protocol: Protocol = None,
    adapt_steps: Annotated[
        int | None, typer.Option(min=0, help="Inner updates.", show_default=OF_RUN)
    ] = None,
    episodes: Annotated[
        int | None, typer.Option(min=1, help="Episodes per inner update.", show_default=OF_RUN)
    ] = None,
    num_tasks: Annotated[
        int | None, typer.Option(min=1, help="Tasks of the split.", show_default=OF_RUN)
    ] = None,
    set_: SetEvaluation = None,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process_id: ProcessId = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure the adaptation to held-out tasks.

    The table goes to stderr and the run directory to stdout; with --json, several runs give a list.
    Of several runs, one whose files cannot be used is left out, and is an error at the end.
    What is pretrained is unpacked into a run directory first, as runs/pretrained-FAMILY-NAME.
    """
    check_tasks_file(tasks, split=split, num_tasks=num_tasks)
    given = {"adapt_steps": adapt_steps, "episodes": episodes, "num_tasks": num_tasks}
    reader.check_different(run_dirs)
    checked = _checked_runs(run_dirs, set_ or (), given, protocol)
    command = ("eval", *run_dirs, split, tasks, reward, protocol, given, set_)
    session = begin(coordinator, processes, process_id, quiet)
    goes_on = len(run_dirs) > 1 and session.joining is None
    broken = [run for run in checked if isinstance(run, InputError)]
    if broken and not goes_on:
        raise broken[0]
    with running(session, command) as shows:
        from hmrl_cli.runner import unpack

        results, failed = _evaluated(
            {path: run or unpack.opened(path) for path, run in zip(run_dirs, checked, strict=True)},
            shows,
            goes_on,
            split=split and split.value,
            tasks_file=tasks,
            reward=reward.value,
            **given,
            protocol=protocol,
            sets=set_ or (),
        )
    if as_json:
        print_json(results[0] if len(run_dirs) == 1 else results)
    for result in () if as_json else results:
        print_caption(_what(result), sys.stderr)
        write_table(*_result_table(result), stream=sys.stderr)
        print_caption(_lines_text(result), sys.stderr)
        print_line(result["run"])
    for other in failed[1:]:
        print_caption(f"error: {other}", sys.stderr)
    if failed:
        raise failed[0]


def _evaluated(
    runs: Mapping[Path, reader.Info | InputError], shows: Progress, goes_on: bool, **settings: Any
) -> tuple[list[dict[str, Any]], list[HmrlError]]:
    """The documents of runs, and the errors of runs left out.  Without `goes_on`, a new error is raised."""
    from hmrl_cli.runner import evaluate

    results, failed = [], list[HmrlError]()
    for number, (path, run) in enumerate(runs.items(), start=1):
        if len(runs) > 1:
            shows.say(f"run {number} of {len(runs)}: {path}")
        if isinstance(run, InputError):
            failed.append(run)
            continue
        try:
            results.append(evaluate.evaluate(run, progress=shows, **settings))
        except OF_ONE_RUN as error:
            if not goes_on:
                raise
            failed.append(error)
    return results, failed


def _checked_runs(
    run_dirs: Sequence[Path], sets: Sequence[str], given: Mapping[str, Any], protocol: str | None
) -> list[reader.Info | InputError | None]:
    """The runs, each with a check of the settings of its evaluation; None for what is pretrained.

    A run whose files cannot be used is replaced by its error.
    """
    changes = bool(sets or protocol or any(value is not None for value in given.values()))
    runs: list[reader.Info | InputError | None] = []
    for run_directory in run_dirs:
        file = pretrained.path_of(run_directory, "RUN_DIR")
        try:
            run = None if pretrained.is_name(run_directory) else reader.read(file)
        except InputError as error:
            if not (file / layout.CONFIG).exists():  # a mistyped path is an error before any work is done
                raise
            runs.append(error)
            continue
        if changes:
            experiment = (run or exports.read_card(file)).experiment
            config.with_evaluation(experiment, sets, given, protocol, named=config.flag_of)
        runs.append(run)
    return runs


def _what(result: Mapping[str, Any]) -> str:
    """A line on an evaluation: run, tasks, reward, budget, and changes of the run's way to adapt."""
    if "steps" not in result:
        return f"{result['run']}: skills"
    counts = {name: result[f"num_{name}s"] for name in ("seed", "task")}
    counts = {"update": result["steps"][-1], "episode": result["episodes"], **counts}
    updates, episodes, seeds, tasks = (f"{n} {name}{'s' * (n != 1)}" for name, n in counts.items())
    protocol = result["protocol"]
    way = [f"protocol {protocol['name']}"] if protocol["name"] else []
    changed = {key: x for key, x in protocol["changed"].items() if key not in SIZES}
    way += [f"{key} = {as_cell(x) or 'none'}" for key, x in changed.items()]
    return ", ".join(
        [
            f"{result['run']}: {result['split']} tasks",
            f"{result['reward']} reward",
            f"{updates} x {episodes}",
            f"{seeds} x {tasks}",
            *way,
        ]
    )


def _result_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of a result: a row for each number of inner updates, or for each measure of skills."""
    if "steps" not in result:
        return _skills_table(result)
    measures = [measure for measure in MIDDLE if result.get(measure)]
    rows = [
        [str(step), *(_interval(result[measure], MIDDLE[measure], index) for measure in measures)]
        for index, step in enumerate(result["steps"])
    ]
    return ["updates", *measures], rows


def _skills_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """A row for each measure of skills, over seeds or over the skills of all seeds.

    Skill i of one seed is unrelated to skill i of another seed, so no skill has a row of its own.
    """
    rows = []
    for name, value in result.items():
        if not isinstance(value, list) or name in WHERE:
            continue
        seeds = [seed if isinstance(seed, list) else [seed] for seed in value]
        numbers = [number for seed in seeds for number in seed]
        over = [f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"]
        if isinstance(value[0], list):
            over.append(f"{len(seeds[0])} skills")
        cells = map(as_cell, (math.fsum(numbers) / len(numbers), min(numbers), max(numbers)))
        rows.append([name, *cells, " x ".join(over)])
    return ["measure", "mean", "least", "most", "over"], rows


def _interval(measure: Mapping[str, Any], middle: str, index: int) -> str:
    """A number with its interval; nothing where there is none."""
    if measure.get(middle) is None:
        return ""
    return differences.shown({key: measure[key][index] for key in (middle, "low", "high")}, middle)


def _lines_text(result: Mapping[str, Any]) -> str:
    """The reference lines of an evaluation, with their success rates that are not 0."""
    texts = []
    for line in ("flat", "feasible"):
        if result.get(line) is not None:
            rates = {name: result.get(f"{line}_{name}") for name in ("success", "reached")}
            nonzero = ", ".join(f"{name} {as_cell(rate)}" for name, rate in rates.items() if rate)
            texts.append(f"{line} {as_cell(result[line])}{f' ({nonzero})' if nonzero else ''}")
    return ", ".join(texts)
