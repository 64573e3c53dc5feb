"""Toy plugins with settings of every kind, and presets over them."""

import functools
from types import SimpleNamespace
from typing import Annotated, ClassVar, Literal

import pydantic
import pytest

from hmrl_cli import config
from hmrl_cli.config import presets
from hmrl_cli.errors import ConfigError
from hmrl_cli.schema import AlgorithmConfig, Strict

ROOM = """
# A room.
[family]
name = "room"
reward = "dense"
[training]
epochs = 7
[meta-train.algorithm]
name = "learn"
inner_lr = 0.2
[pretrain-skills.algorithm]
name = "explore"
[pretrain-skills.training]
epochs = 3
"""


LIFTED = """
extends = "room/flat"
[meta-train.hierarchy]
steps_per_skill = 4
"""


class Room(Strict):
    name: Literal["room"] = "room"
    reward: Literal["sparse", "dense"] = "sparse"
    horizon: int = pydantic.Field(100, gt=0)
    size: float = pydantic.Field(1.0, gt=0, description="side of the room")

    @pydantic.model_validator(mode="after")
    def _has_space(self):
        if self.size < 0.1:
            raise ValueError(f"size: found {self.size}; must be at least 0.1")
        return self


class Net(Strict):
    hidden: tuple[int, ...] = (32, 32)
    gain: float | None = None
    rate: Annotated[float, pydantic.Field(ge=0)] | Literal["auto"] = "auto"


class Learn(AlgorithmConfig):
    command: ClassVar[str] = "meta-train"
    name: Literal["learn"] = "learn"
    inner_lr: float = pydantic.Field(0.1, gt=0)
    clip: bool = False
    net: Net = Net()


class Other(AlgorithmConfig):
    command: ClassVar[str] = "meta-train"
    name: Literal["other"] = "other"
    inner_lr: float = 0.5


class Scratch(AlgorithmConfig):
    command: ClassVar[str] = "meta-train"
    takes_bonus: ClassVar[bool] = True
    name: Literal["scratch"] = "scratch"


class Novelty(Strict):
    name: Literal["novelty"] = "novelty"
    weight: float = pydantic.Field(0.5, ge=0)


class Surprise(Strict):
    name: Literal["surprise"] = "surprise"
    weight: float = pydantic.Field(0.5, ge=0)
    depth: int = 3


class Explore(AlgorithmConfig):
    command: ClassVar[str] = "pretrain-skills"
    name: Literal["explore"] = "explore"
    num_skills: int = pydantic.Field(4, ge=2)


PLUGINS = {
    "families": {"room": SimpleNamespace(Config=Room)},
    "algorithms": {
        "learn": SimpleNamespace(Config=Learn),
        "other": SimpleNamespace(Config=Other),
        "explore": SimpleNamespace(Config=Explore),
        "scratch": SimpleNamespace(Config=Scratch),
    },
    "bonuses": {
        "novelty": SimpleNamespace(Config=Novelty),
        "surprise": SimpleNamespace(Config=Surprise),
    },
}


def refusal(*args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        config.resolve(*args, **kwargs)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    assert caught.value.exit_code == 2
    return message


@functools.cache
def real():
    """What every preset of the package resolves to, for each command that it serves."""
    return [one for preset in presets.files() for one in config.serving(preset)]
