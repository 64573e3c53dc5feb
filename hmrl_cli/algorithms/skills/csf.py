"""CSF, contrastive successor features: METRA by a contrast (Zheng et al. 2025, 2412.08021).

A contrastive term takes the place of METRA's constraint.  phi maximises the objective E[dphi . z - xi log
E_z'[exp(dphi . z')]].  Here dphi = phi(s') - phi(s), and z' are skills of the update's steps, or fresh ones.
The reward is dphi . z.  The critic learns successor features psi(s, z), or psi(s, a, z) with soft
actor-critic as in the paper: the discounted sums of dphi.  The policy maximises psi . z.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from hmrl_cli.algorithms.skills import _representation
from hmrl_cli.algorithms.skills._representation import Principle, Steps
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.returns import masked_mean

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Metrics, Params, SkillLearner, TaskFamily


class Config(_representation.Config):
    """Settings of CSF."""

    name: Literal["csf"] = "csf"
    contrast: float = Field(5.0, gt=0, le=1e3, description="xi, weight of the contrastive term")


def principle(config: Config) -> Principle:
    """Gradient ascent on the contrastive objective."""

    def loss(params: Params, steps: Steps) -> tuple[Array, Metrics]:
        log_mean = jax.nn.logsumexp(steps.moves @ steps.others.T, axis=-1) - jnp.log(len(steps.others))
        contrast = masked_mean(log_mean, steps.valid)
        length = masked_mean(jnp.linalg.norm(steps.moves, axis=-1), steps.valid)
        return config.contrast * contrast - steps.gain, {"gain": steps.gain, "step_length": length}

    return Principle(lambda phi: phi, lambda params: params, loss, is_vector=True)


def make(config: Config, family: TaskFamily) -> SkillLearner:
    """CSF on a family, plain or lifted.

    Raises:
        ValueError: the family lacks a feature, the minibatches do not divide the steps of an update, or the
            buffer is smaller than one.
    """
    return _representation.make(config, family, principle(config))
