"""The schema of evaluation documents, for readers of documents of any version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from hmrl_cli.errors import InputError, shown
from hmrl_cli.reading import read_bytes

MEASURES = ("return", "success", "reached")
MIDDLE = {"return": "iqm", "success": "mean", "reached": "mean", "fraction": "mean", "mean_success": "mean"}
SIZES = ("num_tasks", "adapt_steps", "episodes")  # settings of which a document has its own fields
LARGEST = 3e38  # returns are sums of single precision

Number = Annotated[float, pydantic.Field(ge=-LARGEST, le=LARGEST)]
Rate = Annotated[float, pydantic.Field(ge=0, le=1)]
Count = Annotated[int, pydantic.Field(ge=0, le=2**53)]
Cell = Annotated[str, pydantic.Field(pattern=r"^-?\d{1,2} -?\d{1,2} \d{1,15}$")]  # x, y and visits
Goal = Annotated[list[Number], pydantic.Field(min_length=3, max_length=3)]  # x, y and radius
Size = Annotated[int, pydantic.Field(ge=1, le=2**53)]
Text = Annotated[str, pydantic.Field(max_length=300)]
Curve = Annotated[list[Number], pydantic.Field(min_length=1)]
PerTask = list[list[Curve]]  # [seed][task][step]
Settings = dict[Text, Text | Count | Number | bool | None]  # dotted path -> value


class _Part(pydantic.BaseModel):
    """A part of a document; unknown keys, as of a later version, are ignored."""

    model_config = pydantic.ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class _Score(_Part):
    iqm: Curve
    low: Curve
    high: Curve


class _Rate(_Part):
    mean: Curve
    low: Curve
    high: Curve


class _Fraction(_Part):
    """Documents of earlier versions have an interquartile mean in place of the mean."""

    mean: Curve | None = None
    low: Curve | None = None
    high: Curve | None = None


class _Protocol(_Part):
    """How an evaluation was asked for; earlier versions have none."""

    name: Text | None = None  # None: the run's own way to adapt
    changed: Settings = {}  # settings that differ from those of the run and the protocol


class _PerTask(_Part):
    returned: PerTask = pydantic.Field(alias="return")
    success: PerTask
    reached: PerTask
    flat: list[Number] | None = None  # [task]
    feasible: list[Number] | None = None


class _Explored(_Part):
    """Where the adaptation explored; earlier versions have none."""

    cell: Annotated[float, pydantic.Field(gt=0, le=LARGEST)]
    counts: list[Cell]
    goals: list[list[Goal]]  # of each task
    upward: bool = False


class _Evaluation(_Part):
    version: Literal[1] = pydantic.Field(alias="schema")
    family: Text
    split: Text
    reward: Literal["sparse", "dense"]
    epoch: Count
    arrays_sha256: Text | None = None
    num_seeds: Size
    num_tasks: Size
    episodes: Size
    env_steps: list[Count]
    learns_from: Literal["all", "one", "none"] = "all"  # episodes of a batch; earlier versions do not say
    steps: list[Count]
    tasks_sha256: Text
    protocol: _Protocol = _Protocol()
    adaptation: Settings = {}
    flat: Number
    flat_success: Rate | None = None
    flat_reached: Rate | None = None
    feasible: Number | None
    returned: _Score = pydantic.Field(alias="return")
    success: _Rate
    reached: _Rate
    fraction: _Fraction | None = None
    per_task: _PerTask | None = None
    explored: _Explored | None = None

    @pydantic.model_validator(mode="after")
    def _sizes_agree(self) -> _Evaluation:
        columns = len(self.steps)
        curves: dict[str, Any] = {"env_steps": self.env_steps}
        for measure in (*MEASURES, "fraction"):
            part = getattr(self, "returned" if measure == "return" else measure)
            curves |= {f"{measure}.{key}": values for key, values in dict(part or {}).items() if values}
        for name, values in curves.items():
            if len(values) != columns:
                raise ValueError(f"{name}: found {len(values)} values; must be {columns}, as steps has")
        if self.per_task:
            self._check_per_task(self.per_task, columns)
        return self

    def _check_per_task(self, per_task: _PerTask, columns: int) -> None:
        for name, value in per_task.model_dump(by_alias=True).items():
            sizes = [self.num_seeds, self.num_tasks, columns] if name in MEASURES else [self.num_tasks]
            if value is not None and not _is_shaped(value, sizes):
                raise ValueError(f"per_task.{name}: must be nested lists of {' x '.join(map(str, sizes))}")


def _is_shaped(value: Any, sizes: list[int]) -> bool:
    """Whether nested lists have these lengths."""
    size, *inner = sizes
    return len(value) == size and (not inner or all(_is_shaped(one, inner) for one in value))


def read(file: Path) -> dict[str, Any]:
    """An evaluation document; values that an earlier version lacks are None.

    Raises:
        InputError: the file is no evaluation document; the message names the first wrong key.
    """
    try:
        document = _Evaluation.model_validate_json(read_bytes(file))
    except pydantic.ValidationError as error:
        broken = error.errors(include_url=False)[0]["type"] == "json_invalid"
        what = "is damaged" if broken else "is no evaluation of this version"
        raise InputError(f"{file}: {what}: {_complaint(error)}") from None
    return document.model_dump(by_alias=True)


def episodes_of_update(document: Mapping[str, Any]) -> int:
    """The number of episodes of a task in one update.

    For a learner with a memory it is 1, because the other episodes of a batch belong to separate trials.
    """
    return 1 if document.get("learns_from") == "one" else document["episodes"]


def episodes_so_far(document: Mapping[str, Any]) -> list[int]:
    """The number of episodes of a task before each measurement, [K + 1]."""
    return [step * episodes_of_update(document) for step in document["steps"]]


def _complaint(error: pydantic.ValidationError) -> str:
    """A message on the first error."""
    detail = error.errors(include_url=False)[0]
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:  # invalid JSON, or inconsistent parts
        return message
    where = ".".join(map(str, detail["loc"]))
    if detail["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: found {shown(detail['input'])}; {message[:1].lower()}{message[1:]}"
