"""Commands that show what there is: doctor, list and show."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hmrl_cli import config
from hmrl_cli.cli import catalogue, completion
from hmrl_cli.cli.options import (
    Json,
    Sets,
    Skills,
    SplitName,
    TasksFile,
    check_known,
    check_tasks_file,
    is_directory,
)
from hmrl_cli.cli.output import (
    as_cell,
    prepare,
    print_caption,
    print_json,
    print_line,
    print_table,
    progress_on_stderr,
)
from hmrl_cli.config import layers, plugins, presets, protocols
from hmrl_cli.errors import ConfigError, shown
from hmrl_cli.experiment import Experiment
from hmrl_cli.runner import startup
from hmrl_cli.storage import pretrained, reader, upstream


def doctor(as_json: Json = False) -> None:
    """Show versions, devices, caches and room on the disk."""
    cache_problem = startup.start()
    from hmrl_cli.cli import doctor as doctors

    found = doctors.examine(cache_problem)
    if as_json:
        print_json(found)
        return
    print_table(("part", "what", "found"), doctors.rows(found))


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[families|algorithms|bonuses|presets|protocols|pretrained]",
            help="What to list.",
            autocompletion=completion.kinds,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Argument(help="One of them, in detail.", autocompletion=completion.names)
    ] = None,
    split: Annotated[SplitName | None, typer.Option(help="Roll a family out on this split.")] = None,
    tasks: TasksFile = None,
    as_json: Json = False,
) -> None:
    """List what there is, or one in detail.

    `hmrl list presets FAMILY` lists the presets of a family.

    `hmrl list families NAME --json` rolls a family out, on the tasks of --split or --tasks. So does the
    name of a preset, whose settings the family then has. It tells sizes, and the returns of doing nothing
    and of a scripted controller.
    """
    if kind is not None and kind not in catalogue.LISTINGS:
        raise ConfigError(
            f"list: found {shown(kind)}{plugins.suggestion(kind, catalogue.LISTINGS)}\n"
            f"must be one of: {', '.join(catalogue.LISTINGS)}"
        )
    rolls_out = split is not None or tasks is not None
    if rolls_out and (kind != "families" or name is None):
        raise ConfigError("--split, --tasks: must go with one family, as in: hmrl list families NAME")
    if name is None:
        kinds = [kind] if kind else list(catalogue.LISTINGS)
        _list_all({kind: catalogue.LISTINGS[kind]() for kind in kinds}, as_json)
    elif kind == "families" and (rolls_out or as_json or _has_settings_of_its_own(name)):
        check_tasks_file(tasks, split=split)
        _describe_family(name, split or SplitName.test, tasks, as_json)
    elif kind == "presets" and name in plugins.names("families"):
        _list_all({kind: catalogue.presets_of(name)}, as_json)
    elif kind == "presets":
        _check_family(name)
        _show_preset(name, as_json)
    elif kind == "protocols":
        _show_protocol(name, as_json)
    elif kind == "pretrained":
        _show_card(name, as_json)
    else:
        _list_fields(str(kind), name, as_json)


def _list_all(listings: Mapping[str, Sequence[Mapping[str, str]]], as_json: bool) -> None:
    with progress_on_stderr(quiet=False, verbose=False) as shows:
        for kind in plugins.FOLDERS.values():
            for problem in plugins.working(kind)[1] if kind in listings else ():
                shows.note(problem)
    if as_json:
        print_json(listings)
        return
    for number, (kind, rows) in enumerate(listings.items()):
        if number:
            print_line("")
        columns = [kind, *(list(rows[0])[1:] if rows else ())]
        print_table(columns, [list(row.values()) for row in rows])


def _has_settings_of_its_own(name: str) -> bool:
    """Whether a name is a preset, whose family may have other settings than the defaults."""
    return name.endswith(".toml") or (name in presets.files() and name not in plugins.names("families"))


def _check_family(name: str) -> None:
    """Refuse what is neither a family nor a preset; a path, or what has a "/", is taken for a preset."""
    known = presets.files()
    if "/" not in name and not name.endswith(".toml") and name not in known:
        near = known if "@" in name else plugins.names("families")
        wanted = "a family (see: hmrl list families) or a preset (see: hmrl list presets)"
        check_known("list presets", name, near, wanted)


def _describe_family(name: str, split: SplitName, tasks: Path | None, as_json: bool) -> None:
    config.family_of(name)  # refuses a wrong name before jax is imported
    with progress_on_stderr(quiet=False, verbose=False) as shows:
        prepare(shows)
        from hmrl_cli.runner import describe

        described = describe.describe_family(name, split.value, tasks)
    if as_json:
        print_json(described)
    else:
        _print_meaning(described["meaning"])
        numbers = {key: value for key, value in described.items() if key != "meaning"}
        rows = [(key, as_cell(_without_tasks(value))) for key, value in numbers.items()]
        print_table(("family", name), rows)


def _without_tasks(value: Any) -> Any:
    """Reference lines without the values of each task, and without a line that the family does not have."""
    if not isinstance(value, Mapping):
        return value
    return {key: x for key, x in value.items() if key != "per_task" and x is not None}


def _list_fields(kind: str, name: str, as_json: bool) -> None:
    module = plugins.load(kind, name)
    rows = catalogue.fields(module.Config)
    if as_json:
        command = {"command": module.Config.command} if kind == "algorithms" else {}
        fields = [row._asdict() for row in rows]
        print_json({"name": name, **command, "description": catalogue.purpose(kind, name), "fields": fields})
        return
    if kind == "families":
        _print_meaning(plugins.meaning(module.make))
    cells = [(row.name, row.type, as_cell(row.default), row.description) for row in rows]
    print_table((name, "type", "default", "description"), cells)


def _print_meaning(text: str) -> None:
    """Print what a family is, above a table."""
    for paragraph in text.splitlines():
        print_caption(paragraph, sys.stdout)
    if text:
        print_line("")


def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN_DIR|PRESET",
            help="A run directory, a preset or a file.",
            autocompletion=completion.runs_and_presets,
        ),
    ],
    sets: Sets = None,
    skills: Skills = None,
    as_json: Json = False,
) -> None:
    """Show a configuration and where it is from.

    Each value comes with its origin, a run with its status. With a preset,
    --set and --skills show what a training would run.
    """
    if not is_directory(what, presets.files()):
        if not what.endswith(".toml"):
            wanted = "a run directory, a preset (see: hmrl list presets) or a path that ends in .toml"
            check_known("RUN_DIR|PRESET", what, presets.files(), wanted)
        _show_preset(what, as_json, skills, sets or ())
        return
    if skills is not None or sets:
        flag = "--set" if skills is None else "--skills"
        raise ConfigError(f"{flag}: found together with {what}, a run; must go with a preset")
    info = reader.read(Path(what), code=False)
    origins = info.provenance.get("origins", {})
    if as_json:
        settings = config.flat(info.experiment)
        print_json({"run": what, "status": info.status, "config": settings, "origins": origins})
        return
    state, epoch, epochs = (info.status.get(key, "?") for key in ("state", "epoch", "epochs"))
    print_line(f"# {what}: {state}, epoch {epoch} of {epochs}")
    _out_config(info.experiment, origins)


def _show_preset(preset: str, as_json: bool, skills: str | None = None, sets: Sequence[str] = ()) -> None:
    if skills is None:
        config.check_tables(preset)
        served = config.serving(preset, sets)
    else:
        served = [upstream.resolve("meta-train", preset, sets, {"hierarchy.skills": skills})[0]]
    if as_json:
        commands = {
            resolved.command: {"config": config.flat(resolved.experiment), "origins": resolved.origins}
            for resolved in served
        }
        print_json({"preset": preset, "commands": commands})
        return
    for learner, other in presets.replaced(preset).items() if skills is None else ():
        print_line(f"# over skills that {learner} learned it is {other}: hmrl show {preset} --skills RUN_DIR")
    for resolved in served:
        print_line(f"# hmrl {resolved.command} {preset}")
        _out_config(resolved.experiment, resolved.origins)


def _show_protocol(name: str, as_json: bool) -> None:
    settings = protocols.replaced(name)
    described = catalogue.first_sentence(protocols.files()[name])
    if as_json:
        print_json({"name": name, "description": described, "settings": settings})
        return
    print_line(described)
    rows = [(f"evaluation.{path}", as_cell(value) or "none") for path, value in layers.leaves(settings)]
    print_table((name, "value"), rows)


def _show_card(name: str, as_json: bool) -> None:
    name = name.removeprefix(pretrained.PREFIX)
    card = pretrained.card(name)
    if as_json:
        print_json({"name": name, **card})
        return
    rows = [(key, as_cell(card[key])) for key in ("description", "kind", "family", "algorithm", "sha256")]
    rows += [(f"trained: {key}", as_cell(value)) for key, value in card["trained"].items()]
    for measured in card["measured"]:
        rows += [(measured["command"], as_cell(measured["numbers"]))]
    print_table((f"{pretrained.PREFIX}{name}", "value"), rows)


def _out_config(experiment: Experiment, origins: Mapping[str, str]) -> None:
    """Print a configuration as lines of TOML, with the origins as comments."""
    lines = {path: f"{path} = {json.dumps(value)}" for path, value in config.flat(experiment).items()}
    unnamed = "newer than the run" if origins else "unknown"
    width = max(map(len, lines.values()))
    for path, line in lines.items():
        print_line(f"{line:<{width}}  # {origins.get(path, unnamed)}")
