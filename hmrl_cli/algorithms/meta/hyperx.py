"""HyperX: VariBAD with two bonuses for exploration while it meta-trains (Zintgraf et al. 2021, 2010.01062).

Both bonuses of a step are added to its reward (eq. 5), and fall linearly to 0:

* the novelty of observation and belief after the step, by random network distillation.  It leads to states
  and beliefs that were never met.
* the error of the decoders for the step, given the belief after it.  It leads where the belief is wrong.

Each bonus is divided by its running root mean square, so that its weight does not depend on its unit.  In the
first update novelty is not scaled yet.  The rewards that bonuses are added to keep their scale.  The authors
divide a bonus by the standard deviation of its discounted return.  Their random network is large, and its
predictor learns slowly, so that novelty lasts (`distillation`).  Nothing else differs from VariBAD.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.meta import _bayes_adaptive, _belief
from hmrl_cli.algorithms.meta._bayes_adaptive import TrialBonus
from hmrl_cli.algorithms.meta._belief import Belief, Experience
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, novelty
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.novelty import Distillation, DistillationConfig
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.types import MetaLearner, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params


class Config(_bayes_adaptive.Config):
    """Settings of HyperX."""

    name: Literal["hyperx"] = "hyperx"
    novelty_weight: float = Field(
        0.1, ge=0, le=1000, description="factor of the novelty of observation and belief, at the start"
    )
    error_weight: float = Field(
        0.1, ge=0, le=1000, description="factor of the decoders' error for the current step, at the start"
    )
    anneal_updates: int = Field(
        500, gt=0, le=1_000_000_000, description="updates over which both factors fall to 0"
    )
    observe: str = Field("identity", description="feature of the observation whose novelty counts")
    distillation: DistillationConfig = Field(
        DistillationConfig(), description="settings of the networks that measure novelty"
    )

    def unused(self) -> dict[str, str]:
        """Settings of a bonus with weight 0; without any bonus, also `anneal_updates`."""
        found: dict[str, str] = {}
        if not self.novelty_weight:
            found |= dict.fromkeys(("observe", "distillation"), "algorithm.novelty_weight is 0")
        if not (self.novelty_weight or self.error_weight):
            found["anneal_updates"] = "there is no bonus"
        return found


class State(NamedTuple):
    """State of the bonuses."""

    updates: Array  # [] int32  number of updates so far
    novelty: novelty.State
    scale: Moments  # of the decoders' error


class Exploration(NamedTuple):
    """The bonuses, bound to their family."""

    config: Config
    belief: Belief
    distillation: Distillation

    def init(self, key: Key) -> State:
        """Fresh networks."""
        return State(jnp.int32(0), self.distillation.init(key), moments.initial(1))

    def of_trials(
        self, key: Key, state: State, params: Params, observed: Moments, beliefs: Gaussian, steps: Experience
    ) -> tuple[Array, State, Metrics]:
        """The bonus of the steps [N, T], and the state after it has learned from them.

        The beliefs are those before each step.  The one after the last step of a trial is not at hand, and
        the one before it takes its place.
        """
        sample_key, learn_key = jax.random.split(key)
        after = jax.tree.map(lambda x: jnp.concatenate([x[:, 1:], x[:, -1:]], axis=1), beliefs)
        place = self.belief.family.features[self.config.observe](steps.next_obs)
        rows = novelty.Rows(jnp.concatenate([place, after.mean, after.log_std], axis=-1), steps.valid)
        new = self.distillation.novelty(state.novelty, rows.x)
        error = self.belief.error(params, observed, after.sample(sample_key), steps)
        scale = novelty.rescale(state.scale, error, steps.valid)
        wrong = novelty.scaled(scale, error)
        share = jnp.maximum(0.0, 1.0 - state.updates / self.config.anneal_updates)
        bonus = share * (self.config.novelty_weight * new + self.config.error_weight * wrong)
        distilled, learned = self.distillation.learn(learn_key, state.novelty, rows)
        metrics = {"bonus": masked_mean(bonus, steps.valid), "novelty": masked_mean(new, steps.valid)}
        return bonus, State(state.updates + 1, distilled, scale), metrics | learned


def exploration(config: Config, family: TaskFamily) -> Exploration:
    """The bonuses on a family; ValueError if the family lacks the feature."""
    size = feature_size(family, "algorithm.observe", config.observe) + 2 * config.belief.latent_size
    distillation = novelty.distillation(config.distillation, size)
    return Exploration(config, _belief.make(config.belief, family), distillation)


def make(config: Config, family: TaskFamily) -> MetaLearner:
    """HyperX on a family, plain or lifted; ValueError if the family lacks the feature to observe."""
    explore = exploration(config, family)
    return _bayes_adaptive.make(config, family, TrialBonus(explore.init, explore.of_trials))
