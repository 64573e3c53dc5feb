"""Skill prior: meta-learning where rewards are, in the space of skills (empirical Bayes; Robbins 1956).

Training tasks are searched as a test task is.  Where the reward of a task was found, the skill that leads
there goes into a bank, if some episode met the task's goal.  The kernel density of the bank is the prior by
which the next tasks are searched, beside a broad one (`search.belief`).  It is a relative of PEARL's
posterior sampling (Rakelly et al. 2019).  Its latent is a skill, and its posterior follows from Bayes' rule
over sampled places.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from hmrl_cli.compute.devices import side_by_side
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.schema import AlgorithmConfig, Evaluation, Relabel
from hmrl_cli.search import adaptation, belief, relabel
from hmrl_cli.search.adaptation import Known, Plan, Prior
from hmrl_cli.search.belief import Bank
from hmrl_cli.types import Adaptation, AdaptState, Continuous, MetaLearner, Online, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Task

SHARE = 0.3  # of the gain of a solved training task, from which on a reward counts as found
SOLVED = 0.9  # quantile of the gains of training tasks that is the gain of a solved one


class Config(AlgorithmConfig):
    """Settings of the learned prior over skills."""

    command: ClassVar[str] = "meta-train"
    metric: ClassVar[str] = "success_after"
    searches: ClassVar[bool] = True
    name: Literal["skill_prior"] = "skill_prior"
    num_train_tasks: int = Field(80, gt=0, le=1_000_000, description="training tasks that the bank remembers")
    tasks_per_update: int = Field(20, gt=0, le=10_000, description="tasks searched per update")
    batches: int = Field(10, gt=0, le=10_000, description="batches of episodes by which a task is searched")
    episodes_per_task: int = Field(4, gt=0, le=10_000, description="episodes of a batch")
    relabel: Relabel = Field(Relabel(), description="how training tasks are searched")

    @model_validator(mode="after")
    def _bank_holds_an_update(self) -> Self:
        if self.num_train_tasks < self.tasks_per_update:
            raise ValueError(
                f"tasks_per_update: found {self.tasks_per_update}; "
                f"must be at most num_train_tasks, {self.num_train_tasks}"
            )
        return self


class State(NamedTuple):
    """What was found on training tasks, newest over oldest."""

    places: Array  # [num_train_tasks, size]  skills
    gain: Array  # [num_train_tasks]  of the reward of a decision; 0: no task yet, or one that was not solved
    extent: Array  # [num_train_tasks]  how far from its place the reward was met
    updates: Array  # [] int32  made so far


class SkillPrior(NamedTuple):
    """The learner, bound to its family."""

    config: Config
    family: TaskFamily

    def init(self, key: Key) -> State:
        """An empty bank."""
        count = self.config.num_train_tasks
        places = jnp.zeros((count, self.family.action.size))
        return State(places, jnp.zeros(count), jnp.zeros(count), jnp.int32(0))

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """Search some training tasks, and remember where their rewards were."""
        count = self.config.tasks_per_update
        budget = Evaluation(
            adapt_steps=self.config.batches - 1,
            episodes=self.config.episodes_per_task,
            rule="relabel",
            relabel=self.config.relabel,
        )

        def search(state: State, key: Key) -> tuple[Array, Array, Array, Adaptation]:
            task_key, belief_key, key = jax.random.split(key, 3)
            task = self.family.sample(task_key, "train")
            first = self._prior(belief_key, state, budget.relabel)
            plan, buffer, curve = adaptation.adapt(
                key, self.family, task, budget, first, least_gain=least_gain(state.gain)
            )
            # without a reward a task still has a gain, because action costs differ
            gain = jnp.where(curve.reached.max() > 0, relabel.reward_gain(buffer), 0.0)
            return plan.target, gain, relabel.extent(buffer, plan.target, SHARE * gain), curve

        target, gain, extent, curve = side_by_side(search, state, jax.random.split(key, count))
        rows = (state.updates * count + jnp.arange(count)) % self.config.num_train_tasks
        new = State(
            state.places.at[rows].set(target),
            state.gain.at[rows].set(gain),
            state.extent.at[rows].set(extent),
            state.updates + 1,
        )
        metrics = {
            "return_before": curve.returned[:, 0].mean(),
            "return_after": curve.returned[:, -1].mean(),
            "success_after": curve.success[:, -1].mean(),
            "reached_after": curve.reached[:, -1].mean(),
            "sight": belief.sight_of(self._bank(new), self.config.relabel),
            "found": (gain > least_gain(new.gain)).mean(),
        }
        return new, metrics

    def adapt(self, key: Key, state: State, task: Task, budget: Evaluation) -> tuple[AdaptState, Adaptation]:
        """Search a new task; if the budget has no `least_gain`, the training tasks provide one."""
        key, first, least = self._first(key, state, budget)
        plan, _, curve = adaptation.adapt(key, self.family, task, budget, first, least_gain=least)
        return AdaptState(None, plan), curve

    def online(self, budget: Evaluation) -> Online:
        """The search of `adapt`, for episodes from outside the simulator."""
        search = adaptation.Search(self.family, budget, follows=False)

        def begin(key: Key, state: State, obs: Array) -> tuple[Key, Known]:
            key, first, least = self._first(key, state, budget)
            return key, search.begin(first, obs, least)

        return Online(
            budget.episodes,
            begin,
            search.choose,
            lambda known, *now: search.act(None, *now),
            lambda key, *data: search.absorb(*data),
            search.sense,
        )

    def _first(self, key: Key, state: State, budget: Evaluation) -> tuple[Key, Prior, Array]:
        """The key of a task's batches, the prior, and the gain from which a reward counts as found."""
        belief_key, key = jax.random.split(key)
        given = self._given(budget)
        first = self._prior(belief_key, state, budget.relabel, given)
        return key, first, least_gain(state.gain) if given is None else jnp.float32(given)

    def note(self, state: State, budget: Evaluation) -> str:
        """A message on the seeds, rows of leaves [S, ...], without a solved task in the bank; "" if none."""
        known = jax.vmap(lambda state: self._bank(state, self._given(budget)).known.any())(state)
        without = [str(seed) for seed, any_known in enumerate(known.tolist()) if not any_known]
        if not without:
            return ""
        rows = ", ".join(without)
        return (
            f"no training task was solved in row {rows} of the seeds; its prior is the broad one; "
            "the algorithm.reach of its skills must cover the goals, and rewards depend on places alone"
        )

    def behaviour(
        self, key: Key, adapted: AdaptState, deterministic: bool = False
    ) -> Callable[[Key, Array], tuple[Array, Array]]:
        """The policy of an episode, which holds one skill: near the find, or else drawn from the belief."""
        plan: Plan = adapted.latent
        what_key, where_key = jax.random.split(key)
        aim = plan.best + plan.target_std * jax.random.normal(what_key, plan.target.shape)
        aim = jnp.where(deterministic, plan.best, aim)
        place = plan.belief.places[jax.random.categorical(where_key, plan.belief.log_weight)]
        bound = adaptation.bound_of(self.family)
        skill = jnp.clip(jnp.where(plan.found, aim, place), -bound, bound)
        return lambda key, obs: (skill, jnp.float32(0))

    def _prior(self, key: Key, state: State, settings: Relabel, given: float | None = None) -> Prior:
        return partial(belief.prior, key, self._bank(state, given), self.family.action, settings)

    def _bank(self, state: State, given: float | None = None) -> Bank:
        """The bank, in which a task is known if its gain exceeds the learned and any given threshold."""
        least = jnp.maximum(least_gain(state.gain), 0.0 if given is None else given)
        return Bank(state.places, (state.gain > least).astype(jnp.float32), state.extent)

    def _given(self, budget: Evaluation) -> float | None:
        """The budget's `least_gain` per decision; None if the budget has none."""
        return None if budget.least_gain is None else budget.least_gain / self.family.horizon


def least_gain(gain: Array) -> Array:
    """Gain [] from which a reward counts as found, given gains [B] of training tasks; 0 if none was solved.

    With 0 the best decision counts as a find, even if only its action costs are lower.  So in the first
    update half of the episodes exploit it.  If it is a reward, they show how far the reward extends.
    """
    solved = jnp.nanquantile(jnp.where(gain > 0, gain, jnp.nan), SOLVED)
    return jnp.where(jnp.isfinite(solved), SHARE * solved, 0.0)


def make(config: Config, family: TaskFamily) -> MetaLearner:
    """The learned prior over the skills of a lifted family.

    Raises ValueError where skills cannot be located.
    """
    if "skill" not in family.features or not isinstance(family.action, Continuous):
        raise ValueError(
            f"algorithm.name: found 'skill_prior' for {family.name} without skills that can be located; "
            "must act through --skills learned by vgcrl"
        )
    learner = SkillPrior(config, family)
    episodes = config.tasks_per_update * config.batches * config.episodes_per_task
    return MetaLearner(
        learner.init,
        learner.step,
        episodes * family.horizon,
        learner.adapt,
        learner.behaviour,
        note=learner.note,
        online=learner.online,
        keep=lambda state: state,
    )
