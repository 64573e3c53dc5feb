"""METRA: skills that go far, each its own way, in a representation of temporal distance.

Park et al. 2024, 2310.08887: max over phi and pi of E[(phi(s') - phi(s)) . z], while phi moves by at most 1
in a step: ||phi(s') - phi(s)||^2 <= 1.  The constraint has a price lambda, which follows its violation. The
policy learns by proximal policy optimisation where the paper uses soft actor-critic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms import _on_policy, _representation
from hmrl_cli.algorithms._on_policy import Learned, Objective
from hmrl_cli.algorithms._representation import Phi, Rows, mean
from hmrl_cli.lazy import jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params, SkillLearner, TaskFamily


class Config(_representation.Config):
    """Settings of METRA."""

    name: Literal["metra"] = "metra"
    slack: float = Field(1e-3, gt=0, le=1, description="epsilon of the constraint")
    multiplier: float = Field(30.0, gt=0, le=1e6, description="lambda at the start")
    multiplier_rate: float = Field(0.1, gt=0, le=100, description="step of log lambda in an update")


class State(NamedTuple):
    """What METRA learns beside the policy."""

    phi: Learned
    log_multiplier: Array  # []


class Metra(NamedTuple):
    """The objective, bound to its family."""

    config: Config
    phi: Phi

    def init(self, key: Key) -> State:
        """A fresh representation."""
        return State(self.phi.init(key), jnp.log(jnp.float32(self.config.multiplier)))

    def reward(self, key: Key, state: State, skills: Array, path: Array, valid: Array) -> tuple[Array, Array]:
        """(phi(s') - phi(s)) . z."""
        along = self.phi.along(state.phi, path)
        gain = jnp.sum((along[:, 1:] - along[:, :-1]) * self.phi.space.encode(skills)[:, None], axis=-1)
        return gain[..., None], jnp.ones((len(path), 1))

    def learn(
        self, key: Key, state: State, skills: Array, path: Array, valid: Array
    ) -> tuple[State, Metrics]:
        """Ascend in phi at the present price, then change the price."""
        rows = self.phi.rows(skills, path, valid)
        phi = self.phi.absorbed(state.phi, rows)

        def loss(params: Params, some: Rows) -> tuple[Array, Metrics]:
            moves = self.phi.moves(params, phi.observed, some)
            gain = mean(jnp.sum(moves * some.skill, axis=-1), some.valid)
            room = mean(jnp.minimum(self._room(moves), self.config.slack), some.valid)
            return -gain - jnp.exp(state.log_multiplier) * room, {"gain": gain, "room": room}

        phi, metrics = _on_policy.descend(key, phi, loss, rows, self.config)
        moved = state.log_multiplier - self.config.multiplier_rate * metrics["room"]
        return State(phi, moved), metrics | {"multiplier": jnp.exp(moved)}

    def _room(self, moves: Array) -> Array:
        """What is left of the unit step [...]."""
        return 1.0 - jnp.sum(moves**2, axis=-1)

    def log_q(self, state: State, path: Array) -> Array:
        """log q(z|s_0,s_t) [..., T, M] over the examples."""
        return self.phi.log_q(state.phi, path)


def build(config: Config, family: TaskFamily) -> SkillLearner:
    """METRA on a family, plain or lifted.

    Raises ValueError for a feature that the family does not have, and for steps that make no whole minibatch.
    """
    metra = Metra(config, _representation.make(config, family))
    objective = Objective(metra.phi.space, metra.init, metra.phi.draw, metra.reward, metra.learn, metra.log_q)
    return _on_policy.make(config, family, objective)
