"""One frozen, validated configuration tree, and how it is put together.

    default  <  preset  <  --set  <  flag

A preset is a TOML file.  It may stand on another one (`extends = "ant_goal/maesn"`), and its tables
`[pretrain-skills]` and `[meta-train]` hold what applies to that command only.  `resolve` merges the
layers, validates the result once and remembers which layer every value came from.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import pkgutil
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

import pydantic
import tomli_w

from hmrl_cli.errors import ConfigError, did_you_mean, shown

COMMANDS = ("pretrain-skills", "meta-train")
SECTIONS = ("family", "algorithm", "bonus", "hierarchy", "training", "evaluation")
OPTIONAL = ("bonus", "hierarchy")
KINDS = {"family": "families", "algorithm": "algorithms", "bonus": "bonuses"}


class Strict(pydantic.BaseModel):
    """Base of every configuration class: frozen, strict, no unknown fields, finite numbers."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Hierarchy(Strict):
    """The learner acts through frozen skills."""

    skills: str = pydantic.Field(default="", description="a finished pretrain-skills run, or its export")
    use: Literal["act", "start"] = pydantic.Field(
        default="act", description="act through the skills, or start as the best one and learn on from there"
    )
    steps_per_skill: int = pydantic.Field(
        default=10, gt=0, le=10_000, description="environment steps one skill runs"
    )
    stochastic: bool = pydantic.Field(default=True, description="sample the actions of a skill")


class Training(Strict):
    """How long to train, and from which seeds."""

    epochs: int = pydantic.Field(gt=0, le=10_000_000, description="epochs; metrics are written once in each")
    updates_per_epoch: int = pydantic.Field(default=1, gt=0, le=1_000_000, description="updates in one epoch")
    checkpoint_every: int = pydantic.Field(default=10, gt=0, description="epochs between two checkpoints")
    seed: int = pydantic.Field(default=0, ge=0, le=2**31 - 1, description="the first seed")
    num_seeds: int = pydantic.Field(
        default=1, gt=0, le=4096, description="seeds trained side by side in one program"
    )
    action_repeat: int = pydantic.Field(
        default=1, gt=0, le=10_000, description="environment steps an action is held"
    )


class Evaluation(Strict):
    """How the adaptation to held-out tasks is measured."""

    num_tasks: int = pydantic.Field(default=40, gt=0, le=1_000_000, description="held-out tasks")
    adapt_steps: int = pydantic.Field(default=5, ge=0, le=10_000, description="inner updates")
    episodes: int = pydantic.Field(
        default=20, gt=0, le=1_000_000, description="episodes of one task between two updates"
    )
    rule: Literal["gradient", "refit"] = pydantic.Field(
        default="gradient",
        description="the trained inner update, or a refit to all episodes so far, weighted by their returns",
    )
    imitation_steps: int = pydantic.Field(
        default=0,
        ge=0,
        le=100_000,
        description="gradient steps of the policy in a refit; 0: none",
    )
    fallback: float = pydantic.Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the episodes before an update that hold one random action, or skill",
    )
    late_fallback: float = pydantic.Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of these that hold it from a random decision on only, where the policy has led",
    )
    latent_std: float = pydantic.Field(
        default=1.0, gt=0, le=100, description="spread of the exploration latent at the start"
    )
    tune_after: int | None = pydantic.Field(
        default=None,
        ge=0,
        le=10_000,
        description="updates by the rule, after which clipped gradient steps tune the policy; none: never",
    )


class Experiment(Strict):
    """Everything a run depends on; equal experiments give equal runs."""

    family: Any  # the Config of its module
    algorithm: Any  # likewise
    bonus: Any = None  # likewise
    hierarchy: Hierarchy | None = None
    training: Training
    evaluation: Evaluation


class Resolved(NamedTuple):
    """An experiment, and where each of its values came from."""

    experiment: Experiment
    origins: Mapping[str, str]  # dotted path -> "default", "preset NAME", "--set" or the flag
    preset: str  # name of the preset, or the path of the file, as the user gave it
    command: str


# Plugins: a task family, an algorithm or an exploration bonus is a module in its folder.


@functools.cache
def plugins(kind: str) -> tuple[str, ...]:
    """Names of the families, algorithms or bonuses (`kind` is the folder), sorted."""
    package = importlib.import_module(f"hmrl_cli.{kind}")
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name for name in names if not name.startswith("_")))


def plugin(kind: str, name: str) -> ModuleType:
    """The module of one family, algorithm or bonus.

    Raises:
        ConfigError: no such name.
    """
    known = plugins(kind)
    if name not in known:
        raise ConfigError(
            f"{kind}: found {shown(name)}{did_you_mean(name, known)}\nmust be one of: {', '.join(known)}"
        )
    return importlib.import_module(f"hmrl_cli.{kind}.{name}")


# Presets: TOML files, layered.


def presets_folder() -> Path:
    """Where the presets are: inside an installed package, next to it in a checkout."""
    package = Path(__file__).parent
    installed = package / "experiments"
    return installed if installed.is_dir() else package.parent / "experiments"


def presets() -> dict[str, Path]:
    """Name -> file of every preset; results and TOML files of another kind are passed over."""
    folder = presets_folder()
    marks = {"family", "algorithm", "extends", *COMMANDS}
    found = {}
    for path in sorted(folder.rglob("*.toml")):
        if path.relative_to(folder).parts[0] == "results":
            continue
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            tables = {"extends": None}  # broken: list it, so that using it says what is wrong
        if marks & tables.keys():
            found[path.relative_to(folder).with_suffix("").as_posix()] = path
    return found


def preset_path(preset: str, relative_to: Path | None = None) -> Path:
    """The file of a preset given by name, or by a path that ends in .toml.

    Raises:
        ConfigError: no such preset or file.
    """
    if preset.endswith(".toml"):
        path = (relative_to or Path()) / preset
        if "\0" in preset or not path.is_file():
            raise ConfigError(f"preset: found {shown(preset)}; must be an existing TOML file")
        return path
    known = presets()
    if preset not in known:
        raise ConfigError(
            f"preset: found {shown(preset)}{did_you_mean(preset, known)}\n"
            "must be a preset (see: hmrl list presets) or a path that ends in .toml"
        )
    return known[preset]


def family_of(name: str) -> Strict:
    """Settings of a family: the default ones of a family's name, those of a preset for a preset's.

    Raises:
        ConfigError: neither has this name.
    """
    if name not in plugins("families") and name in presets():
        return serving(name)[0].experiment.family
    return plugin("families", name).Config()


class _Layer(NamedTuple):
    origin: str
    tables: dict[str, Any]


def _read_toml(path: Path, preset: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ConfigError(f"{preset}: nested too deeply; must be plain tables of values") from None
    except ValueError as error:
        raise ConfigError(f"{preset}: not valid TOML: {_one_line(error)}") from None
    except OSError as error:
        raise ConfigError(f"{preset}: cannot be read: {error.strerror}") from None


def _preset_layers(
    command: str, preset: str, relative_to: Path | None = None, seen: tuple[Path, ...] = ()
) -> list[_Layer]:
    """The layers of a preset for one command, those it extends first."""
    path = preset_path(preset, relative_to)
    if path.resolve() in seen:
        raise ConfigError(f"extends: {shown(preset)} extends itself, directly or through another preset")
    tables = _read_toml(path, preset)
    extends = tables.pop("extends", None)
    for_command = {name: tables.pop(name, {}) for name in COMMANDS}
    below: list[_Layer] = []
    if extends is not None:
        if not isinstance(extends, str):
            raise ConfigError(
                f"extends: found {shown(extends)} (from preset {preset}); must be a preset name"
            )
        below = _preset_layers(command, extends, path.parent, (*seen, path.resolve()))
    for name, content in for_command.items():
        if not isinstance(content, dict):
            raise ConfigError(f"{name}: found {shown(content)} (from preset {preset}); must be a table")
    origin = f"preset {preset}"
    return [*below, _Layer(origin, tables), _Layer(origin, for_command[command])]


_BARE_WORD = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=\s*([^\s\"'#\[\]{}=,][^\"'#\[\]{}=,]*)")


def parse_set(line: str) -> dict[str, Any]:
    """The tables that one `--set` line gives; a bare word is a string.

    Raises:
        ConfigError: the line is not an assignment.
    """
    try:
        tables = tomllib.loads(line)
    except (ValueError, RecursionError) as error:
        word = _BARE_WORD.fullmatch(line)
        if not word or "\n" in line or not _is_word(word[2]):
            raise ConfigError(
                f"--set {shown(line)}: {_one_line(error)}\n"
                "must be one line of TOML, as in: --set 'algorithm.inner_lr = 0.1'"
            ) from None
        tables = _nested(word[1].split("."), word[2].strip())
    if "\n" in line.strip() or line.lstrip().startswith("[") or not tables:
        raise ConfigError(
            f"--set {shown(line)}: must be one assignment, as in: --set 'algorithm.inner_lr = 0.1'"
        )
    return tables


def _is_word(text: str) -> bool:
    """Whether an unquoted value reads as a word; `1.2.3` or `0x` is a mistyped number instead."""
    return bool(re.match(r"[A-Za-z_/.~]", text))


def _nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return value


def _leaves(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _merge_layers(layers: Sequence[_Layer]) -> tuple[dict[str, Any], dict[str, str]]:
    """Merge from the bottom up; also the origin of every leaf."""
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for section, kind in KINDS.items():
            merged = _drop_what_only_the_old_plugin_has(merged, layer.tables, section, kind)
        merged = _merge(merged, layer.tables)
        origins |= {path: layer.origin for path, _ in _leaves(layer.tables)}
    return merged, origins


def _drop_what_only_the_old_plugin_has(
    below: dict[str, Any], above: Mapping[str, Any], section: str, kind: str
) -> dict[str, Any]:
    """Let a layer put another algorithm (or family) in place of the one below it.

    Settings that both know stay; those that only the replaced one knows would be unknown keys.
    """
    old, new = below.get(section), above.get(section)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return below
    names = [str(table.get("name")) for table in (old, new)]
    if names[0] == names[1] or not set(names) <= set(plugins(kind)):
        return below
    old_fields, new_fields = (plugin(kind, name).Config.model_fields for name in names)
    kept = {key: value for key, value in old.items() if key in new_fields or key not in old_fields}
    return below | {section: kept}


# Validation.


def resolve(
    command: str,
    preset: str,
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    *,
    complete: bool = True,
) -> Resolved:
    """Merge default < preset < `--set` < flag and validate the result.

    Args:
        command: the command that asks, "pretrain-skills" or "meta-train".
        preset: name of a preset, or a path that ends in .toml.
        sets: lines of TOML.
        flags: dotted path -> value.
        complete: False lets a hierarchy wait for its skills, to show a preset as it is.

    Raises:
        ConfigError: anything unknown, missing, of the wrong type, out of range or contradictory.
    """
    layers = _preset_layers(command, preset)
    layers += [_Layer("--set", parse_set(line)) for line in sets]
    for path, value in (flags or {}).items():
        flag = "--" + path.rpartition(".")[2].replace("_", "-")
        layers.append(_Layer(flag, _nested(path.split("."), value)))
    merged, origins = _merge_layers(layers)
    experiment = _validate(command, preset, merged, origins)
    _check_command(command, preset, experiment)
    _check_bonus(experiment)
    _check_evaluation(experiment)
    if complete:
        _check_together(experiment)
    return Resolved(
        experiment, {path: origins.get(path, "default") for path in flat(experiment)}, preset, command
    )


def with_evaluation(experiment: Experiment, sets: Sequence[str], flags: Mapping[str, Any]) -> Experiment:
    """The experiment of a run with other settings of its evaluation.

    Args:
        experiment: of the run.
        sets: lines of TOML, of the [evaluation] table only.
        flags: name of a setting -> value, on top.

    Raises:
        ConfigError: as `resolve`.
    """
    layers = [_Layer("the run", tree(experiment))]
    for line in sets:
        tables = parse_set(line)
        if tables.keys() != {"evaluation"}:
            raise ConfigError(f"--set {shown(line)}: of a trained run, only evaluation.* can be set")
        layers.append(_Layer("--set", tables))
    layers.append(_Layer("flags", {"evaluation": dict(flags)}))
    found = _validate("", "the run", *_merge_layers(layers))
    _check_evaluation(found)
    return found


def serving(preset: str) -> list[Resolved]:
    """The preset as it is, for every command it serves.

    Raises:
        ConfigError: it serves none; says why not the last one.
    """
    found, problem = [], None
    for command in COMMANDS:
        try:
            found.append(resolve(command, preset, complete=False))
        except ConfigError as error:
            problem = error
    if not found and problem:
        raise problem
    return found


def load(path: Path) -> Experiment:
    """The experiment that `to_toml` wrote.

    Raises:
        ConfigError: the file does not hold a valid experiment.
    """
    return from_tree(_read_toml(path, str(path)), str(path))


def from_tree(tables: Any, source: str) -> Experiment:
    """The experiment of nested tables, as `tree` gives them; `source` is what a message names.

    Raises:
        ConfigError: they do not hold a valid experiment.
    """
    if not isinstance(tables, dict):
        raise ConfigError(f"found {type(tables).__name__}; must be the tables of a configuration")
    origins = {leaf: source for leaf, _ in _leaves(tables)}
    return _validate("", source, tables, origins)


def _validate(command: str, preset: str, merged: Mapping[str, Any], origins: Mapping[str, str]) -> Experiment:
    known = (*SECTIONS, *COMMANDS, "extends")
    problems = [
        f"{name}: unknown key{did_you_mean(name, known)} (from {_origin(origins, name)})"
        for name in merged
        if name not in SECTIONS
    ]
    values: dict[str, Any] = {}
    for section, model in _section_models(command, preset, merged, origins).items():
        if section in OPTIONAL and section not in merged:
            continue
        try:
            values[section] = _parse(model, merged.get(section, {}))
        except pydantic.ValidationError as error:
            problems += _described(section, model, error, origins)
        except (ValueError, RecursionError):
            problems.append(f"{section}: holds a value too large or nested too deeply")
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(problems[0] + more)
    return Experiment(**values)


def _section_models(
    command: str, preset: str, merged: Mapping[str, Any], origins: Mapping[str, str]
) -> dict[str, type[Strict]]:
    models: dict[str, type[Strict]] = {}
    for section, kind in KINDS.items():
        if section in OPTIONAL and section not in merged:
            continue
        table = merged.get(section, {})
        if not isinstance(table, dict):
            raise ConfigError(
                f"{section}: found {shown(table)} (from {_origin(origins, section)}); must be a table"
            )
        name = table.get("name")
        if name is None:
            whose = f" for {command}" if command else ""
            raise ConfigError(
                f"{section}.name: {preset} names no {section}{whose}\n"
                f"to choose one: --set {section}.name=NAME, one of: {', '.join(_choices(kind, command))}"
            )
        if not isinstance(name, str) or name not in plugins(kind):
            hint = did_you_mean(name, plugins(kind)) if isinstance(name, str) else ""
            origin = _origin(origins, f"{section}.name")
            raise ConfigError(
                f"{section}.name: found {shown(name)} (from {origin}){hint}\n"
                f"must be one of: {', '.join(plugins(kind))}"
            )
        models[section] = plugin(kind, name).Config
    return models | {"hierarchy": Hierarchy, "training": Training, "evaluation": Evaluation}


def _choices(kind: str, command: str) -> list[str]:
    """Plugins that suit a command; families suit every one."""
    return [name for name in plugins(kind) if command in ("", _command_of(kind, name) or command)]


def _command_of(kind: str, name: str) -> str | None:
    return getattr(plugin(kind, name).Config, "command", None)


def _parse(model: type[Strict], table: Any) -> Strict:
    # Through JSON, whose lists pydantic takes for tuples even where it is strict, as TOML's must be.
    return model.model_validate_json(json.dumps(table, default=str))


def _described(
    section: str, model: type[Strict], error: pydantic.ValidationError, origins: Mapping[str, str]
) -> list[str]:
    """What pydantic found, in our words: once for a value that fits none of the types it could have."""
    of_values: dict[tuple[int | str, ...], list[Any]] = {}
    for detail in error.errors():
        of_values.setdefault(_value_at(model, detail["loc"]), []).append(detail)
    return [_describe(section, model, *found, origins) for found in of_values.items()]


def _value_at(model: Any, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """A location without the name of one of its value's types, which pydantic puts last."""
    parent = _fields_at(model, location[:-2])
    is_type = len(location) > 1 and location[-2] in parent and not _fields_at(model, location[:-1])
    return location[:-1] if is_type and isinstance(location[-1], str) else location


def _describe(
    section: str,
    model: type[Strict],
    location: tuple[int | str, ...],
    details: Sequence[Any],
    origins: Mapping[str, str],
) -> str:
    """What is wrong with one value."""
    detail = details[0]
    path = ".".join([section, *map(str, location)])
    origin = _origin(origins, path)
    if detail["type"] == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        return f"{path}: unknown key{did_you_mean(str(location[-1]), known)} (from {origin})"
    if detail["type"] == "missing":
        return f"{path}: missing; must be given, as in: --set {path}=..."
    if detail["type"] == "value_error" and not location:  # of fields that do not go together; names them
        return f"{section}.{detail['msg'].removeprefix('Value error, ')}"
    wanted = " or ".join(one["msg"].removeprefix("Input should be ") for one in details)
    if detail["msg"].startswith("Input should be "):
        wanted = f"must be {wanted}".replace("an object", "a table")
    wanted = wanted.removeprefix("Value error, ")
    found = "" if detail["type"] == "json_invalid" else f"found {shown(detail['input'])} (from {origin}); "
    return f"{path}: {found}{_one_line(wanted)}"


def _fields_at(model: Any, location: Sequence[int | str]) -> list[str]:
    """Names of the fields of the model that `location` leads to."""
    for name in location:
        field = model.model_fields.get(name)
        candidates = (field.annotation, *typing.get_args(field.annotation)) if field else ()
        inner = [c for c in candidates if isinstance(c, type) and issubclass(c, pydantic.BaseModel)]
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


def _origin(origins: Mapping[str, str], path: str) -> str:
    """Where a value came from; that of an element is that of its list, that of a table its first leaf's."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in origins:
            return origins[prefix]
        for leaf, origin in origins.items():
            if leaf == prefix or leaf.startswith(prefix + "."):
                return origin
    return "default"


def _check_command(command: str, preset: str, experiment: Experiment) -> None:
    name = experiment.algorithm.name
    right = _command_of("algorithms", name)
    if right != command:
        raise ConfigError(
            f"algorithm.name: found {name!r}, which {command} does not train\n"
            f"to train it: hmrl {right} {preset}"
        )


def _check_bonus(experiment: Experiment) -> None:
    if experiment.bonus is None or _takes_bonus(experiment.algorithm.name):
        return
    takers = ", ".join(name for name in plugins("algorithms") if _takes_bonus(name))
    raise ConfigError(
        f"bonus.name: found {experiment.bonus.name!r}, but {experiment.algorithm.name} takes no bonus; "
        f"must go with one of: {takers}"
    )


def _check_evaluation(experiment: Experiment) -> None:
    """Other updates take an algorithm that makes some, and what belongs to an update takes that update."""
    found, plain = experiment.evaluation, Evaluation()
    if not getattr(plugin("algorithms", experiment.algorithm.name).Config, "inner_loop", False):
        for field in ("rule", "imitation_steps", "fallback", "late_fallback", "latent_std", "tune_after"):
            if getattr(found, field) != getattr(plain, field):
                raise ConfigError(
                    f"evaluation.{field}: found {shown(getattr(found, field))}, but "
                    f"{experiment.algorithm.name} has no inner loop; must be {shown(getattr(plain, field))}"
                )
    _check_what_moves(experiment)
    if found.imitation_steps and found.rule != "refit":
        raise ConfigError(
            f"evaluation.imitation_steps: found {found.imitation_steps}; "
            "must be 0 unless evaluation.rule is refit"
        )
    if found.late_fallback and not found.fallback:
        raise ConfigError(
            f"evaluation.late_fallback: found {found.late_fallback}; must be 0 without evaluation.fallback"
        )
    for field in ("rule", "fallback"):
        if found.tune_after == 0 and getattr(found, field) != getattr(plain, field):
            raise ConfigError(
                f"evaluation.{field}: found {shown(getattr(found, field))}, but no update goes by the rule; "
                f"must be {shown(getattr(plain, field))} where evaluation.tune_after is 0"
            )


def _check_what_moves(experiment: Experiment) -> None:
    """An evaluation whose updates could move nothing would be a flat line that looks like a result."""
    found, algorithm = experiment.evaluation, experiment.algorithm
    if "latent_size" not in type(algorithm).model_fields:
        if found.latent_std != 1.0:
            raise ConfigError(
                f"evaluation.latent_std: found {found.latent_std}; "
                f"must be 1 with {algorithm.name}, which has no latent"
            )
        if found.rule == "refit" and not found.imitation_steps:
            raise ConfigError(
                f"evaluation.imitation_steps: found 0; must be more with {algorithm.name}, "
                "which has no latent for a refit to move, or evaluation.rule gradient"
            )
    moves_latent = found.rule == "gradient" and getattr(algorithm, "adapts", None) == "latent"
    if moves_latent and found.episodes == 1 and found.adapt_steps and found.tune_after != 0:
        raise ConfigError(
            "evaluation.episodes: found 1; must be 2 or more, for the latent moves by how episodes compare"
        )


def _takes_bonus(algorithm: str) -> bool:
    return getattr(plugin("algorithms", algorithm).Config, "takes_bonus", False)


def _check_together(experiment: Experiment) -> None:
    """What no single section can tell."""
    last_seed = experiment.training.seed + experiment.training.num_seeds - 1
    if last_seed >= 2**31:
        raise ConfigError(f"training.num_seeds: the last seed would be {last_seed}; must be below 2**31")
    if experiment.hierarchy is not None:
        if experiment.training.action_repeat != 1:
            raise ConfigError(
                f"training.action_repeat: found {experiment.training.action_repeat}; must be 1 with a "
                "hierarchy, whose steps_per_skill says how long a skill runs"
            )
        if not experiment.hierarchy.skills:
            raise ConfigError("hierarchy.skills: this preset acts through skills; add --skills RUN_DIR")
    _check_horizon(experiment)


def _check_horizon(experiment: Experiment) -> None:
    """A skill, or an action that is held, must fit into an episode a whole number of times."""
    if experiment.hierarchy is not None and experiment.hierarchy.use == "act":
        field, steps = "hierarchy.steps_per_skill", experiment.hierarchy.steps_per_skill
    else:
        field, steps = "training.action_repeat", experiment.training.action_repeat
    family = experiment.family
    if family.horizon % steps:
        raise ConfigError(
            f"{field}: a decision every {steps} steps does not divide the horizon of "
            f"{family.name}, {family.horizon}"
        )


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


# Writing and comparing.


def to_toml(experiment: Experiment) -> str:
    """The experiment as TOML; `load` and `resolve` give an equal one back."""
    return tomli_w.dumps(tree(experiment))


def tree(experiment: Experiment) -> dict[str, Any]:
    """The experiment as nested tables of plain values; `from_tree` gives an equal one back."""
    return experiment.model_dump(mode="json", exclude_none=True)


def flat(experiment: Experiment) -> dict[str, Any]:
    """Dotted path -> plain value of every setting that is not None."""
    return dict(_leaves(tree(experiment)))


def config_hash(experiment: Experiment) -> str:
    """SHA-256 of the experiment, the same for equal ones."""
    return _hash(tree(experiment))


def file_hash(path: Path) -> str:
    """`config_hash` of the experiment that `to_toml` wrote, by whatever version.

    It is that of what the file says: a setting that came later does not make another experiment of it.

    Raises:
        ConfigError: the file is no TOML.
    """
    return _hash(_read_toml(path, str(path)))


def _hash(tables: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def difference(one: Experiment, other: Experiment) -> str | None:
    """The first field in which two experiments differ, with both values; None when they are equal."""
    left, right = flat(one), flat(other)
    for path in [*left, *right]:
        if left.get(path) != right.get(path):
            return f"{path}: found {shown(left.get(path))}, where the run has {shown(right.get(path))}"
    return None
