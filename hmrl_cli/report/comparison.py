"""Comparison of evaluated runs: a row for each evaluation, paired differences, and means over families."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from hmrl_cli import config
from hmrl_cli.config import protocols
from hmrl_cli.errors import InputError, did_you_mean, shown, typed
from hmrl_cli.experiment import Experiment
from hmrl_cli.report import arms
from hmrl_cli.report.arms import Arm, by_family, pooled, protocol_of
from hmrl_cli.report.differences import difference, over_families, row
from hmrl_cli.storage import checkpoints, layout, reader
from hmrl_cli.storage import document as documents
from hmrl_cli.storage.evaluations import files_of, parsed

CLOSE = 1e-3  # how far reference lines may differ
NAMED = 5  # runs in a message


def evaluations(path: Path, protocol: str | None = None) -> list[dict[str, Any]]:
    """The evaluation documents of a run by one protocol: the test split and the sparse reward first.

    Args:
        path: the run directory.
        protocol: what file names say after split and reward; None: the run's own way and budget, or another
            budget where the run has only that.

    Raises:
        InputError: a document is damaged, or of an older checkpoint than the newest of the run.
    """
    found = []
    newest = _newest(path)
    there = files_of(path)
    ways = {_way_of(file) for file in there}
    wanted = protocol or _usual(ways)
    named = wanted in ways
    for file in (file for file in there if _way_of(file) == (wanted if named else "")):
        try:
            document = documents.read(file)
        except InputError as error:
            raise InputError(f"{error}\nto write it anew: {_command_of(path, file)}") from None
        if not (named or _stands_for(document, wanted)):
            continue
        if newest and document["epoch"] > newest[0]:
            raise InputError(
                f"{path}: checkpoint {document['epoch']}, of which {file.name} is, is damaged or gone\n"
                f"to restore it: hmrl resume {typed(path)}"
            )
        if newest and newest != (document["epoch"], document["arrays_sha256"] or newest[1]):
            split = document["split"]
            tasks = "--tasks FILE" if split.startswith("tasks-") else f"--split {split}"
            how = _options(document["protocol"])
            raise InputError(
                f"{file}: is of epoch {document['epoch']}, and not of the newest checkpoint, {newest[0]}\n"
                f"to write it anew: hmrl eval {typed(path)} {tasks} --reward {document['reward']}{how}"
            )
        found.append(document)
    return sorted(found, key=lambda one: (one["split"] != "test", one["reward"] != "sparse"))


def _command_of(path: Path, file: Path) -> str:
    """The command that repeats an evaluation, as far as the name of its file tells."""
    split, reward, way = parsed(file.stem) or ("", "", file.stem)
    if not split or (way and way not in protocols.files()):
        return "remove it, and repeat the hmrl eval that wrote it"
    tasks = "--tasks FILE" if split.startswith("tasks-") else f"--split {split}"
    return f"hmrl eval {typed(path)} {tasks} --reward {reward}" + (f" --protocol {way}" if way else "")


def _way_of(file: Path) -> str:
    """The way to adapt in a document's file name; "": the run's own.  Any other name is a way by itself."""
    told = parsed(file.stem)
    return told[2] if told else file.stem


def _usual(ways: Set[str]) -> str:
    """The only way that there is, if it is no protocol; otherwise "", the run's own way."""
    if len(ways) == 1 and next(iter(ways)).partition("-")[0] not in protocols.files():
        return next(iter(ways))
    return ""


def _stands_for(document: Mapping[str, Any], wanted: str) -> bool:
    """Whether a document has the settings in a name such as "adapt_steps=25-episodes=4"."""
    has = {"adapt_steps": document["steps"][-1], "episodes": document["episodes"]} | document["adaptation"]
    has = {key: value if isinstance(value, str) else json.dumps(value) for key, value in has.items()}
    told = re.split(r"-(?=[a-z])", wanted)  # not within a number, as 1e-05
    return all(has.get(key) == value for key, _, value in (x.partition("=") for x in told if x))


def _newest(path: Path) -> tuple[int, str] | None:
    """Epoch and SHA-256 of the newest intact checkpoint; None where there is none, as in an archive."""
    with contextlib.suppress(InputError):
        return checkpoints.fingerprint(path / "checkpoints")
    return None


def _options(asked: Mapping[str, Any]) -> str:
    """The options of `hmrl eval` that a document's part "protocol" stands for."""
    name = f" --protocol {asked['name']}" if asked["name"] else ""
    return name + "".join(
        f" --set {typed(f'evaluation.{key}={json.dumps(value)}')}" for key, value in asked["changed"].items()
    )


def none_there(paths: Sequence[Path], protocol: str | None) -> InputError:
    """The error for runs without an evaluation by a protocol; it names those that the first run has."""
    of_skills = [path for path in paths if (path / "skills.json").is_file()]
    if of_skills:
        told = "is a run of skills, which do not adapt; must be one of meta-train"
        return InputError(f"{of_skills[0]}: {told}")
    ways = {_way_of(file) for file in files_of(paths[0])}
    others = sorted(ways - {""})
    what = " by its own settings" if others else ""
    first = f"; first: hmrl eval {' '.join(map(typed, paths))}"
    if protocol in protocols.files():
        what, first = f" by {shown(protocol)}", f"{first} --protocol {protocol}"
    elif protocol:
        what, first = f" by {shown(protocol)}{did_you_mean(protocol, {*others, *protocols.files()})}", ""
    has = [f"with --protocol: {', '.join(others)}"] if others else []
    has += ["by its own settings: without --protocol"] if "" in ways else []
    told = f"\nit has, {'; '.join(has)}" if has else ""
    if len(paths) > 1 and first:  # for an unknown name, the known names are more useful
        named = ", ".join(map(str, paths[1 : 1 + NAMED]))
        told = f"\nalso without one: {named}{', ...' if len(paths) > 1 + NAMED else ''}"
    return InputError(f"{paths[0]}: holds no evaluation{what}{first}{told}")


def read_arms(
    runs: Sequence[Path | reader.Info], group: str | None = None, protocol: str | None = None
) -> list[Arm]:
    """Read runs, each file once; runs that were never evaluated have no documents.

    Args:
        runs: the run directories, or what `reader.read` returns of them.
        group: see `compare`.
        protocol: see `evaluations`.

    Raises:
        ConfigError: no run has the setting `group`.
        InputError: a path is no run directory, or a file of it cannot be used.
    """
    read = [run if isinstance(run, reader.Info) else reader.read(run) for run in runs]
    found = [arm_of(run, evaluations(run.path, protocol)) for run in read]
    if group is not None:
        return pooled(found, group)
    told: dict[Path, str] = {}
    for members in by_family(found).values():
        paths = [arm.paths[0] for arm in members]
        told |= zip(paths, arms.names(paths), strict=True)
    return [arm._replace(name=told[arm.paths[0]]) for arm in found]


def arm_of(run: reader.Info, evaluated: Sequence[dict[str, Any]]) -> Arm:
    """The arm of one run with these evaluations, not yet named."""
    is_told = (run.path / layout.SKILLS).is_file()  # runs of early versions have none
    skills = reader.read_skills(run) if is_told else None
    settings = config.flat(run.experiment)
    if skills is not None:
        del settings["hierarchy.skills"]  # another path for each seed
        settings |= {f"{arms.SKILLS}{name}": value for name, value in config.flat(skills).items()}
    training = run.experiment.training
    seeds = tuple(training.seeds)
    pairs = _skills_of(run, seeds, skills)
    return Arm("", (run.path,), settings, run.provenance, seeds, pairs, list(evaluated))


def _skills_of(
    run: reader.Info, seeds: Sequence[int], skills: Experiment | None
) -> tuple[tuple[str, int], ...] | None:
    """See `Arm.skills`."""
    digest = (run.provenance.get("skills") or {}).get("arrays_sha256")
    if digest is None:
        return None
    first, count = (skills.training.seed, skills.training.num_seeds) if skills else (seeds[0], len(seeds))
    return tuple((digest, (seed - first) % count) for seed in seeds)


def compare(
    runs: Sequence[Path | reader.Info], group: str | None = None, protocol: str | None = None
) -> dict[str, Any]:
    """Compare evaluated runs after the last update, and the first run of a family with each of the others.

    A difference is one of means over seeds and tasks, paired by task.  Seeds are paired as well where both
    runs act through the same skills.

    Args:
        runs: see `read_arms`.
        group: dotted path of a setting.  Runs that differ only in the seed become one row, named by it.
        protocol: see `evaluations`.

    Returns:
        a JSON document: `rows`, one for each run and evaluation; `differences`; and `aggregate`, the means
        over families, which is empty where there is one family.

    Raises:
        ConfigError: no run has the setting `group`.
        InputError: a run has no evaluation, or two evaluations differ in tasks or in the number of episodes.
    """
    return compared(read_arms(runs, group, protocol), group, protocol)


def compared(
    found: Sequence[Arm],
    group: str | None = None,
    protocol: str | None = None,
    *,
    of_suite: bool = False,
) -> dict[str, Any]:
    """Compare runs that were read, as `compare` does.

    Arms `of_suite` may differ in their total number of episodes.  If their family settings differ, they may
    also have different tasks.  Only arms with equal family settings are compared, whatever reward trained
    them.
    """
    if lacking := [path for arm in found if not arm.documents for path in arm.paths]:
        raise none_there(lacking, protocol)
    families = by_family(found)
    alike: list[Sequence[Arm]] = []
    for of_family in families.values():
        alike += _of_equal_families(of_family) if of_suite else [of_family]
    for members in alike:
        _check_alike(members, group, same_budget=not of_suite)
    return {
        "schema": 1,
        "rows": [row(arm, one) for members in families.values() for arm in members for one in arm.documents],
        "differences": [one for members in alike for one in _differences(members)],
        "aggregate": over_families(list(families.values())) if len(families) > 1 else [],
    }


def _of_equal_families(members: Sequence[Arm]) -> list[list[Arm]]:
    """Group the arms of a family by the settings of the family, without the reward of training."""
    found: dict[tuple[Any, ...], list[Arm]] = {}
    for arm in members:
        settings = tuple(
            (key, str(x))
            for key, x in sorted(arm.settings.items())
            if key.startswith("family.") and key != "family.reward"
        )
        found.setdefault(settings, []).append(arm)
    return list(found.values())


def _differences(members: Sequence[Arm]) -> list[dict[str, Any]]:
    """The first arm minus each of the others, where both met the same tasks."""
    first, *others = members
    return [
        {
            "run": first.name,
            "minus": other.name,
            "family": first.family,
            "split": one["split"],
            "reward": one["reward"],
        }
        | difference(one, another, same_skills=is_paired(first, one, other, another))
        for other in others
        for one in first.documents
        for another in other.documents
        if protocol_of(one) == protocol_of(another) and one["tasks_sha256"] == another["tasks_sha256"]
        if one["per_task"] and another["per_task"]
    ]


def is_paired(one: Arm, ours: Mapping[str, Any], other: Arm, theirs: Mapping[str, Any]) -> bool:
    """Whether two arms were evaluated with the same skills, seed by seed.

    If runs of an arm lack the evaluation, the seeds of the evaluation are not those of the arm.
    """
    whole = all(document["num_seeds"] == len(arm.seeds) for arm, document in ((one, ours), (other, theirs)))
    return whole and one.skills is not None and one.skills == other.skills


def _check_alike(members: Sequence[Arm], group: str | None, *, same_budget: bool) -> None:
    """Refuse documents of one family, split and reward with different tasks, reference lines or budgets.

    Arms may divide their episodes into different numbers of updates.  Arms that are grouped by a setting of
    the family may have different tasks.
    """
    own_tasks = group is not None and group.startswith("family.")
    first: dict[tuple[str, ...], tuple[Arm, Mapping[str, Any]]] = {}
    for arm in members:
        for document in arm.documents:
            protocol = protocol_of(document)
            other, expected = first.setdefault((*protocol, arm.name * own_tasks), (arm, document))
            told = f"{arm.paths[0]}: {'-'.join(protocol)}: its"
            if document["tasks_sha256"] != expected["tasks_sha256"]:
                raise InputError(
                    f"{told} tasks are not those of {other.paths[0]}\n"
                    "must be evaluated on the same: --tasks, --num-tasks, evaluation.split_seed"
                )
            if not has_same_lines(document, expected):
                raise InputError(
                    f"{told} reference lines are not those of {other.paths[0]}\n"
                    "must have equal settings of the family; or --group family.KEY, the one that differs"
                )
            ours, theirs = (one.settings.get("family.horizon") for one in (arm, other))
            if ours != theirs:
                raise InputError(
                    f"{told} episodes have {ours} steps, those of {other.paths[0]} {theirs}\n"
                    "must have equal settings of the family; or --group family.horizon"
                )
            spent, should = (documents.episodes_so_far(one)[-1] for one in (document, expected))
            if same_budget and spent != should:
                raise InputError(
                    f"{told} budget is {_spent(document)}, that of {other.paths[0]} {_spent(expected)}\n"
                    f"must have as many episodes in all; {_remedy(arm, expected)}"
                )


def has_same_lines(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether doing nothing has the same return in two evaluations, up to the rounding of devices."""
    return math.isclose(one["flat"], other["flat"], rel_tol=CLOSE, abs_tol=CLOSE)


def _remedy(arm: Arm, expected: Mapping[str, Any]) -> str:
    """The command that evaluates an arm with the budget of a document, and the option that compares by it."""
    budget = {"adapt_steps": expected["steps"][-1], "episodes": expected["episodes"]}
    name, asked = expected["protocol"]["name"], " ".join(map(typed, arm.paths))
    first = f"first: hmrl eval {asked}{f' --protocol {name}' if name else ''}"
    first += f" --adapt-steps {budget['adapt_steps']} --episodes {budget['episodes']}"
    changed = {key: x for key, x in budget.items() if x != arm.settings.get(f"evaluation.{key}")}
    way = "-".join([*([name] if name else []), *(f"{key}={x}" for key, x in changed.items())])
    return f"{first}, then compare with: --protocol {way}"


def _spent(document: Mapping[str, Any]) -> str:
    return f"{document['steps'][-1]} updates of {documents.episodes_of_update(document)} episodes"
