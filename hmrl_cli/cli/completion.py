"""The words that a shell completes: presets, runs, plugins, protocols and settings.

Nothing here imports jax.  What cannot be read has no words, because a shell has no place for an error.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pydantic
import typer
from pydantic.fields import FieldInfo

from hmrl_cli import config
from hmrl_cli.cli import catalogue
from hmrl_cli.config import keys, layers, plugins, protocols
from hmrl_cli.config import presets as preset_files
from hmrl_cli.errors import HmrlError
from hmrl_cli.experiment import Experiment, Hierarchy, Training
from hmrl_cli.schema import Evaluation, Strict
from hmrl_cli.storage import listing, pretrained, reader
from hmrl_cli.storage.naming import RUNS

Words = Sequence[str | tuple[str, str]]  # each alone, or with what it is

VARIABLE = "_HMRL_COMPLETE"  # by which a shell asks
BREAKS = ("=", "@", ":")  # where bash splits words
ASSIGNMENT = re.compile(r"\s*([\w.-]+)\s*=\s*")


@contextlib.contextmanager
def whole_words() -> Iterator[None]:
    """Join the words that bash has split, as in "wheeled@maesn", and answer with the part that it wants."""
    if os.environ.get(VARIABLE) != "complete_bash":
        yield
        return
    words, before = joined(os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"]))
    os.environ |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    answer = io.StringIO()
    try:
        with contextlib.redirect_stdout(answer):
            yield
    finally:
        for word in filter(None, answer.getvalue().splitlines()):
            print(word.removeprefix(before), flush=True)


def joined(words: Sequence[str], current: int) -> tuple[list[str], str]:
    """The words up to the current one, joined where bash split them, and the part of the last that stays.

    Args:
        words: as bash splits a line, with each of `BREAKS` as a word of its own.
        current: the index of the word to complete.
    """
    words = [*words[: current + 1], *([""] if current >= len(words) else [])]
    found: list[str] = []
    for i, word in enumerate(words):
        if i > 1 and (word in BREAKS or words[i - 1] in BREAKS):
            found[-1] += word
        else:
            found.append(word)
    return found, found[-1] if words[-1] in BREAKS else found[-1].removesuffix(words[-1])


def code_of(end: BaseException) -> int:
    """Exit code of a completion request.  fish completes file names on 1."""
    return int(end.code or 0) if isinstance(end, SystemExit) and VARIABLE in os.environ else 0


def presets() -> Words:
    """All presets."""
    return _described(preset_files.files())


def presets_of_command(ctx: typer.Context) -> Words:
    """The presets that the command can train."""
    known = preset_files.files()
    return _described({name: known[name] for name in preset_files.serving(str(ctx.info_name))})


def _described(known: Mapping[str, Path]) -> Words:
    """The names of presets or protocols, each with its description."""
    return [(name, catalogue.first_sentence(path)) for name, path in known.items()]


def runs() -> list[str]:
    """The runs below `runs/`."""
    with contextlib.suppress(HmrlError, OSError):
        return sorted(str(path) for path, _ in listing.found(RUNS)) if RUNS.is_dir() else []
    return []


def skills(incomplete: str) -> Words:
    """What `--skills` takes, but for exports, which the shell itself completes as files."""
    finished = [run for run in runs() if run.startswith(incomplete) and _has_learned_skills(run)]
    learned = [name for name in pretrained.names() if pretrained.card(name)["kind"] == "skills"]
    return [*finished, *(f"{pretrained.PREFIX}{name}" for name in learned)]


def _has_learned_skills(run: str) -> bool:
    """Whether a run is a complete run of `hmrl pretrain-skills`."""
    with contextlib.suppress(HmrlError, OSError):
        found = reader.read(Path(run), code=False)
        is_complete = found.status.get("state") == "complete"
        return is_complete and found.experiment.algorithm.command == "pretrain-skills"
    return False


def runs_and_pretrained() -> Words:
    """What `hmrl eval` takes."""
    return [*runs(), *(f"{pretrained.PREFIX}{name}" for name in pretrained.names())]


def runs_and_presets() -> Words:
    """What `hmrl show` takes."""
    return [*runs(), *presets()]


def runs_and_families() -> Words:
    """What `hmrl render` takes."""
    return [*runs(), *plugins.names("families"), *presets()]


def protocol_names() -> Words:
    """All protocols."""
    return _described(protocols.files())


def kinds() -> Words:
    """What `hmrl list` lists."""
    return list(catalogue.LISTINGS)


def names(ctx: typer.Context) -> Words:
    """The names of the kind that `hmrl list` was given."""
    kind = ctx.params.get("kind")
    others: dict[Any, Callable[[], Words]] = {
        "presets": lambda: [*plugins.names("families"), *presets()],
        "protocols": protocol_names,
        "pretrained": pretrained.names,
    }
    if kind in others:
        return others[kind]()
    return plugins.names(kind) if kind in catalogue.LISTINGS else []


def settings_of_runs(ctx: typer.Context) -> Words:
    """Dotted paths of the settings of the first run on the command line."""
    with contextlib.suppress(HmrlError, OSError):
        return list(config.flat(reader.read(Path(_first(ctx, "run_dirs")), code=False).experiment))
    return []


def _first(ctx: typer.Context, argument: str) -> str:
    """The first word of an argument; "" where there is none.

    Arguments are not parsed yet while the value of an option is incomplete.
    """
    found = ctx.params.get(argument) or ctx.args or [""]
    return str(found[0] if isinstance(found, list | tuple) else found)


def assignments(ctx: typer.Context, incomplete: str) -> Words:
    """What `--set` takes: the settings of the preset, or of [evaluation]; of one setting, its values.

    A setting without a list of values has the one that it has now, to be changed.
    """
    asked = _asked(ctx)
    assigns = ASSIGNMENT.match(incomplete)
    if assigns:
        return [assigns[0] + value for value in _values(assigns[1], asked)]
    matching = [path for path in asked.known if path.startswith(incomplete)]
    if len(matching) == 1:
        return [f"{matching[0]}={value}" for value in _values(matching[0], asked)] or matching
    return [(path, asked.known[path].description or "") for path in matching]


class _Asked(NamedTuple):
    """The settings that a command line has so far."""

    command: str
    known: Mapping[str, FieldInfo]  # by dotted path
    now: Mapping[str, Any]  # their values: dotted path -> plain value


def _asked(ctx: typer.Context) -> _Asked:
    command, params = str(ctx.info_name), ctx.params
    if "run_dirs" in params:
        evaluation = Evaluation()
        with contextlib.suppress(HmrlError, OSError):
            evaluation = reader.read(Path(_first(ctx, "run_dirs")), code=False).experiment.evaluation
        now = {f"evaluation.{path}": value for path, value in layers.leaves(evaluation.model_dump())}
        return _Asked(command, keys.of({"evaluation": Evaluation}), now)
    shared: dict[str, type[Strict]] = {"training": Training, "evaluation": Evaluation}
    if command == "meta-train":
        shared["hierarchy"] = Hierarchy
    named = {f"{section}.name": pydantic.Field(description=f"the {section}") for section in plugins.FOLDERS}
    experiment = _experiment(command, _first(ctx, "preset"), params.get("sets") or ())
    if experiment is None:
        return _Asked(command, named | keys.of(shared), {})
    sections = {name: type(one) for name in plugins.FOLDERS if (one := getattr(experiment, name)) is not None}
    if not experiment.algorithm.takes_bonus:
        del named["bonus.name"]
    return _Asked(command, named | keys.of(sections | shared), config.flat(experiment))


def _experiment(command: str, preset: str, sets: Iterable[str]) -> Experiment | None:
    """The experiment of a command line, without `--set` if these are not valid; None if no preset is."""
    for lines in (list(sets), []):
        with contextlib.suppress(HmrlError, OSError):
            return config.resolve(command, preset, lines, complete=False).experiment
    return None


def _values(path: str, asked: _Asked) -> list[str]:
    """The possible values of a setting, or else its present value."""
    if path not in asked.known:
        return []
    section, _, name = path.partition(".")
    if name == "name":
        return plugins.choices(plugins.FOLDERS[section], asked.command)
    if values := _listed(asked.known[path].annotation):
        return values
    if (now := asked.now.get(path)) is None:
        return []
    return [now if isinstance(now, str) else json.dumps(now, separators=(",", ":"))]


def _listed(annotation: Any) -> list[str]:
    """The values of a `bool`, of a `Literal`, or of such parts of a union; none for any other type."""
    if annotation is bool:
        return ["true", "false"]
    if typing.get_origin(annotation) is typing.Literal:
        return [str(value) for value in typing.get_args(annotation)]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [value for part in typing.get_args(annotation) for value in _listed(part)]
    return []
