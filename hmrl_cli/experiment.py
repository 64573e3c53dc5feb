"""All settings of a run, and what follows from several of them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pydantic

from hmrl_cli.schema import Evaluation, Strict


class Hierarchy(Strict):
    """The skills that a learner acts through, or starts from."""

    at_start: ClassVar[frozenset[str]] = frozenset({"use"})
    skills: str = pydantic.Field(default="", description="a finished pretrain-skills run, or its export")
    use: Literal["act", "start"] = pydantic.Field(
        default="act",
        description="act through the skills, or start from the best skill and learn with raw actions",
    )
    steps_per_skill: int = pydantic.Field(
        default=10, gt=0, le=10_000, description="environment steps for which a chosen skill runs"
    )
    stochastic: bool = pydantic.Field(
        default=True, description="whether skills sample their actions or take the most likely ones"
    )

    def unused(self) -> dict[str, str]:
        """A policy that starts from a skill does not act through skills."""
        acts = self.use == "act"
        return {} if acts else dict.fromkeys(("steps_per_skill", "stochastic"), "hierarchy.use is start")


class Training(Strict):
    """Length of training, and seeds."""

    epochs: int = pydantic.Field(gt=0, le=10_000_000, description="epochs; metrics are written once in each")
    updates_per_epoch: int = pydantic.Field(default=1, gt=0, le=1_000_000, description="updates in one epoch")
    checkpoint_every: int = pydantic.Field(default=10, gt=0, description="epochs between two checkpoints")
    seed: int = pydantic.Field(default=0, ge=0, le=2**31 - 1, description="the first seed")
    num_seeds: int = pydantic.Field(
        default=1, gt=0, le=4096, description="seeds trained side by side in one program"
    )
    action_repeat: int = pydantic.Field(
        default=1, gt=0, le=10_000, description="environment steps for which each action repeats"
    )
    init_from: str | None = pydantic.Field(
        default=None, min_length=1, description="a run from whose last checkpoint to start; none: a new state"
    )
    continues: bool = pydantic.Field(
        default=False, description="whether epochs count on from those of `init_from`, as in one longer run"
    )

    @property
    def seeds(self) -> range:
        """The seeds."""
        return range(self.seed, self.seed + self.num_seeds)

    def unused(self) -> dict[str, str]:
        """Without another run there is nothing to continue."""
        return {} if self.init_from else {"continues": "there is no training.init_from"}


class Experiment(Strict):
    """All settings of a run; equal experiments give equal runs."""

    family: Any  # the plugin's Config
    algorithm: Any  # the plugin's Config
    bonus: Any = None  # the plugin's Config, or None
    hierarchy: Hierarchy | None = None
    training: Training
    evaluation: Evaluation

    @property
    def acts_through_skills(self) -> bool:
        """Whether the learner's actions are skills."""
        return self.hierarchy is not None and self.hierarchy.use == "act"

    @property
    def steps_per_decision(self) -> int:
        """Environment steps for which the learner keeps a skill or an action."""
        if self.hierarchy is not None and self.hierarchy.use == "act":
            return self.hierarchy.steps_per_skill
        return self.training.action_repeat
