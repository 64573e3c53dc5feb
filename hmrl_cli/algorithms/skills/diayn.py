"""DIAYN: skills that a discriminator can tell apart, without reward (Eysenbach et al. 2019, 1802.06070).

With `feature_noise` Gaussian noise is added to the feature that the discriminator sees, in its loss and in
the reward.  A skill then gets more reward the further it leads away from the others.  Without noise the
algorithm is the paper's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.skills import _off_policy
from hmrl_cli.algorithms.skills._off_policy import Objective, Reward, Stored
from hmrl_cli.algorithms.skills._spaces import Space, one_of
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import networks, replay, sac
from hmrl_cli.learning.empowerment import lower_bound

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params, SkillLearner, TaskFamily


class Config(_off_policy.Config):
    """Settings of DIAYN with soft actor-critic."""

    name: Literal["diayn"] = "diayn"
    num_skills: int = Field(8, ge=2, le=1000, description="number of skills; p(z) is uniform")
    discriminate: str = Field("identity", description="feature of the observation that q(z|.) sees")
    feature_noise: float = Field(
        0.0,
        ge=0,
        description="standard deviation of noise on that feature; more noise parts skills further",
    )
    discriminator_hidden: networks.Hidden = Field(
        (256, 256), strict=False, description="units per layer of q"
    )
    discriminator_learning_rate: float = Field(3e-4, gt=0, lt=1, description="learning rate of q (Adam)")


class State(NamedTuple):
    """Training state of one seed."""

    sac: sac.State
    discriminator: Params
    discriminator_optimizer: Any
    buffer: replay.Buffer


class Diayn(NamedTuple):
    """The objective, bound to its family."""

    config: Config
    family: TaskFamily
    discriminator: networks.Network

    @property
    def space(self) -> Space:
        """The skills, drawn independently of each other."""
        count = self.config.num_skills
        return one_of(count)._replace(draw=lambda key, number: jax.random.randint(key, (number,), 0, count))

    def init(self, key: Key, agent: sac.State, buffer: replay.Buffer) -> State:
        """A fresh discriminator."""
        params = self.discriminator.init(key)
        return State(agent, params, self._optimizer().init(params), buffer)

    def absorb(self, state: State, steps: Stored, valid: Array) -> tuple[State, Metrics]:
        """Measure how well the discriminator recognises the skills of new steps [N, T]."""
        log_q = self._log_q(state.discriminator, steps.next_obs)
        log_q_of_skill = jnp.take_along_axis(log_q, steps.skill[..., None], axis=-1)[..., 0]
        correct = (log_q.argmax(axis=-1) == steps.skill) * valid
        return state, {
            "discriminator_accuracy": correct.sum() / jnp.maximum(valid.sum(), 1.0),
            "mutual_information": lower_bound(log_q_of_skill, -jnp.log(self.config.num_skills), valid),
        }

    def learn(self, key: Key, state: State, batch: Stored) -> tuple[State, Reward, Metrics]:
        """A gradient step on the cross-entropy of q, and the reward log q(z|f(s')) - log p(z) before it."""
        label = jax.nn.one_hot(batch.skill, self.config.num_skills)
        features = self.family.features[self.config.discriminate](batch.next_obs)
        features += self.config.feature_noise * jax.random.normal(key, features.shape)

        def cross_entropy(params: Params) -> tuple[Array, Array]:
            log_q = jnp.sum(self._log_q_of(params, features) * label, axis=-1)
            return -log_q.mean(), log_q

        (loss, log_q), grads = jax.value_and_grad(cross_entropy, has_aux=True)(state.discriminator)
        updates, optimizer = self._optimizer().update(grads, state.discriminator_optimizer)
        discriminator = optax.apply_updates(state.discriminator, updates)
        state = state._replace(discriminator=discriminator, discriminator_optimizer=optimizer)
        return state, Reward(log_q + jnp.log(self.config.num_skills)), {"discriminator_loss": loss}

    def log_q(self, state: State, path: Array) -> Array:
        """log q(z | f(s')) [..., T, num_skills] after the steps of an episode [..., T + 1, obs_size]."""
        return self._log_q(state.discriminator, path[..., 1:, :])

    def _log_q(self, params: Params, next_obs: Array) -> Array:
        return self._log_q_of(params, self.family.features[self.config.discriminate](next_obs))

    def _log_q_of(self, params: Params, features: Array) -> Array:
        return jax.nn.log_softmax(self.discriminator.apply(params, features))

    def _optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.config.discriminator_learning_rate)


def make(config: Config, family: TaskFamily) -> SkillLearner:
    """DIAYN on a family, plain or lifted.

    Raises:
        ValueError: the family lacks a feature, or the buffer is smaller than one update.
    """
    seen = feature_size(family, "algorithm.discriminate", config.discriminate)
    net = networks.mlp(seen, config.discriminator_hidden, config.num_skills)
    diayn = Diayn(config, family, net)
    objective = Objective(diayn.space, diayn.init, diayn.absorb, diayn.learn, diayn.log_q)
    return _off_policy.make(config, family, objective)
