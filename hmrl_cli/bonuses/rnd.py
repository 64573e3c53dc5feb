"""Random network distillation: the error in predicting a random network (Burda et al. 2018, 1810.12894).

Observations are normalised by running moments.  There are three differences from the paper:

* The error is divided by its running root mean square.  The paper divides by the standard deviation of the
  intrinsic returns.
* One critic with one discount estimates the sum of reward and bonus.  The paper has two (sec. 2.3).
* The bonus ends with the episode.  In the paper intrinsic returns continue across episodes.

The biases of the random network are random too.  Without biases the network would be linear along every ray,
and a prediction learned near the origin would hold far away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.bonuses import _shared
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import moments, networks
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.types import Bonus, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params


class Config(_shared.NetworkConfig):
    """Settings of random network distillation."""

    name: Literal["rnd"] = "rnd"
    output_size: int = Field(32, gt=0, le=65_536, description="size of the random network's output")


class State(NamedTuple):
    """State of the bonus."""

    target: Params  # the random network; never trained
    predictor: Params
    optimizer: Any
    observed: Moments  # of the feature
    scale: Moments  # of the error


class RND(NamedTuple):
    """The bonus, bound to its family."""

    config: Config
    family: TaskFamily
    network: networks.Network
    size: int  # of the feature

    def init(self, key: Key) -> State:
        """A random target and an untrained predictor."""
        target_key, bias_key, predictor_key = jax.random.split(key, 3)
        predictor = self.network.init(predictor_key)
        return State(
            _with_random_biases(bias_key, self.network.init(target_key)),
            predictor,
            optax.adam(self.config.learning_rate).init(predictor),
            moments.initial(self.size),
            moments.initial(1),
        )

    def error(self, state: State, predictor: Params, obs: Array) -> Array:
        """Mean squared error of the prediction [...] for observations [..., obs_size]."""
        x = moments.normalize(state.observed, self.family.features[self.config.observe](obs))
        difference = self.network.apply(predictor, x) - self.network.apply(state.target, x)
        return jnp.mean(difference**2, axis=-1)

    def reward(self, state: State, steps: Transition) -> Array:
        """The scaled error [...] at s'."""
        return _shared.scaled(state.scale, self.error(state, state.predictor, steps.next_obs))

    def learn(self, key: Key, state: State, steps: Transition) -> tuple[State, Metrics]:
        """Train the predictor on the states after the steps, s'."""
        feature = self.family.features[self.config.observe](steps.next_obs)
        state = state._replace(observed=moments.absorb(state.observed, feature, steps.valid))
        error = self.error(state, state.predictor, steps.next_obs)
        state = state._replace(scale=_shared.rescale(state.scale, error, steps.valid))

        def loss(predictor: Params, batch: Transition) -> tuple[Array, Metrics]:
            mean = masked_mean(self.error(state, predictor, batch.next_obs), batch.valid)
            return mean, {"predictor_loss": mean}

        predictor, optimizer, metrics = _shared.fit(
            key, self.config, loss, state.predictor, state.optimizer, steps
        )
        return state._replace(predictor=predictor, optimizer=optimizer), metrics


def _with_random_biases(key: Key, params: Params) -> Params:
    """The parameters with every bias drawn from N(0, 1)."""
    leaves, tree = jax.tree.flatten(params)
    drawn = [
        jax.random.normal(jax.random.fold_in(key, i), leaf.shape) if leaf.ndim == 1 else leaf
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(tree, drawn)


def make(config: Config, family: TaskFamily) -> Bonus:
    """The bonus for a family, plain or lifted.

    Raises:
        ValueError: the family lacks the feature.
    """
    size = feature_size(family, "bonus.observe", config.observe)
    rnd = RND(config, family, networks.mlp(size, config.hidden, config.output_size), size)
    return Bonus(config.weight, rnd.init, rnd.reward, rnd.learn)
