"""Curiosity: the error of a forward model in learned features (Pathak et al. 2017, 1705.05363).

An inverse model predicts the action from phi(s) and phi(s').  Only its loss trains the features phi, so phi
may ignore what no action affects.  In the paper (eq. 7) the forward error trains phi too.  The bonus is the
error 1/2 |phi'(phi(s), a) - phi(s')|^2 of the forward model.  The error is divided by its running root mean
square, because the scale of phi is arbitrary.  In the first update it is not scaled yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.bonuses import _shared
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import moments, networks, novelty
from hmrl_cli.learning.distributions import Categorical, Gaussian
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.types import Bonus, Discrete, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.learning.distributions import Policy
    from hmrl_cli.types import Array, Key, Metrics, Params


class Config(novelty.FitConfig, _shared.Config):
    """Settings of curiosity."""

    name: Literal["icm"] = "icm"
    feature_size: int = Field(16, gt=0, le=65_536, description="numbers in a learned feature phi(s)")


class State(NamedTuple):
    """State of the bonus."""

    params: Params  # of "encoder", "inverse" and "forward"
    optimizer: Any
    observed: Moments  # of the observed feature
    scale: Moments  # of the forward error


class ICM(NamedTuple):
    """The bonus, bound to its family."""

    config: Config
    family: TaskFamily
    parts: dict[str, networks.Network]
    size: int  # of the family's feature

    def init(self, key: Key) -> State:
        """Fresh networks."""
        keys = jax.random.split(key, len(self.parts))
        params = {name: network.init(k) for k, (name, network) in zip(keys, self.parts.items(), strict=True)}
        optimizer = optax.adam(self.config.learning_rate).init(params)
        return State(params, optimizer, moments.initial(self.size), moments.initial(1))

    def encode(self, state: State, params: Params, obs: Array) -> Array:
        """phi [..., feature_size] for observations [..., obs_size]."""
        x = moments.normalize(state.observed, self.family.features[self.config.observe](obs))
        return self.parts["encoder"].apply(params["encoder"], x)

    def invert(self, params: Params, before: Array, after: Array) -> Policy:
        """The inverse model q(a | phi(s), phi(s'))."""
        out = self.parts["inverse"].apply(params["inverse"], jnp.concatenate([before, after], axis=-1))
        if isinstance(self.family.action, Discrete):
            return Categorical(out)
        mean, log_std = jnp.split(out, 2, axis=-1)
        return Gaussian(mean, jnp.clip(log_std, -3.0, 2.0))

    def error(self, params: Params, before: Array, action: Array, after: Array) -> Array:
        """The forward error 1/2 |phi'(phi(s), a) - phi(s')|^2 [...]."""
        x = jnp.concatenate([before, networks.action_code(self.family.action, action)], axis=-1)
        return 0.5 * jnp.sum((self.parts["forward"].apply(params["forward"], x) - after) ** 2, axis=-1)

    def forward_error(self, state: State, steps: Transition) -> Array:
        """The forward error of steps [...]."""
        before, after = (self.encode(state, state.params, obs) for obs in (steps.obs, steps.next_obs))
        return self.error(state.params, before, steps.action, after)

    def reward(self, state: State, steps: Transition) -> Array:
        """The scaled forward error [...]."""
        return novelty.scaled(state.scale, self.forward_error(state, steps))

    def learn(self, key: Key, state: State, steps: Transition) -> tuple[State, Metrics]:
        """Train features, inverse and forward model together."""
        feature = self.family.features[self.config.observe](steps.next_obs)
        state = state._replace(observed=moments.absorb(state.observed, feature, steps.valid))
        error = self.forward_error(state, steps)
        state = state._replace(scale=novelty.rescale(state.scale, error, steps.valid))

        def loss(params: Params, batch: Transition) -> tuple[Array, Metrics]:
            before, after = (self.encode(state, params, obs) for obs in (batch.obs, batch.next_obs))
            action = batch.action
            if not isinstance(self.family.action, Discrete):
                action = networks.action_code(self.family.action, action)
            inverse = -masked_mean(self.invert(params, before, after).log_prob(action), batch.valid)
            fixed = jax.lax.stop_gradient((before, after))
            forward = masked_mean(self.error(params, fixed[0], batch.action, fixed[1]), batch.valid)
            # the losses share no parameter and Adam is scale-free, so a weight would change nothing
            return inverse + forward, {"inverse_loss": inverse, "forward_loss": forward}

        params, optimizer, metrics = novelty.fit(key, self.config, loss, state.params, state.optimizer, steps)
        return state._replace(params=params, optimizer=optimizer), metrics


def make(config: Config, family: TaskFamily) -> Bonus:
    """The bonus for a family, plain or lifted.

    Raises:
        ValueError: the family lacks the feature.
    """
    size = feature_size(family, "bonus.observe", config.observe)
    encoded, actions = config.feature_size, family.action.size
    prediction = actions if isinstance(family.action, Discrete) else 2 * actions
    parts = {
        "encoder": networks.mlp(size, config.hidden, encoded),
        "inverse": networks.mlp(2 * encoded, config.hidden, prediction),
        "forward": networks.mlp(encoded + actions, config.hidden, encoded),
    }
    icm = ICM(config, family, parts, size)
    return Bonus(config.weight, icm.init, icm.reward, icm.learn)
