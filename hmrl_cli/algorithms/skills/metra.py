"""METRA: skills that move far in different directions of a learned representation (Park et al. 2024).

2310.08887.  Representation phi and policy maximise E[(phi(s') - phi(s)) . z] under the constraint
||phi(s') - phi(s)||^2 <= 1 for every step.  So distances of phi are at most numbers of steps.  The constraint
has a Lagrange multiplier lambda, learned by dual gradient steps.  The policy learns by PPO, or by soft
actor-critic as in the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.skills import _representation
from hmrl_cli.algorithms.skills._representation import Principle, Steps
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.returns import masked_mean

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Metrics, Params, SkillLearner, TaskFamily


class Config(_representation.Config):
    """Settings of METRA."""

    at_start: ClassVar[frozenset[str]] = frozenset({"multiplier"})
    name: Literal["metra"] = "metra"
    slack: float = Field(
        1e-3, gt=0, le=1, description="epsilon: upper bound of the slack 1 - |dphi|^2 in the loss"
    )
    multiplier: float = Field(30.0, gt=0, le=1e6, description="lambda, the Lagrange multiplier, at the start")


class _Params(NamedTuple):
    phi: Params
    log_multiplier: Array  # []


def principle(config: Config) -> Principle:
    """Gradient ascent in phi and dual gradient descent in log lambda, in the same steps."""

    def begin(phi: Params) -> _Params:
        return _Params(phi, jnp.log(jnp.float32(config.multiplier)))

    def loss(params: _Params, steps: Steps) -> tuple[Array, Metrics]:
        slack = 1.0 - jnp.sum(steps.moves**2, axis=-1)  # of the constraint; positive if it is satisfied
        slack = masked_mean(jnp.minimum(slack, config.slack), steps.valid)
        multiplier = jnp.exp(params.log_multiplier)
        dual = params.log_multiplier * jax.lax.stop_gradient(slack)
        loss = dual - steps.gain - jax.lax.stop_gradient(multiplier) * slack
        return loss, {"gain": steps.gain, "room": slack, "multiplier": multiplier}

    return Principle(begin, lambda params: params.phi, loss, is_vector=False)


def make(config: Config, family: TaskFamily) -> SkillLearner:
    """METRA on a family, plain or lifted.

    Raises:
        ValueError: the family lacks a feature, the minibatches do not divide the steps of an update, or the
            buffer is smaller than one.
    """
    return _representation.make(config, family, principle(config))
