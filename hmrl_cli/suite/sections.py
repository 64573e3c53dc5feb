"""The tables that the file of a suite has, each as a class with its keys."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import pydantic

from hmrl_cli import schema
from hmrl_cli.schema import Strict
from hmrl_cli.types import Reward, Split

MAX_SEEDS = 4096


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,)


def _as_seeds(value: Any) -> Any:
    if type(value) is not int:
        return _as_tuple(value)
    if not 0 < value <= MAX_SEEDS:
        raise ValueError(f"must be from 1 to {MAX_SEEDS} seeds, or a list of them")
    return tuple(range(value))


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len({*values}) < len(values):
        raise ValueError("must be different ones")
    return values


Set = dict[str, Any]  # dotted keys, or tables of them -> values
Seeds = Annotated[
    tuple[Annotated[int, pydantic.Field(ge=0, le=2**31 - 1)], ...],
    pydantic.BeforeValidator(_as_seeds),
    pydantic.AfterValidator(_different),
    pydantic.Field(min_length=1, max_length=MAX_SEEDS),
]
One = TypeVar("One")
Several = Annotated[tuple[One, ...], pydantic.BeforeValidator(_as_tuple), pydantic.AfterValidator(_different)]
OneOrMore = Annotated[Several[One], pydantic.Field(min_length=1)]
# every whole number of this size is a float, in which draws are computed
Bound = Annotated[int | float, pydantic.Field(ge=-(2**53), le=2**53)]


class Head(Strict):
    """[suite]: what it is called, and on what it runs."""

    name: str = pydantic.Field(default="", description="name of its folder; empty: that of the file")
    families: OneOrMore[str] = pydantic.Field(default=(), description="task families")
    seeds: Seeds = pydantic.Field(default=(0,), description="number of seeds, from 0 on, or a list of them")
    seeds_per_run: int | None = pydantic.Field(
        default=None, gt=0, le=4096, description="seeds side by side in one run; none: all of them"
    )


class Part(Strict):
    """[arms.NAME.on.FAMILY] and [skills.NAME.on.FAMILY]: what differs on one family."""

    preset: str | None = pydantic.Field(default=None, description="preset in place of the usual one")
    set: Set = pydantic.Field(default={}, description="further settings")


class Library(Strict):
    """[skills.NAME]: a library of skills, trained once for all arms that name it."""

    preset: str | None = pydantic.Field(default=None, description='a preset, such as "{family}/diayn"')
    set: Set = pydantic.Field(default={}, description="settings of its runs")
    seeds: Seeds | None = pydantic.Field(
        default=None, description="seeds in place of those of the suite or the family"
    )
    families: OneOrMore[str] | None = pydantic.Field(
        default=None, description="only these families; none: all"
    )
    on: dict[str, Part] = pydantic.Field(default={}, description="family -> what differs there")


class Evaluation(Strict):
    """[eval], [on.FAMILY.eval] and [arms.NAME.eval]: how runs are evaluated.

    What an arm leaves out is as on the family, and then as in [eval].
    """

    split: Several[Split] | None = pydantic.Field(
        default=None, description="splits of tasks; []: nothing is evaluated"
    )
    reward: OneOrMore[Reward] | None = pydantic.Field(default=None, description="rewards")
    protocol: OneOrMore[str] | None = pydantic.Field(
        default=None, description="protocols of [protocols] or of hmrl; none: the run's own way"
    )
    set: Set = pydantic.Field(default={}, description="settings, all of them evaluation.*")


class OnFamily(Strict):
    """[on.FAMILY]: what differs on one family."""

    seeds: Seeds | None = pydantic.Field(default=None, description="seeds in place of those of the suite")
    set: Set = pydantic.Field(default={}, description="settings of every run on the family")
    eval: Evaluation = pydantic.Field(default=Evaluation(), description="how its runs are evaluated")


class Arm(Library):
    """[arms.NAME]: a learner that is meta-trained on each family."""

    skills: str | None = pydantic.Field(default=None, description="the library that it acts through")
    eval: Evaluation = pydantic.Field(default=Evaluation(), description="its own evaluation")


class Protocol(Strict):
    """[protocols.NAME]: a way to adapt that only this suite names."""

    protocol: str | None = pydantic.Field(default=None, description="the protocol of hmrl below it")
    split: OneOrMore[Split] | None = pydantic.Field(default=None, description="splits in place of the arm's")
    reward: OneOrMore[Reward] | None = pydantic.Field(
        default=None, description="rewards in place of the arm's"
    )
    set: Set = pydantic.Field(default={}, description="settings above it, all of them evaluation.*")


class OfEvaluation(Strict):
    """The settings of a protocol, which are known before those of any run."""

    evaluation: schema.Evaluation = pydantic.Field(default=schema.Evaluation(), description="as of a run")


class Range(Strict):
    """A value of `ranges` in [random]: where values are drawn from, evenly."""

    low: Bound = pydantic.Field(description="least value")
    high: Bound = pydantic.Field(description="largest value; whole numbers draw whole numbers")
    log: bool = pydantic.Field(default=False, description="draw the logarithm evenly")


class Random(Strict):
    """[random]: settings whose values are drawn."""

    samples: int = pydantic.Field(default=10, gt=0, le=10_000, description="number of draws")
    seed: int = pydantic.Field(default=0, description="seed of the draws")
    ranges: dict[str, Any] = pydantic.Field(default={}, description="key -> {low, high, log}, or a list")
