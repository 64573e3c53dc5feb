"""Visit counts: 1 / sqrt(n) of a discrete code of the state (Tang et al. 2017, 1611.04717).

The code is a cell of a grid over a feature, or SimHash: the signs of random projections of the feature.  A
constant is appended to the feature, so that SimHash also separates states along one ray from the origin.  The
count n is one more than the visits that were learned, so a new state earns 1.  PPO learns the visits of an
update after their reward, and SAC before a replay.
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

MAX_BITS = 24  # of a code
MIN_SIDE = 3  # least bits of a grid's code for each dimension of the feature


class Config(_shared.Config):
    """Settings of the count-based bonus."""

    name: Literal["counts"] = "counts"
    observe: str = Field("xy", description="feature of the observation whose values are counted")
    code: Literal["grid", "simhash"] = Field(
        "grid", description="states with the same code are counted as one state"
    )
    cell: float = Field(
        0.25, gt=0, description="side of a grid's cell, or the unit of SimHash, in the feature's units"
    )
    bits: int = Field(
        16, ge=1, le=MAX_BITS, description="binary logarithm of the size of the table of counts"
    )


class State(NamedTuple):
    """State of the bonus."""

    projection: Array  # [D + 1, bits]  of SimHash; a grid does not use it
    table: Array  # [2 ** bits] int32  visits of every code


class Counts(NamedTuple):
    """The bonus, bound to its family."""

    config: Config
    family: TaskFamily
    size: int  # D, the size of the feature

    def init(self, key: Key) -> State:
        """A table without visits."""
        projection = jax.random.normal(key, (self.size + 1, self.config.bits))
        return State(projection, jnp.zeros(2**self.config.bits, jnp.int32))

    def code(self, state: State, obs: Array) -> Array:
        """Index [...] into the table, for observations [..., obs_size].

        Two cells of a grid share an index only if their distance along each axis is a multiple of
        2^(bits // D) cells.
        """
        x = self.family.features[self.config.observe](obs) / self.config.cell
        if self.config.code == "simhash":
            x = jnp.concatenate([x, jnp.ones((*x.shape[:-1], 1))], axis=-1)
            signs = (x @ state.projection > 0).astype(jnp.int32)
            return jnp.sum(signs << jnp.arange(self.config.bits), axis=-1)
        bits = self.config.bits // self.size
        # clipped so that the conversion to int32 is exact
        cell = jnp.clip(jnp.floor(x), -(2.0**24), 2.0**24).astype(jnp.int32) % 2**bits
        return jnp.sum(cell << bits * jnp.arange(self.size), axis=-1)

    def reward(self, state: State, steps: Transition) -> Array:
        """1 / sqrt(n(s')) [...]."""
        visits = state.table[self.code(state, steps.next_obs)] + 1
        return 1.0 / jnp.sqrt(visits.astype(jnp.float32))

    def learn(self, key: Key, state: State, steps: Transition) -> tuple[State, Metrics]:
        """Count the states after the steps, s'."""
        table = state.table.at[self.code(state, steps.next_obs)].add(steps.valid.astype(jnp.int32))
        first = state.table[self.code(state, steps.next_obs)] == 0
        metrics = {
            "visited_codes": jnp.sum(table > 0).astype(jnp.float32),
            "new_states": masked_mean(first, steps.valid),
        }
        return state._replace(table=table), metrics


def make(config: Config, family: TaskFamily) -> Bonus:
    """The bonus for a family, plain or lifted.

    Raises:
        ValueError: the family lacks the feature, or the feature is too large for a grid.
    """
    size = feature_size(family, "bonus.observe", config.observe)
    if config.code == "grid" and config.bits // size < MIN_SIDE:
        enough = f"needs {MIN_SIDE * size}, or" if MIN_SIDE * size <= MAX_BITS else "needs"
        raise ValueError(
            f"bonus.bits: found {config.bits}; a grid over {config.observe!r} of {family.name}, which has "
            f'{size} numbers, {enough} bonus.code = "simhash"'
        )
    counts = Counts(config, family, size)
    return Bonus(config.weight, counts.init, counts.reward, counts.learn)
