"""Configurations from layers of settings; a later layer overrides an earlier one.

    default  <  preset  <  --set  <  flag

`resolve` merges the layers, validates the result once, and keeps the origin of every value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmrl_cli.config import (
    consistency,
    keys,
    layers,
    plugin_files,
    plugins,
    presets,
    protocols,
    recorded,
)
from hmrl_cli.config.document import flat, tree
from hmrl_cli.config.layers import Layer
from hmrl_cli.config.validation import validate
from hmrl_cli.errors import ConfigError, did_you_mean, shown
from hmrl_cli.experiment import Experiment
from hmrl_cli.schema import COMMANDS, Evaluation, Strict


class NoSkills(ConfigError):
    """The learner acts through skills, and none are named."""


Lines = Sequence[str] | Mapping[str, str]  # of TOML; or with the origin of each, as messages name it


class Resolved(NamedTuple):
    """A valid experiment, and the origin of each of its values."""

    experiment: Experiment
    origins: Mapping[str, str]  # dotted path -> "default", "preset NAME", "--set" or the flag
    preset: str  # name of the preset, or the path of the file, as the user gave it
    command: str
    notes: tuple[str, ...] = ()  # on settings without effect, or for another family


def resolve(
    command: str,
    preset: str,
    sets: Lines = (),
    flags: Mapping[str, Any] | None = None,
    *,
    complete: bool = True,
    learned_by: Callable[[str], str] | None = None,
    ready: Collection[str] = (),
) -> Resolved:
    """Merge default < preset < `--set` < flag and validate the result.

    Args:
        command: "pretrain-skills" or "meta-train".
        preset: name of a preset, or a path that ends in .toml.
        sets: lines of TOML; a mapping also gives the origin of each line, in place of "--set".
        flags: dotted path -> value.
        complete: False allows a hierarchy without skills, to show a preset as it is.
        learned_by: path of skills -> the algorithm that learned them; None: no preset asks for it.
        ready: names of presets whose skills come with the package, for the message where skills are missing.

    Raises:
        ConfigError: a setting is unknown, missing, of the wrong type, out of range or contradictory.
    """
    given = [Layer(origin, plugins.located(layers.parse_set(line))) for line, origin in _origins(sets)]
    for path, value in (flags or {}).items():
        given.append(Layer(flag_of(path), layers.nested(path.split("."), value)))

    def learner_of_skills(of_preset: str) -> str:
        skills = next(filter(None, (presets.skills_of(layer.tables) for layer in reversed(given))), of_preset)
        return learned_by(skills) if skills and learned_by else ""

    below = presets.stack(command, preset, learner_of_skills)
    merged, origins = layers.merge([*below, *given])
    experiment = validate(command, preset, merged, origins)
    consistency.check_command(command, preset, experiment)
    consistency.check_bonus(experiment)
    consistency.check_evaluation(experiment)
    notes = consistency.check_unused(experiment, origins, consistency.unused(experiment))
    notes += consistency.carried_over(experiment, origins)
    if complete:
        if experiment.hierarchy is not None and not experiment.hierarchy.skills:
            raise _without_skills(command, preset, experiment, below, given, ready)
        consistency.check_together(experiment)
    origins = {path: origins.get(path, "default") for path in flat(experiment)}
    return Resolved(experiment, origins, preset, command, notes)


def flag_of(path: str) -> str:
    """The flag of the command line for a setting, such as "--num-seeds"."""
    return "--" + path.rpartition(".")[2].replace("_", "-")


def _origins(sets: Lines) -> Iterable[tuple[str, str]]:
    """Each line with its origin; a text is one line."""
    sets = [sets] if isinstance(sets, str) else sets
    return sets.items() if isinstance(sets, Mapping) else ((line, "--set") for line in sets)


def _without_skills(
    command: str,
    preset: str,
    experiment: Experiment,
    below: Sequence[Layer],
    given: Sequence[Layer],
    ready: Collection[str],
) -> ConfigError:
    """The error for a hierarchy without skills, set by a preset (`below`) or by the user (`given`)."""
    add = f"add {'--skills RUN_DIR' if command == 'meta-train' else '--set hierarchy.skills=RUN_DIR'}"
    paths = (path for layer in given for path, _ in layers.leaves(layer.tables))
    set_here = [path for path in paths if path.startswith("hierarchy.") and path != "hierarchy.skills"]
    if set_here and not any("hierarchy" in layer.tables for layer in below):
        return ConfigError(f"{set_here[0]}: set, but nothing acts through skills; {add} or leave it out")
    return NoSkills(
        f"hierarchy.skills: this preset acts through skills; {add}\n"
        f"to get some: {_ways_to_skills(experiment, preset, ready)}"
    )


def _ways_to_skills(experiment: Experiment, preset: str, ready: Collection[str]) -> str:
    """Commands that learn skills for an experiment: by its preset, or by vgcrl, for every learner."""
    family, known = experiment.family, presets.files()
    near = [name for name in known if name.startswith(f"{plugin_files.label(family.name)}/")]
    for name in [preset, *sorted(near, key=lambda name: not name.endswith("/vgcrl"))]:
        try:
            found = resolve("pretrain-skills", name, complete=False).experiment
        except ConfigError:
            continue
        theirs = found.family  # with a hierarchy the preset needs skills itself
        if found.hierarchy is not None or theirs.name != family.name:
            continue
        of_body = dict(family).keys() - family.of_tasks
        if any(getattr(theirs, field) != getattr(family, field) for field in of_body):
            return f"hmrl pretrain-skills {name}, with the family.* settings of this run"
        return f"hmrl pretrain-skills {name}{f'; or --skills pretrained:{name}' if name in ready else ''}"
    like = f"{preset.rpartition('/')[0]}/vgcrl"
    return f"hmrl pretrain-skills {like if like in known else 'PRESET'} --set family.name={family.name}"


def of_run(
    experiment: Experiment, config_file: Path, settings: Mapping[str, Any] | None = None, origin: str = ""
) -> Resolved:
    """The experiment of a run that is to be continued.

    Args:
        experiment: the content of the run's config.toml.
        config_file: the path of that file.
        settings: dotted path -> new value of the settings that differ from the run's.
        origin: of these settings, as messages name it.

    Raises:
        ConfigError: a setting is not valid.
        InputError: the code of a plugin is not here.
    """
    run = f"run {config_file.parent}"
    stack = [Layer(run, tree(experiment))]
    stack += [Layer(origin, layers.nested(path.split("."), x)) for path, x in (settings or {}).items()]
    found, origins = _merged(stack, experiment, run)
    return Resolved(
        found, {path: origins[path] for path in flat(found)}, str(config_file), found.algorithm.command
    )


def with_evaluation(
    experiment: Experiment,
    sets: Lines = (),
    flags: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    *,
    named: Callable[[str], str] = "argument {}".format,
) -> Experiment:
    """The experiment of a run with other settings in its [evaluation] table.

    Args:
        experiment: the experiment of the run.
        sets: lines of TOML as in `resolve`, of the [evaluation] table only; they override the protocol.
        flags: name of a setting -> value; they override `sets`.  None keeps the value.
        protocol: a named way to adapt; None keeps that of the run.
        named: name of a setting in `flags` -> its origin, as messages name it.

    Raises:
        ConfigError: see `resolve`; or a line sets another table, or there is no such protocol.
        InputError: the code of a plugin is not here.
    """
    stack = _of_run(experiment, protocol)
    for line, origin in _origins(sets):
        tables = layers.parse_set(line)
        if tables.keys() != {"evaluation"}:
            path, _ = next(layers.leaves(tables))
            hint = keys.suggestion(path, (), keys.of({"evaluation": Evaluation}))
            if path == "family.reward":
                hint = "; the reward that a run adapts to is chosen by --reward, or reward= in Python"
            text = "of a trained run, only evaluation.* can be set"
            raise ConfigError(f"{origin} {shown(line)}: {text}{hint}")
        stack.append(Layer(origin, tables))
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    stack += [Layer(named(name), {"evaluation": {name: value}}) for name, value in given.items()]
    try:
        found, origins = _merged(stack, experiment)
        consistency.check_evaluation(found)
        consistency.check_unused(found, origins, consistency.unused(found))
    except ConfigError as error:
        raise ConfigError(f"--protocol {protocol}: {error}" if protocol else str(error)) from None
    return found


def changed_evaluation(
    experiment: Experiment, evaluation: Evaluation, protocol: str | None = None
) -> dict[str, Any]:
    """The settings of an evaluation that differ from those of a run and a protocol: dotted path -> value.

    Raises:
        ConfigError: there is no such protocol.
    """
    usual, _ = _merged(_of_run(experiment, protocol), experiment)
    before = dict(layers.leaves(usual.evaluation.model_dump()))
    return {path: x for path, x in layers.leaves(evaluation.model_dump()) if x != before[path]}


def _of_run(experiment: Experiment, protocol: str | None) -> list[Layer]:
    """The layers below `--set` for a trained run."""
    run = Layer("the run", tree(experiment))
    return [run, protocols.layer(protocol, experiment)] if protocol else [run]


def _merged(
    stack: Sequence[Layer], experiment: Experiment, run: str = "the run"
) -> tuple[Experiment, dict[str, str]]:
    """The experiment of layers over that of a run, not checked for consistency; and the origins."""
    sections = {
        name: section for name in plugins.FOLDERS if (section := getattr(experiment, name)) is not None
    }
    for section in sections.values():
        recorded.identity(section)  # raises an error if the plugin's code is missing
    models = {name: type(section) for name, section in sections.items()}
    merged, origins = layers.merge(stack)
    return validate("", run, merged, origins, models=models), origins


def serving(preset: str, sets: Lines = ()) -> list[Resolved]:
    """Resolve a preset, for every command that can use it, without skills to act through.

    Args:
        preset, sets: see `resolve`.

    Raises:
        ConfigError: no command can use it; the message is that of the last command.
    """
    found, problem = [], None
    for command in COMMANDS:
        try:
            found.append(resolve(command, preset, sets, complete=False))
        except ConfigError as error:
            problem = error
    if not found and problem:
        raise problem
    return found


def check_tables(preset: str) -> None:
    """Check a preset for every command for which it has its own table; raises ConfigError."""
    for command in COMMANDS:
        if presets.is_meant_for(preset, command):
            resolve(command, preset, complete=False)


def family_of(name: str) -> Strict:
    """The settings of a task family.

    Args:
        name: a family, for its default settings, or a preset or its file, for the family settings of that.

    Raises:
        ConfigError: no family or preset has this name, or the family is broken.
    """
    if plugins.exists("families", name):
        return plugins.load("families", name).Config()
    known = presets.files()
    if name in known or name.endswith(".toml"):
        return serving(name)[0].experiment.family
    hint = plugin_files.beside(name) or did_you_mean(name, [*plugins.names("families"), *known])
    raise ConfigError(f"family: found {shown(name)}{hint}\nmust be a family or a preset (see: hmrl list)")
