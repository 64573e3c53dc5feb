"""The cells of a suite: every run and evaluation with its command, in the order skills, meta, eval.

Commands run in the folder of the suite, so that it can be moved as a whole.
"""

from __future__ import annotations

import fnmatch
import itertools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from hmrl_cli import config
from hmrl_cli.config import layers, plugins
from hmrl_cli.config.plugin_files import is_file, label, path_of
from hmrl_cli.errors import ConfigError, shown
from hmrl_cli.experiment import Experiment
from hmrl_cli.schema import COMMANDS
from hmrl_cli.storage import evaluations
from hmrl_cli.suite.declaration import Declaration, wrong
from hmrl_cli.suite.points import points
from hmrl_cli.suite.sections import Library, OnFamily, Part, Protocol

DECLARED = {  # settings that a suite decides
    "training.seed": "suite.seeds, or seeds of an arm",
    "training.num_seeds": "suite.seeds_per_run",
    "hierarchy.skills": "skills = NAME, of a table [skills.NAME]",
}


class Cell(NamedTuple):
    """One command of a suite: the training of a run, or an evaluation of one."""

    name: str  # "meta/point/hmrl/seeds0-2": of a run, its directory; of an evaluation, that and its way
    kind: str  # "skills", "meta" or "eval"
    family: str
    arm: str  # or the library of skills
    point: str  # of a search; "" without one
    seeds: tuple[int, ...]
    arguments: tuple[str, ...]  # of hmrl, in the folder of the suite
    needs: tuple[str, ...]  # names of the cells that come first
    experiment: Experiment  # of the run
    run: str  # its directory, in the folder of the suite
    result: str  # the file that the command writes, in the folder of the suite
    way: str = ""  # of an evaluation, its protocol; "": the run's own


class _Where(NamedTuple):
    """What the runs of one family and some seeds have in common."""

    suite: Declaration
    family: str
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """The name of a run among those of its arm."""
        first, last = self.seeds[0], self.seeds[-1]
        return f"seed{first}" if first == last else f"seeds{first}-{last}"


def cells(suite: Declaration) -> list[Cell]:
    """The cells of a suite, each after those that it needs.  Nothing is read but presets and protocols.

    Raises:
        ConfigError: a preset, a key, a protocol or a combination of settings is wrong.
    """
    trained: dict[str, Cell] = {}
    for family, (name, library) in itertools.product(suite.families, suite.skills.items()):
        if _is_needed(suite, name, family):
            found = [_skills(where, name) for where in _runs(suite, family, library)]
            trained |= {cell.name: cell for cell in found}
    runs = []
    for family, (name, arm) in itertools.product(suite.families, suite.arms.items()):
        if arm.families is None or family in arm.families:
            wheres, searched = _runs(suite, family, arm), points(suite).items()
            runs += [_meta(where, name, *point, trained) for where in wheres for point in searched]
    # a suite that is stopped early has all arms of some seeds, not all seeds of some arms
    families = [*suite.families]
    runs.sort(key=lambda cell: (families.index(cell.family), cell.seeds))
    evaluated = [one for cell in runs for one in _evals(suite, cell)]
    return [*trained.values(), *runs, *evaluated]


def chosen(planned: Sequence[Cell], patterns: Collection[str]) -> list[Cell]:
    """The cells whose names match one of the patterns, as of a shell, and those that they need.

    Raises:
        ConfigError: a pattern matches no cell.
    """
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(cell.name, pattern) for cell in planned):
            names = f"such as {shown(planned[0].name)}"
            raise ConfigError(f"--only: found {shown(pattern)}; must match names of cells, {names}")
    wanted: set[str] = set()
    for cell in reversed(planned):  # each comes after those that it needs
        if cell.name in wanted or any(fnmatch.fnmatchcase(cell.name, pattern) for pattern in patterns):
            wanted |= {cell.name, *cell.needs}
    return [cell for cell in planned if cell.name in wanted]


def _runs(suite: Declaration, family: str, part: Library) -> list[_Where]:
    """Family and seeds of each run of an arm or library: consecutive seeds, at most `seeds_per_run`."""
    seeds = part.seeds or _on(suite, family).seeds or suite.head.seeds
    most = suite.head.seeds_per_run or len(seeds)
    found: list[_Where] = []
    group: list[int] = []
    for seed in sorted(seeds):
        if group and (seed != group[-1] + 1 or len(group) == most):
            found.append(_Where(suite, family, tuple(group)))
            group = []
        group.append(seed)
    return [*found, _Where(suite, family, tuple(group))]


def _is_needed(suite: Declaration, library: str, family: str) -> bool:
    """Whether an arm acts through a library on a family, or no arm does at all."""
    users: list[Library] = [arm for arm in suite.arms.values() if arm.skills == library]
    users = users or [suite.skills[library]]
    return any(user.families is None or family in user.families for user in users)


def _skills(where: _Where, name: str) -> Cell:
    """The cell of a library of skills."""
    library, family = where.suite.skills[name], where.family
    if library.families is not None and family not in library.families:
        text = f"found {shown(list(library.families))}, where an arm acts through these skills on {family}"
        raise wrong(where.suite, f"skills.{name}.families", text)
    return _run(where, f"skills.{name}", library, f"skills/{family}/{name}/{where.name}")


def _meta(
    where: _Where, name: str, point: str, settings: Mapping[str, Any], trained: Mapping[str, Cell]
) -> Cell:
    """The cell of an arm, at a point of a search."""
    arm = where.suite.arms[name]
    skills = trained.get(f"skills/{where.family}/{arm.skills}/{where.name}") if arm.skills else None
    if arm.skills and skills is None:
        text = f"found {shown(list(where.seeds))} in a run; must be the seeds of a run of skills.{arm.skills}"
        raise wrong(where.suite, f"arms.{name}.seeds", text)
    place = "/".join(["meta", where.family, name, *([point] if point else []), where.name])
    return _run(where, f"arms.{name}", arm, place, settings, skills)._replace(point=point)


def _run(
    where: _Where,
    key: str,
    part: Library,
    place: str,
    settings: Mapping[str, Any] = MappingProxyType({}),
    skills: Cell | None = None,
) -> Cell:
    """The cell of a training in a place."""
    suite, family, seeds = where
    on, usual = part.on.get(family, Part()), _on(suite, family)
    command = COMMANDS[key.startswith("arms.")]
    preset = _preset(where, key, on.preset or part.preset)
    tables = {"[set]": suite.set, f"[on.{family}.set]": usual.set, f"[{key}.set]": part.set}
    tables |= {f"[{key}.on.{family}.set]": on.set}
    sets = _lines(suite, tables | {"[grid] or [random]": dict(settings)}, family)
    for name, instead in DECLARED.items():
        if any(line.startswith(f"{name} = ") for line in sets):
            raise wrong(suite, key, f"{name}: found among its settings; must be told by {instead}")
    flags: dict[str, Any] = {"hierarchy.skills": skills.run} if skills else {}
    flags |= {"training.seed": seeds[0], "training.num_seeds": len(seeds)}
    learner = skills.experiment.algorithm.name if skills else ""
    try:
        experiment = config.resolve(command, preset, sets, flags, learned_by=lambda _: learner).experiment
    except config.NoSkills:
        text = f"missing, and {preset} acts through skills; must be NAME, of a table [skills.NAME]"
        raise wrong(suite, f"{key}.skills", text) from None
    except ConfigError as error:
        raise ConfigError(f"{suite.file}: {key} on {family}: {error}") from None
    if (theirs := label(experiment.family.name)) != family:
        remedy = 'as with set = { family.name = "{family}" }'
        raise wrong(suite, key, f"{preset} is of family {theirs}; must be of {family}, {remedy}")
    arguments = [command, preset, *(["--skills", skills.run] if skills else []), *_options(sets)]
    arguments += ["--seed", str(seeds[0]), "--num-seeds", str(len(seeds)), "--run-dir", place, "--resume"]
    return Cell(
        name=place,
        kind=place.partition("/")[0],
        family=family,
        arm=key.partition(".")[2],
        point="",
        seeds=seeds,
        arguments=tuple(arguments),
        needs=(skills.name,) if skills else (),
        experiment=experiment,
        run=place,
        result=f"{place}/status.json",
    )


def _preset(where: _Where, key: str, preset: str | None) -> str:
    """The name of a preset in a command that runs in the folder of the suite."""
    if not preset:
        raise wrong(where.suite, f"{key}.preset", 'missing; must be a preset, such as "{family}/maesn"')
    preset = preset.replace("{family}", where.family)
    if preset.endswith(".toml"):  # relative to the file of the suite
        return str((where.suite.file.parent / preset).absolute())
    return preset


def _evals(suite: Declaration, cell: Cell) -> list[Cell]:
    """The evaluations of a run."""
    usual, on, own = suite.eval, _on(suite, cell.family).eval, suite.arms[cell.arm].eval
    named = [part.split for part in (own, on, usual) if part.split is not None]
    of_arm = named[0] if named else (("train",) if suite.searches else ("test",))
    rewards_of_arm = own.reward or on.reward or usual.reward or ("sparse",)
    ways: tuple[str, ...] = own.protocol or on.protocol or usual.protocol or ("",)
    found: dict[str, Cell] = {}
    for way in ways:
        protocol, changed, sets = _way(suite, cell, way)
        options = [*(["--protocol", protocol] if protocol else []), *_options(sets)]
        of_way = suite.protocols.get(way, Protocol())
        splits, rewards = of_way.split or of_arm, of_way.reward or rewards_of_arm
        for split, reward in itertools.product(splits, rewards):
            told = "-".join([split, reward, *([way] if way else [])])
            stem = evaluations.stem(split, reward, protocol, changed)
            one = cell._replace(
                name=f"eval{cell.name.removeprefix('meta')}/{told}",
                kind="eval",
                arguments=("eval", cell.run, "--split", split, "--reward", reward, *options),
                needs=(cell.name,),
                result=f"{cell.run}/eval/{stem}.json",
                way=way,
            )
            if one.result in found:
                both = f"{shown(found[one.result].way)} and {shown(way)}"
                text = f"{both} are the same evaluation of {cell.arm} on {cell.family}"
                raise wrong(suite, "protocol", f"{text}; must be one of the two")
            found[one.result] = one
    return list(found.values())


def _way(suite: Declaration, cell: Cell, way: str) -> tuple[str | None, dict[str, Any], dict[str, str]]:
    """A way to adapt: the protocol of hmrl, the settings that differ from it, and the lines of `--set`."""
    own = suite.protocols.get(way, Protocol(protocol=way or None))
    tables = {"[eval.set]": suite.eval.set, f"[on.{cell.family}.eval.set]": _on(suite, cell.family).eval.set}
    tables |= {f"[arms.{cell.arm}.eval.set]": suite.arms[cell.arm].eval.set}
    sets = _lines(suite, tables | {f"[protocols.{way}.set]": own.set}, cell.family)
    try:
        found = config.with_evaluation(cell.experiment, sets, {}, own.protocol).evaluation
        return own.protocol, config.changed_evaluation(cell.experiment, found, own.protocol), sets
    except ConfigError as error:
        named = f" by {way}" if way else ""
        where = f"arms.{cell.arm} on {cell.family}, evaluated{named}"
        remedy = f"\nto adapt this arm in another way: eval.protocol in [arms.{cell.arm}]" if way else ""
        raise ConfigError(f"{suite.file}: {where}: {error}{remedy}") from None


def _on(suite: Declaration, family: str) -> OnFamily:
    """The table of settings that differ on a family."""
    return suite.on.get(family, OnFamily())


def _options(sets: Iterable[str]) -> list[str]:
    return [word for line in sets for word in ("--set", line)]


def _lines(suite: Declaration, tables: Mapping[str, Mapping[str, Any]], family: str) -> dict[str, str]:
    """Lines of `--set` from tables of settings -> the table that each line comes from; later tables override.

    The path of a plugin file is relative to the file of the suite, and becomes absolute.
    """
    values: dict[str, tuple[Any, str]] = {}
    for name, table in tables.items():
        values |= {key: (value, name) for key, value in layers.leaves(table)}
    files = [f"{section}.name" for section in plugins.FOLDERS]
    for key, (value, name) in values.items():
        if key in files and is_file(value):
            values[key] = (str((suite.file.parent / path_of(value)).absolute()), name)
    in_settings = suite.families[family]
    return {f"{key} = {_toml(value, in_settings)}": name for key, (value, name) in values.items()}


def _toml(value: Any, family: str) -> str:
    """A value as TOML in one line, with the family in place of "{family}"."""
    return json.dumps(value, default=str, ensure_ascii=False).replace("{family}", json.dumps(family)[1:-1])
