"""METRA: skills that move far in different directions of a learned representation (Park et al. 2024).

2310.08887.  Representation phi and policy maximise E[(phi(s') - phi(s)) . z] under the constraint
||phi(s') - phi(s)||^2 <= 1 for every step.  So distances of phi are at most numbers of steps.  The constraint
has a Lagrange multiplier lambda, learned by dual gradient steps.  The policy learns by PPO, where the paper
uses soft actor-critic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.skills import _on_policy, _representation
from hmrl_cli.algorithms.skills._on_policy import Learned, Objective
from hmrl_cli.algorithms.skills._representation import Phi, Rows
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments
from hmrl_cli.learning.returns import masked_mean

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params, SkillLearner, TaskFamily


class Config(_representation.Config):
    """Settings of METRA."""

    name: Literal["metra"] = "metra"
    slack: float = Field(
        1e-3, gt=0, le=1, description="epsilon: upper bound of the slack 1 - |dphi|^2 in the loss"
    )
    multiplier: float = Field(30.0, gt=0, le=1e6, description="lambda, the Lagrange multiplier, at the start")


class _Params(NamedTuple):
    phi: Params
    log_multiplier: Array  # []


class Metra(NamedTuple):
    """The objective, bound to its family."""

    config: Config
    phi: Phi

    def init(self, key: Key) -> Learned:
        """A fresh representation."""
        multiplier = jnp.log(jnp.float32(self.config.multiplier))
        return _on_policy.begin(_Params(self.phi.init(key), multiplier), self.phi.feature_size)

    def reward(
        self, key: Key, state: Learned, skills: Array, path: Array, valid: Array
    ) -> tuple[Array, Array]:
        """(phi(s') - phi(s)) . z."""
        along = self.phi.along(state.params.phi, state.observed, path)
        gain = jnp.sum((along[:, 1:] - along[:, :-1]) * self.phi.space.encode(skills)[:, None], axis=-1)
        return gain[..., None], jnp.ones((len(path), 1))

    def learn(
        self, key: Key, state: Learned, skills: Array, path: Array, valid: Array
    ) -> tuple[Learned, Metrics]:
        """Gradient ascent in phi and dual gradient descent in lambda, in the same steps."""
        rows = self.phi.rows(skills, path, valid)
        state = state._replace(observed=moments.absorb(state.observed, rows.after, rows.valid))

        def loss(params: _Params, minibatch: Rows) -> tuple[Array, Metrics]:
            moves = self.phi.moves(params.phi, state.observed, minibatch)
            gain = masked_mean(jnp.sum(moves * minibatch.skill, axis=-1), minibatch.valid)
            slack = masked_mean(jnp.minimum(self._slack(moves), self.config.slack), minibatch.valid)
            multiplier = jnp.exp(params.log_multiplier)
            dual = params.log_multiplier * jax.lax.stop_gradient(slack)
            loss = dual - gain - jax.lax.stop_gradient(multiplier) * slack
            return loss, {"gain": gain, "room": slack, "multiplier": multiplier}

        return _on_policy.descend(key, state, loss, rows, self.config)

    def _slack(self, moves: Array) -> Array:
        """1 - ||phi(s') - phi(s)||^2 [...]: the slack of the constraint, positive if it is satisfied."""
        return 1.0 - jnp.sum(moves**2, axis=-1)

    def log_q(self, state: Learned, path: Array) -> Array:
        """log q(z|s_0,s_t) [..., T, M] over the examples."""
        return self.phi.log_q(state.params.phi, state.observed, path)


def make(config: Config, family: TaskFamily) -> SkillLearner:
    """METRA on a family, plain or lifted.

    Raises:
        ValueError: the family lacks a feature, or the minibatches do not divide the steps.
    """
    metra = Metra(config, _representation.make(config, family))
    objective = Objective(metra.phi.space, metra.init, metra.reward, metra.learn, metra.log_q)
    return _on_policy.make(config, family, objective)
