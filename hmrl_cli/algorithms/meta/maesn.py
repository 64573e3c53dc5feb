"""MAESN: exploration structured by a latent, meta-learned and adapted (Gupta et al. 2018, 1802.07245)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hmrl_cli import meta_gradient
from hmrl_cli.lazy import jnp
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.types import AdaptState

if TYPE_CHECKING:
    from hmrl_cli.types import MetaLearner, TaskFamily


class Config(meta_gradient.Config):
    """Settings of MAESN.

    By default the inner step adapts only the task's latent distribution, as in the paper.
    """

    command: ClassVar[str] = "meta-train"
    has_latent: ClassVar[bool] = True
    at_start: ClassVar[frozenset[str]] = meta_gradient.Config.at_start | {
        "inner_lr",
        "mean_step_size",
        "log_std_step_size",
    }
    before: ClassVar[Mapping[str, Any]] = {"step_hold": 1}
    name: Literal["maesn"] = "maesn"
    num_train_tasks: int = Field(100, gt=0, le=1_000_000, description="training tasks, each with a latent")
    inner_steps: int = Field(
        1, ge=0, le=100, description="inner updates while training; 0 is the baseline LatentSpace"
    )
    step_decay: float = Field(
        0.5, gt=0, le=1, description="factor on the step size after each inner update from `step_hold` on"
    )
    step_hold: int = Field(
        2, gt=0, le=10_000, description="inner updates that take the full step size: 2 in MAESN's own code"
    )
    learn_step_size: bool = Field(True, description="whether the outer step moves the step sizes")
    latent_size: int = Field(2, gt=0, le=1000, description="dimensions of the exploration latent")
    mean_step_size: float = Field(0.5, gt=0, description="initial step size of the latent's mean")
    log_std_step_size: float = Field(
        0.5, gt=0, description="initial step size of the latent's log standard deviation"
    )
    adapts: Literal["latent", "policy", "both"] = Field("latent", description="what the inner step adapts")
    inner_lr: float = Field(0.1, gt=0, description="initial step size of the policy, if the policy adapts")
    kl_weight: float = Field(0.1, ge=0, description="weight of KL(latent || N(0, I)) before adaptation")

    def unused(self) -> dict[str, str]:
        """Settings without effect, among them the step sizes of what the inner step does not adapt."""
        of_policy, of_latent = ("inner_lr", "inner_surrogate"), ("mean_step_size", "log_std_step_size")
        unmoved = {"latent": of_policy, "policy": of_latent, "both": ()}[self.adapts]
        return super().unused() | dict.fromkeys(unmoved, f"algorithm.adapts is {self.adapts}")


def make(config: Config, family: TaskFamily) -> MetaLearner:
    """MAESN on a family, plain or lifted."""
    latent_step_size = Gaussian(
        mean=jnp.full(config.latent_size, config.mean_step_size),
        log_std=jnp.full(config.latent_size, config.log_std_step_size),
    )
    return meta_gradient.make(
        config,
        family,
        AdaptState(
            params=None if config.adapts == "latent" else config.inner_lr,
            latent=None if config.adapts == "policy" else latent_step_size,
        ),
        latent_size=config.latent_size,
        kl_weight=config.kl_weight,
    )
