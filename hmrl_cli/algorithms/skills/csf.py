"""CSF, contrastive successor features: METRA without a constraint (Zheng et al. 2025, 2412.08021).

phi maximises the contrastive objective E[dphi . z - xi log E_z'[exp(dphi . z')]].  Here dphi = phi(s') -
phi(s), and z' are skills of other episodes.  The reward is dphi . z.  The critic learns successor features
psi(s, z), the discounted sums of dphi.  The policy maximises psi . z.  It learns by PPO, where the paper uses
soft actor-critic.
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
    """Settings of CSF."""

    name: Literal["csf"] = "csf"
    contrast: float = Field(5.0, gt=0, le=1e3, description="xi, weight of the contrastive term")


class Csf(NamedTuple):
    """The objective, bound to its family."""

    config: Config
    phi: Phi

    def init(self, key: Key) -> Learned:
        """A fresh representation."""
        return _on_policy.begin(self.phi.init(key), self.phi.feature_size)

    def reward(
        self, key: Key, state: Learned, skills: Array, path: Array, valid: Array
    ) -> tuple[Array, Array]:
        """The components dphi, and their weights z."""
        along = self.phi.along(state.params, state.observed, path)
        return along[:, 1:] - along[:, :-1], self.phi.space.encode(skills)

    def learn(
        self, key: Key, state: Learned, skills: Array, path: Array, valid: Array
    ) -> tuple[Learned, Metrics]:
        """Maximise the contrastive objective by gradient steps."""
        rows = self.phi.rows(skills, path, valid)
        state = state._replace(observed=moments.absorb(state.observed, rows.after, rows.valid))
        others = self.phi.space.encode(skills)

        def loss(params: Params, minibatch: Rows) -> tuple[Array, Metrics]:
            moves = self.phi.moves(params, state.observed, minibatch)
            gain = masked_mean(jnp.sum(moves * minibatch.skill, axis=-1), minibatch.valid)
            log_mean = jax.nn.logsumexp(moves @ others.T, axis=-1) - jnp.log(len(others))
            contrast = masked_mean(log_mean, minibatch.valid)
            metrics = {
                "gain": gain,
                "step_length": masked_mean(jnp.linalg.norm(moves, axis=-1), minibatch.valid),
            }
            return self.config.contrast * contrast - gain, metrics

        return _on_policy.descend(key, state, loss, rows, self.config)

    def log_q(self, state: Learned, path: Array) -> Array:
        """log q(z|s_0,s_t) [..., T, M] over the examples."""
        return self.phi.log_q(state.params, state.observed, path)


def make(config: Config, family: TaskFamily) -> SkillLearner:
    """CSF on a family, plain or lifted.

    Raises:
        ValueError: the family lacks a feature, or the minibatches do not divide the steps.
    """
    phi = _representation.make(config, family)
    csf = Csf(config, phi)
    size = config.skill_size
    objective = Objective(phi.space, csf.init, csf.reward, csf.learn, csf.log_q, num_rewards=size)
    return _on_policy.make(config, family, objective)
