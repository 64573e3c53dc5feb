"""Settings that every gradient-based meta-learner has."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hmrl_cli.learning import networks
from hmrl_cli.meta_gradient.clipped_step import Config as ClippedConfig
from hmrl_cli.meta_gradient.inner_loop import Surrogate
from hmrl_cli.meta_gradient.trust_region import Config as TrustRegionConfig
from hmrl_cli.schema import AlgorithmConfig

TasksAtOnce = Annotated[int, Field(ge=0, le=10_000)] | Literal["auto"]


class Config(AlgorithmConfig):
    """Settings that every gradient-based meta-learner has."""

    at_start: ClassVar[frozenset[str]] = frozenset({"init_std"})
    inner_loop: ClassVar[bool] = True
    metric: ClassVar[str] = "return_after"
    tasks_per_update: int = Field(20, gt=0, le=10_000, description="tasks per outer step")
    tasks_at_once: TasksAtOnce = Field(
        0,
        description="tasks whose activations are in memory at one time; 0: all; auto: as many as fit",
    )
    episodes_per_task: int = Field(20, gt=1, le=10_000, description="episodes per task and phase")
    num_train_tasks: int = Field(
        0, ge=0, le=1_000_000, description="number of fixed training tasks; 0: new tasks in every update"
    )
    inner_steps: int = Field(1, gt=0, le=100, description="inner updates while training")
    inner_surrogate: Surrogate = Field(
        "log_prob", description="objective of the inner step: A log pi, or ProMP's A pi / pi_old"
    )
    step_decay: float = Field(
        1.0, gt=0, le=1, description="factor on the step size after each inner update from `step_hold` on"
    )
    step_hold: int = Field(1, gt=0, le=10_000, description="inner updates with the full step size")
    step_floor: float = Field(0.0, ge=0, le=1, description="least share of the step size")
    scale_by_reward: bool = Field(
        False, description="whether inner step sizes are multiplied by |mean reward of a step|"
    )
    first_order: bool = Field(False, description="whether the outer gradient ignores second derivatives")
    learn_step_size: bool = Field(
        False,
        description="whether the outer step learns step sizes, one for each array or latent dimension, "
        "and inner update",
    )
    outer_loss: Literal["last", "all"] = Field(
        "last", description="episodes of the outer loss: after the last inner update, or after each"
    )
    outer: Literal["trust_region", "clipped"] = Field(
        "trust_region", description="kind of outer step: TRPO's, or ProMP's"
    )
    trust_region: TrustRegionConfig = Field(TrustRegionConfig(), description="settings of TRPO's step")
    clipped: ClippedConfig = Field(ClippedConfig(), description="settings of ProMP's steps")
    hidden: networks.Hidden = Field((100, 100), strict=False, description="units per hidden layer")
    activation: networks.Activation = Field("relu", description="activation function between layers")
    normalize_observations: bool = Field(
        False, description="whether observations are normalised by their running mean and standard deviation"
    )
    init_std: float = Field(
        1.0, gt=0, le=10, description="standard deviation of continuous actions at the start"
    )
    discount: float = Field(0.99, ge=0, le=1, description="gamma, the discount of one decision")
    gae_lambda: float = Field(1.0, ge=0, le=1, description="lambda of the advantage estimate")

    @model_validator(mode="after")
    def _table_holds_an_update(self) -> Self:
        if 0 < self.num_train_tasks < self.tasks_per_update:
            raise ValueError(
                f"tasks_per_update: found {self.tasks_per_update}; "
                f"must be at most num_train_tasks, {self.num_train_tasks}"
            )
        return self

    def unused(self) -> dict[str, str]:
        """Settings of the other outer step, and of inner updates that training does not make."""
        other = "clipped" if self.outer == "trust_region" else "trust_region"
        found = {other: f"algorithm.outer is {self.outer}"}
        if self.step_decay == 1:
            found |= dict.fromkeys(("step_hold", "step_floor"), "algorithm.step_decay is 1")
        if self.inner_steps < 2:
            found["outer_loss"] = f"algorithm.inner_steps is {self.inner_steps}"
        if self.inner_steps == 0:
            untrained = ("first_order", "learn_step_size", "inner_surrogate", "clipped.kl_weight")
            found |= dict.fromkeys(untrained, "algorithm.inner_steps is 0")
        return found
