"""Random network distillation: the error in predicting a random network (Burda et al. 2018, 1810.12894).

Observations are normalised by running moments.  The differences from the paper:

* Normalised observations are clipped at 10 standard deviations, in the paper at 5.
* The random network has random biases (see `learning.novelty`).
* The error is divided by its running root mean square.  The paper divides by the standard deviation of the
  intrinsic returns.
* One critic with one discount estimates the sum of reward and bonus.  The paper has two (sec. 2.3).
* The first update has no moments yet.  The paper first takes those of a random policy.
* The bonus ends with the episode.  In the paper intrinsic returns continue across episodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from hmrl_cli.bonuses import _shared
from hmrl_cli.environment.features import feature_size
from hmrl_cli.learning import novelty
from hmrl_cli.types import Bonus, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.learning.novelty import State
    from hmrl_cli.types import Array, Key, Metrics


class Config(novelty.DistillationConfig, _shared.Config):
    """Settings of random network distillation."""

    name: Literal["rnd"] = "rnd"


class RND(NamedTuple):
    """The bonus, bound to its family."""

    feature: Callable[[Array], Array]
    of_feature: novelty.Distillation

    def reward(self, state: State, steps: Transition) -> Array:
        """The scaled error [...] at s'."""
        return self.of_feature.novelty(state, self.feature(steps.next_obs))

    def learn(self, key: Key, state: State, steps: Transition) -> tuple[State, Metrics]:
        """Train the predictor on the states after the steps, s'."""
        return self.of_feature.learn(key, state, novelty.Rows(self.feature(steps.next_obs), steps.valid))


def make(config: Config, family: TaskFamily) -> Bonus:
    """The bonus for a family, plain or lifted.

    Raises:
        ValueError: the family lacks the feature.
    """
    size = feature_size(family, "bonus.observe", config.observe)
    rnd = RND(family.features[config.observe], novelty.distillation(config, size))
    return Bonus(config.weight, rnd.of_feature.init, rnd.reward, rnd.learn)
