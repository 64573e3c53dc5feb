"""Arms of a comparison: evaluated runs, named by what differs, or pools of runs that differ in the seed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmrl_cli.errors import ConfigError, InputError, did_you_mean, shown, typed
from hmrl_cli.evaluation import exploration
from hmrl_cli.evaluation.adaptation import curve_document
from hmrl_cli.lazy import np
from hmrl_cli.storage.document import MEASURES
from hmrl_cli.types import Adaptation

SKILLS = "skills."  # begins the names of settings of the skills that a run acts through
# what runs of one arm differ in; how they were evaluated is in the documents
OF_ONE_RUN = ("training.seed", "training.num_seeds", "training.checkpoint_every")


class Arm(NamedTuple):
    """A run, or several that are pooled, and what their files say."""

    name: str  # tells it apart from the other arms of its family
    paths: tuple[Path, ...]
    settings: Mapping[str, Any]  # dotted path -> value, of the first run
    provenance: Mapping[str, Any]  # of the first run
    seeds: tuple[int, ...]
    skills: tuple[tuple[str, int], ...] | None  # of each seed, the SHA-256 of the skills and a row in them
    documents: Sequence[Mapping[str, Any]]  # its evaluations

    @property
    def family(self) -> str:
        """The name of its family."""
        return str(self.documents[0]["family"] if self.documents else self.settings["family.name"])


def protocol_of(document: Mapping[str, Any]) -> tuple[str, str]:
    """Split and reward, which evaluations must share to be compared."""
    return document["split"], document["reward"]


def protocols_of(arms: Sequence[Arm]) -> list[tuple[str, str]]:
    """Splits and rewards of arms, see `ranked`."""
    return ranked([protocol_of(document) for arm in arms for document in arm.documents])


def ranked(found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sort protocols by frequency.  Among equals, the test split and the sparse reward come first."""
    return sorted({*found}, key=lambda one: (-found.count(one), one[0] != "test", one[1] != "sparse", one))


def document_of(arm: Arm, protocol: tuple[str, str]) -> Mapping[str, Any] | None:
    """The evaluation of an arm on a split and reward; None where there is none."""
    return next((one for one in arm.documents if protocol_of(one) == protocol), None)


def by_family(arms: Sequence[Arm]) -> dict[str, list[Arm]]:
    """The arms of each family.  Names come in the same order in all of them."""
    order = _unique(arm.name for arm in arms)
    arms = sorted(arms, key=lambda arm: order.index(arm.name))
    return {
        family: [arm for arm in arms if arm.family == family] for family in _unique(a.family for a in arms)
    }


def _unique(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def names(paths: Sequence[Path]) -> list[str]:
    """Short names that tell paths apart: as few last parts as possible, without parts that all share.

    Paths that are equal keep their names.
    """
    parts = [path.resolve().parts for path in paths]
    most = max(map(len, parts))
    ends = [[one[-number:] for one in parts] for number in range(1, most + 1)]
    apart = next((one for one in ends if len({*one}) == len({*parts})), ends[0])
    if len({*parts}) == 1:
        return ["/".join(one) for one in apart]
    from_end = zip(*(one[::-1] for one in apart), strict=False)
    same = {number for number, column in enumerate(from_end, start=1) if len({*column}) == 1}
    return ["/".join(x for i, x in enumerate(one) if len(one) - i not in same) for one in apart]


def pooled(runs: Sequence[Arm], key: str) -> list[Arm]:
    """Arms of the runs that differ in nothing but the seed, named by the value of a setting.

    Args:
        runs: one arm for each run.
        key: dotted path of the setting.  Arms of one value are told apart by their other settings.

    Raises:
        ConfigError: no run has the setting.
        InputError: runs of one arm share a seed, or were not all evaluated, and alike.
    """
    known = {name for run in runs for name in run.settings}
    if key == "hierarchy.skills":
        raise ConfigError(
            f"--group: found '{key}', a path; must be a setting of skills, as {SKILLS}algorithm.name"
        )
    if key not in known:
        raise ConfigError(
            f"--group: found {shown(key)}{did_you_mean(key, known)}\n"
            "must be a setting of the runs (see: hmrl show RUN_DIR), or skills. and one of their skills"
        )
    pools: dict[str, list[Arm]] = {}
    for run in runs:
        what = {
            name: value for name, value in run.settings.items() if not _is_of_one_run(name) or name == key
        }
        pools.setdefault(json.dumps(what, sort_keys=True), []).append(run)
    for members in pools.values():
        _check_evaluated(members)
    found = [pool(_text(members[0].settings.get(key)), members) for members in pools.values()]
    return [arm._replace(name=_told_apart(arm, found)) for arm in found]


def _check_evaluated(runs: Sequence[Arm]) -> None:
    """Refuse runs of one arm of which only some have an evaluation: the others' seeds would be left out."""
    for protocol in _unique(protocol_of(document) for run in runs for document in run.documents):
        has = {run.paths[0]: protocol in map(protocol_of, run.documents) for run in runs}
        if not all(has.values()):
            there, lacking = (next(path for path in has if has[path] == one) for one in (True, False))
            raise InputError(
                f"{lacking}: holds no evaluation {'-'.join(protocol)}, which {there} has\n"
                "to pool them by --group: evaluate it likewise, or leave it out"
            )


def _is_of_one_run(name: str) -> bool:
    return name.removeprefix(SKILLS) in OF_ONE_RUN or name.startswith(("evaluation.", f"{SKILLS}evaluation."))


def _text(value: Any) -> str:
    """The value of a setting, as a name."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def _told_apart(arm: Arm, arms: Sequence[Arm]) -> str:
    """The name of an arm, with the settings in which it differs from arms of equal name and family."""
    alike = [one for one in arms if (one.name, one.family) == (arm.name, arm.family)]
    differing = [name for name in differences_of_settings(alike) if not _is_of_family(name, alike)]
    # another plugin has other settings altogether
    plugins = tuple(name.removesuffix("name") for name in differing if name.endswith(".name"))
    plugins += (SKILLS, "hierarchy.") if f"{SKILLS}algorithm.name" in differing else ()
    short = [name for name in differing if name.endswith(".name") or not name.startswith(plugins)]
    texts = [[f"{name} {_text(one.settings.get(name))}" for name in short] for one in alike]
    told = short if len({*map(tuple, texts)}) == len(alike) else differing
    text = ", ".join(f"{name} {_text(arm.settings.get(name))}" for name in told)
    return f"{arm.name} ({text})" if text else arm.name


def _is_of_family(name: str, arms: Sequence[Arm]) -> bool:
    """Whether a setting only repeats the family of the arms, as the family of their skills does."""
    return name == f"{SKILLS}family.name" and all(
        arm.settings.get(name) in (None, arm.settings.get("family.name")) for arm in arms
    )


def differences_of_settings(arms: Sequence[Arm]) -> list[str]:
    """Names of the settings that differ between arms, without seeds and ways of evaluation."""
    known = _unique(name for arm in arms for name in arm.settings if not _is_of_one_run(name))
    return [name for name in known if len({json.dumps(arm.settings.get(name)) for arm in arms}) > 1]


def pool(name: str, runs: Sequence[Arm]) -> Arm:
    """One arm of runs that differ in the seed.

    Args:
        name: of the arm.
        runs: one arm for each run.

    Raises:
        InputError: two runs share a seed on the same skills, or were not evaluated alike.
    """
    runs = sorted(runs, key=lambda run: run.seeds)
    trained: dict[tuple[int, Any], Path] = {}
    for run in runs:
        for seed, skills in zip(run.seeds, run.skills or [None] * len(run.seeds), strict=True):
            if (seed, skills) in trained:
                raise InputError(
                    f"{run.paths[0]}: seed {seed} is in {trained[seed, skills]} as well\n"
                    "must differ in seeds, or in a setting, to be pooled by --group"
                )
            trained[seed, skills] = run.paths[0]
    protocols = _unique(protocol_of(document) for run in runs for document in run.documents)
    of_runs = [run.skills for run in runs]
    return Arm(
        name,
        tuple(path for run in runs for path in run.paths),
        runs[0].settings,
        runs[0].provenance,
        tuple(seed for run in runs for seed in run.seeds),
        None if None in of_runs else tuple(one for of_run in of_runs for one in of_run or ()),
        [_joint_document(protocol, runs) for protocol in protocols],
    )


def _joint_document(protocol: tuple[str, str], runs: Sequence[Arm]) -> Mapping[str, Any]:
    """One evaluation of the seeds of all runs."""
    found = [(run.paths[0], one) for run in runs for one in run.documents if protocol_of(one) == protocol]
    first = found[0][1]
    if len(found) == 1:
        return first
    for path, document in found:
        if not document["per_task"]:
            raise InputError(
                f"{path}: {'-'.join(protocol)}: has no number of each task\n"
                f"to have it: hmrl eval {typed(path)}"
            )
        for name in ("tasks_sha256", "steps", "episodes", "adaptation"):
            if document[name] != first[name]:
                raise InputError(
                    f"{path}: {'-'.join(protocol)}: its {name} is not that of {found[0][0]}\n"
                    "must be evaluated alike to be pooled by --group"
                )
    per_task = [document["per_task"] for _, document in found]
    scores: list[Any] = [np.concatenate([one[measure] for one in per_task]) for measure in MEASURES]
    lines = {name: first[name] for name in ("flat", "flat_success", "flat_reached", "feasible")}
    lines["per_task"] = {name: first["per_task"][name] for name in ("flat", "feasible")}
    joint = {
        "num_seeds": sum(one["num_seeds"] for _, one in found),
        "epoch": min(one["epoch"] for _, one in found),
        "explored": exploration.together([one.get("explored") for _, one in found]),
    }
    return {**first, **joint} | curve_document(Adaptation(*scores), lines)
