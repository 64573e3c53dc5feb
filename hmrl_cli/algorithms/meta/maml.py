"""MAML: parameters that few policy-gradient steps adapt to a task (Finn et al. 2017, 1703.03400)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from hmrl_cli import meta_gradient
from hmrl_cli.types import AdaptState

if TYPE_CHECKING:
    from hmrl_cli.types import MetaLearner, TaskFamily


class Config(meta_gradient.Config):
    """Settings of MAML; the inner step adapts the parameters of the policy."""

    command: ClassVar[str] = "meta-train"
    at_start: ClassVar[frozenset[str]] = meta_gradient.Config.at_start | {"inner_lr"}
    name: Literal["maml"] = "maml"
    inner_lr: float = Field(0.1, gt=0, description="inner step size; its initial value if it is learned")


def make(config: Config, family: TaskFamily) -> MetaLearner:
    """MAML on a family, plain or lifted."""
    return meta_gradient.make(config, family, AdaptState(params=config.inner_lr, latent=None))
