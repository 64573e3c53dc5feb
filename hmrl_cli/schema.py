"""The base classes of plugin settings, and the settings of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import pydantic
from pydantic.fields import FieldInfo

COMMANDS = ("pretrain-skills", "meta-train")
SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # normal numbers of single precision


class Strict(pydantic.BaseModel):
    """Base of every configuration class: frozen, strictly typed, without unknown fields."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    # setting -> its value in runs older than the setting, if that differs from the default
    before: ClassVar[Mapping[str, Any]] = {}
    # settings of a family that affect its tasks, and not the dynamics that skills were trained in
    of_tasks: ClassVar[frozenset[str]] = frozenset({"horizon", "reward"})
    # settings that count at the start of a training alone, so not in a run that goes on from another's state
    at_start: ClassVar[frozenset[str]] = frozenset()
    # of a plugin that is a file outside the package: its path, SHA-256 and `make`
    plugin_file: ClassVar[Any] = None

    @pydantic.field_validator("*")
    @classmethod
    def _single_precision(cls, value: Any) -> Any:
        """Refuse numbers that become infinite or 0 in float32 arrays."""
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and number and not SMALLEST <= abs(number) <= LARGEST:
                raise ValueError(f"must be 0 or from {SMALLEST:.1e} to {LARGEST:.1e} in size")
        return value

    @classmethod
    def settings(cls) -> Iterator[tuple[str, FieldInfo]]:
        """Dotted path and field of every setting, those of nested tables too."""
        for name, field in cls.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Strict):
                yield from ((f"{name}.{path}", inner) for path, inner in field.annotation.settings())
            else:
                yield name, field

    def unused(self) -> dict[str, str]:
        """Settings without effect, given the others: name -> reason, e.g. "algorithm.q is fixed"."""
        return {}


class AlgorithmConfig(Strict):
    """Base of every algorithm's settings, with properties of the algorithm as class variables."""

    command: ClassVar[str]  # the command that trains it
    metric: ClassVar[str] = ""  # its metric that tells how training goes; "": one with a usual name
    takes_bonus: ClassVar[bool] = False  # whether it supports an exploration bonus
    inner_loop: ClassVar[bool] = False  # whether it has inner updates, which [evaluation] may replace
    has_latent: ClassVar[bool] = False  # whether inner updates can adapt a latent
    goes_on: ClassVar[bool] = False  # whether an evaluation may go on with its training, on the new task
    searches: ClassVar[bool] = False  # whether a search among skills is its only way to adapt


# Settings of an algorithm that an evaluation may replace.
SCHEDULE = ("step_decay", "step_hold", "step_floor")
BY_RULE = (
    "rule",
    "relabel",
    "selectivity",
    "imitation",
    *SCHEDULE,
    "imitation_steps",
    "least_gain",
    "fallback",
    "late_fallback",
)


# Settings of an evaluation that say how it adapts, and those that say on how much.
WAY = ("rule", "imitation_steps", "fallback", "late_fallback", "tune_after")
BUDGET = ("num_tasks", "split_seed", "adapt_steps", "episodes")


class Relabel(Strict):
    """The search among skills for a reward, and the use of a reward that was found.

    Skills are vectors in [-1, 1]^n.  Distances are Euclidean distances of skills.
    """

    before: ClassVar[Mapping[str, Any]] = {"turned": 0.0}
    stops: int = pydantic.Field(
        default=1, gt=0, le=100, description="places that a searching episode goes to, one after another"
    )
    broad: float = pydantic.Field(
        default=0.3, ge=0, le=1, description="share of the prior that is uniform; the rest is learned"
    )
    turned: float = pydantic.Field(
        default=0.5, ge=0, le=1, description="share of that rest that keeps only distances from the start"
    )
    sight: float | None = pydantic.Field(
        default=None, gt=0, le=10, description="how far a reward is found; none: as in training, or 0.2"
    )
    width: float = pydantic.Field(
        default=0.06, gt=0, le=10, description="standard deviation of the learned prior's kernels"
    )
    noise: float = pydantic.Field(
        default=0.0, ge=0, le=100, description="scale of the Gumbel noise on the log probability of a place"
    )
    exploit: float = pydantic.Field(
        default=0.5, gt=0, le=1, description="share of a batch that goes to the find, at least one episode"
    )
    imprecision: float = pydantic.Field(
        default=0.05, gt=0, le=10, description="least spread of the best guess, and of skills alike in value"
    )


class Imitation(Strict):
    """How the policy imitates good episodes in a refit."""

    learning_rate: float = pydantic.Field(default=1e-2, gt=0, lt=1, description="learning rate of Adam")
    episodes: int = pydantic.Field(default=8, gt=0, le=10_000, description="episodes in one gradient step")


class Tuning(Strict):
    """How the policy is tuned by clipped gradient steps after the updates by the rule."""

    learning_rate: float = pydantic.Field(
        default=1e-3, gt=0, lt=1, description="learning rate of Adam at the start"
    )
    target_kl: float = pydantic.Field(
        default=0.02, gt=0, description="target of KL before the last step, nats, by the learning rate"
    )
    epochs: int = pydantic.Field(
        default=10, gt=1, le=1000, description="gradient steps on each batch of episodes"
    )
    clip: float = pydantic.Field(
        default=0.2,
        gt=0,
        lt=1,
        description="epsilon: the ratio of new to old pi(a|s) is clipped to 1 +- epsilon",
    )


class Diagnosis(Strict):
    """What is measured of skills by METRA's protocol, beside their diagnosis; numbers of 0 leave it out."""

    random_skills: int = pydantic.Field(
        default=0, ge=0, le=100_000, description="random skills whose episodes cover cells; 48 in METRA"
    )
    cell: float = pydantic.Field(
        default=1.0, gt=0, le=1e6, description="side of a cell, in length units of the family"
    )
    goals: int = pydantic.Field(
        default=0, ge=0, le=100_000, description="goals that skills are sent to; 50 in METRA"
    )
    goal_range: float = pydantic.Field(
        default=10.0,
        gt=0,
        le=1e6,
        description="half the side of the square about the start from which goals are drawn; 50 in METRA",
    )
    near: float = pydantic.Field(
        default=1.0, gt=0, le=1e6, description="distance from a goal at which it is reached"
    )

    def unused(self) -> dict[str, str]:
        """Settings of measurements that are left out."""
        needs = {"cell": "random_skills", "goal_range": "goals", "near": "goals"}
        return {key: f"evaluation.diagnosis.{of} is 0" for key, of in needs.items() if not getattr(self, of)}


class Evaluation(Strict):
    """How the adaptation to test tasks is measured."""

    num_tasks: int = pydantic.Field(default=40, gt=0, le=10_000, description="number of tasks")
    split_seed: int = pydantic.Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        description="seed of the split's tasks; use another one for final numbers",
    )
    adapt_steps: int = pydantic.Field(default=5, ge=0, le=10_000, description="updates on each task")
    episodes: int = pydantic.Field(
        default=20, gt=0, le=1_000_000, description="episodes of one task between two updates"
    )
    rule: Literal["gradient", "refit", "relabel"] = pydantic.Field(
        default="gradient",
        description="kind of update: the trained one, a refit to all episodes weighted by returns, "
        "or a search among skills",
    )
    selectivity: float = pydantic.Field(
        default=10.0,
        gt=0,
        le=1000,
        description="log of the weight ratio of the best to the mean experience, in refit and relabel",
    )
    relabel: Relabel = pydantic.Field(default=Relabel(), description="settings of the search")
    imitation: Imitation = pydantic.Field(
        default=Imitation(), description="settings of the imitation in a refit"
    )
    tuning: Tuning = pydantic.Field(
        default=Tuning(), description="settings of the gradient steps after `tune_after`"
    )
    step_decay: float | None = pydantic.Field(
        default=None,
        gt=0,
        le=1,
        description="factor on the step size after each update from `step_hold` on; none: as trained",
    )
    step_hold: int | None = pydantic.Field(
        default=None, gt=0, le=10_000, description="updates with the full step size; none: as trained"
    )
    step_floor: float | None = pydantic.Field(
        default=None,
        ge=0,
        le=1,
        description="least share of the step size; none: as trained",
    )
    imitation_steps: int = pydantic.Field(
        default=0,
        ge=0,
        le=100_000,
        description="gradient steps of the imitation in a refit; 0: no imitation",
    )
    least_gain: float | None = pydantic.Field(
        default=None,
        ge=0,
        description="gain of return by which a reward counts as found; none: a fifth of the way from "
        "flat to feasible on training tasks",
    )
    fallback: float = pydantic.Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the episodes before an update that repeat one random action, or skill",
    )
    late_fallback: float = pydantic.Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of these episodes that follow the policy up to a random decision",
    )
    deterministic: bool = pydantic.Field(
        default=False, description="whether the policy, or skills, take their most likely action"
    )
    diagnosis: Diagnosis = pydantic.Field(
        default=Diagnosis(), description="what is measured of skills by METRA's protocol"
    )
    latent_std: float = pydantic.Field(
        default=1.0, gt=0, le=100, description="standard deviation of the exploration latent at the start"
    )
    tune_after: int | None = pydantic.Field(
        default=None,
        ge=0,
        le=10_000,
        description="updates by `rule` before clipped gradient steps tune the policy, or measurements before "
        "ppo goes on training; none: neither",
    )

    def unused(self) -> dict[str, str]:
        """Settings of updates that are not made, and of other rules than `rule`."""
        found: dict[str, str] = {}
        if self.adapt_steps == 1:
            found |= dict.fromkeys(SCHEDULE, "one update has the full step size")
        if self.rule != "gradient":
            found |= dict.fromkeys(SCHEDULE, f"evaluation.rule is {self.rule}")
        if self.rule == "gradient":
            found |= dict.fromkeys(("least_gain", "selectivity"), "evaluation.rule is not refit or relabel")
        if self.rule != "refit":
            found |= dict.fromkeys(("imitation_steps", "imitation"), "evaluation.rule is not refit")
        elif not self.imitation_steps:
            found["imitation"] = "evaluation.imitation_steps is 0"
        if self.tune_after is None:
            found["tuning"] = "there is no evaluation.tune_after"
        if self.rule == "relabel":
            found |= dict.fromkeys(("late_fallback", "tune_after", "tuning"), "evaluation.rule is relabel")
        else:
            found["relabel"] = "evaluation.rule is not relabel"
        if not self.fallback:
            found["late_fallback"] = "there is no evaluation.fallback"
        if self.tune_after is not None and self.tune_after >= self.adapt_steps:
            found["tune_after"] = f"there are {self.adapt_steps} updates"
        if self.tune_after == 0 and self.adapt_steps:
            found |= dict.fromkeys(BY_RULE, "no update goes by the rule, with evaluation.tune_after 0")
        if not self.adapt_steps:
            found |= dict.fromkeys((*BY_RULE, "tune_after", "tuning"), "there is no update")
        return found
