"""Information gain of a step about a Bayesian model of the dynamics, in nats (after VIME).

VIME (Houthooft et al. 2016, 1605.09674) rewards the KL divergence between the posteriors before and after a
step.  Its model is a variational Bayesian network.

Here the model is linear in random Fourier features phi of state and action (Rahimi and Recht 2007):
f(s') - f(s) = W^T phi(s, a) + noise.  So the posterior of W is exact.  The bonus is the mutual information of
W and the next state, D / 2 log(1 + phi^T Sigma phi / noise^2).  This is the mean of VIME's divergence over
the next states that the model predicts.  The bonus is not normalised any further.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.bonuses import _shared
from hmrl_cli.compute.devices import sequential_on_cpu
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import networks
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.types import Bonus, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics


class Config(_shared.Config):
    """Settings of the information gain."""

    name: Literal["information_gain"] = "information_gain"
    observe: str = Field("xy", description="feature of the observation whose change is predicted")
    num_features: int = Field(128, gt=0, le=4096, description="random Fourier features")
    length_scale: float = Field(
        0.5, gt=0, description="distance over which the model varies with the state, in the feature's units"
    )
    action_scale: float = Field(1.0, gt=0, description="distance over which the model varies with the action")
    noise: float = Field(
        0.1, gt=0, le=100, description="standard deviation of the noise; that of the prior weights is 1"
    )


class State(NamedTuple):
    """State of the bonus."""

    frequencies: Array  # [D + actions, F]
    phases: Array  # [F]
    root: Array  # [F, F]  R, upper triangular; R^T R is the posterior precision of each column of W
    moment: Array  # [F, D]  R times the posterior mean of W


class InformationGain(NamedTuple):
    """The bonus, bound to its family."""

    config: Config
    family: TaskFamily
    size: int  # D, the size of the feature

    def init(self, key: Key) -> State:
        """Random features, and the prior W ~ N(0, 1)."""
        frequency_key, phase_key = jax.random.split(key)
        num_features, actions = self.config.num_features, self.family.action.size
        scales = self.size * [self.config.length_scale] + actions * [self.config.action_scale]
        frequencies = jax.random.normal(frequency_key, (len(scales), num_features))
        return State(
            frequencies / jnp.array(scales, jnp.float32)[:, None],
            jax.random.uniform(phase_key, (num_features,), maxval=2 * math.pi),
            jnp.eye(num_features),
            jnp.zeros((num_features, self.size)),
        )

    def features(self, state: State, steps: Transition) -> Array:
        """phi(s, a) [..., F], with a norm of about 1."""
        seen = self.family.features[self.config.observe](steps.obs)
        x = jnp.concatenate([seen, networks.action_code(self.family.action, steps.action)], axis=-1)
        return math.sqrt(2 / self.config.num_features) * jnp.cos(x @ state.frequencies + state.phases)

    def reward(self, state: State, steps: Transition) -> Array:
        """D / 2 log(1 + phi^T Sigma phi / noise^2) [...]."""
        phi = self.features(state, steps)
        flat = phi.reshape(-1, phi.shape[-1]).T
        half = sequential_on_cpu(functools.partial(jax.scipy.linalg.solve_triangular, trans=1))(
            state.root, flat
        )  # R^-T phi
        variance = jnp.sum(half**2, axis=0).reshape(phi.shape[:-1])
        return 0.5 * self.size * jnp.log1p(variance / self.config.noise**2)

    def learn(self, key: Key, state: State, steps: Transition) -> tuple[State, Metrics]:
        """Update the posterior with the steps."""
        count = self.config.num_features
        valid = steps.valid[..., None]
        phi = self.features(state, steps)
        change = self._change(steps)
        weights = sequential_on_cpu(jax.scipy.linalg.solve_triangular)(state.root, state.moment)
        squared_error = jnp.sum((change - phi @ weights) ** 2, axis=-1)

        # QR of the stacked roots: a sum of precisions in float32 would lose rarely seen directions
        data = jnp.concatenate([phi, change], axis=-1) * valid / self.config.noise
        prior = jnp.concatenate([state.root, state.moment], axis=-1)
        stacked = jnp.concatenate([prior, data.reshape(-1, data.shape[-1])])
        triangle = sequential_on_cpu(functools.partial(jnp.linalg.qr, mode="r"))(stacked)[:count]
        metrics = {"model_error": jnp.sqrt(masked_mean(squared_error, steps.valid))}
        return state._replace(root=triangle[:, :count], moment=triangle[:, count:]), metrics

    def _change(self, steps: Transition) -> Array:
        feature = self.family.features[self.config.observe]
        return feature(steps.next_obs) - feature(steps.obs)


def make(config: Config, family: TaskFamily) -> Bonus:
    """The bonus for a family, plain or lifted.

    Raises:
        ValueError: the family lacks the feature.
    """
    gain = InformationGain(config, family, feature_size(family, "bonus.observe", config.observe))
    return Bonus(config.weight, gain.init, gain.reward, gain.learn)
