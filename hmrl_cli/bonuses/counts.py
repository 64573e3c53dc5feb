"""Visit counts: 1 / sqrt(n) of a discrete code of the state (Tang et al. 2017, 1611.04717).

The code is a cell of a grid over a feature, or SimHash: the signs of random projections.  A constant is
appended before they are taken, so that a code tells how far a state lies from the origin as well as in
which direction.  n counts the visit that is asked about
too: a state that was not learned of before is worth 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.bonuses import _shared
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.types import Bonus, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics

MIN_SIDE = 3  # bits of a grid in each direction


class Config(_shared.Config):
    """Settings of the count-based bonus."""

    name: Literal["counts"] = "counts"
    observe: str = Field("xy", description="feature of the observation whose values are counted")
    code: Literal["grid", "simhash"] = Field("grid", description="what counts as the same state")
    cell: float = Field(
        0.25, gt=0, description="side of a grid's cell, or what SimHash takes for 1, in the feature's units"
    )
    bits: int = Field(16, ge=1, le=24, description="binary logarithm of the size of the table of counts")


class State(NamedTuple):
    """Everything that the bonus carries on."""

    projection: Array  # [D + 1, bits]  of SimHash; a grid does not look at it
    table: Array  # [2 ** bits] int32  visits of every code


class Counts(NamedTuple):
    """The bonus, bound to its family."""

    config: Config
    family: TaskFamily
    size: int  # D, of the feature

    def init(self, key: Key) -> State:
        """No visits."""
        projection = jax.random.normal(key, (self.size + 1, self.config.bits))
        return State(projection, jnp.zeros(2**self.config.bits, jnp.int32))

    def code(self, state: State, obs: Array) -> Array:
        """Index into the table [...] of observations [..., obs_size].

        Cells of a grid share an index only if they are a whole 2^(bits // D) cells apart.
        """
        x = self.family.features[self.config.observe](obs) / self.config.cell
        if self.config.code == "simhash":
            x = jnp.concatenate([x, jnp.ones((*x.shape[:-1], 1))], axis=-1)
            signs = (x @ state.projection > 0).astype(jnp.int32)
            return jnp.sum(signs << jnp.arange(self.config.bits), axis=-1)
        bits = self.config.bits // self.size
        # clipped only to stay an integer
        cell = jnp.clip(jnp.floor(x), -(2.0**24), 2.0**24).astype(jnp.int32) % 2**bits
        return jnp.sum(cell << bits * jnp.arange(self.size), axis=-1)

    def reward(self, state: State, steps: Transition) -> Array:
        """1 / sqrt(n(s')) [...]."""
        visits = state.table[self.code(state, steps.next_obs)] + 1
        return 1.0 / jnp.sqrt(visits.astype(jnp.float32))

    def learn(self, key: Key, state: State, steps: Transition) -> tuple[State, Metrics]:
        """Count the states that the steps led to."""
        table = state.table.at[self.code(state, steps.next_obs)].add(steps.valid.astype(jnp.int32))
        first = state.table[self.code(state, steps.next_obs)] == 0
        metrics = {
            "visited_codes": jnp.sum(table > 0).astype(jnp.float32),
            "new_states": masked_mean(first, steps.valid),
        }
        return state._replace(table=table), metrics


def make(config: Config, family: TaskFamily) -> Bonus:
    """The bonus for a family, plain or lifted.

    Raises ValueError for a feature that the family does not have, or that is too large for a grid.
    """
    size = feature_size(family, "bonus.observe", config.observe)
    if config.code == "grid" and config.bits // size < MIN_SIDE:
        raise ValueError(
            f"bonus.bits: found {config.bits}; a grid over {config.observe!r} of {family.name}, which has "
            f'{size} numbers, needs {MIN_SIDE * size}, or bonus.code = "simhash"'
        )
    counts = Counts(config, family, size)
    return Bonus(config.weight, counts.init, counts.reward, counts.learn)
