"""Where the reward of a task may be: a mixture of a broad and a learned prior, and what was seen of it.

The learned prior is a kernel density of where the rewards of training tasks were (empirical Bayes; Robbins
1956).  The broad one is even over all skills.  Their mixture is defensive (Hesterberg 1995): the learned part
says where to look first, the broad part that nowhere is impossible.  Places that were passed without a reward
are ruled out by Bayes' rule.  So the learned part is used up, and the search moves on to the broad one.

The next place is the one whose path most likely meets the reward (search theory; Stone 1975): a path is taken
to be straight from where episodes start, and sweeps the ground within `sight`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.schema import Relabel
    from hmrl_cli.types import Array, Key

CANDIDATES = 512  # places of either prior
ENDS = 128  # of them, ends of paths to choose from
DETECTION = 0.95  # chance that a reward within sight is met
SIGHT = 0.2  # without training tasks that tell it
DENSE = 0.5  # extent from which on a reward has no place: it is dense
UNREACHED = 0.5  # share of its weight that a place keeps which was aimed at and not arrived at


class Belief(NamedTuple):
    """Places where the reward may be, C of them."""

    places: Array  # [C, size]  skills
    log_weight: Array  # [C]  not normalised
    sight: Array  # []  distance from which a reward would have been met


class Bank(NamedTuple):
    """Where the rewards of B training tasks were."""

    places: Array  # [B, size]  skills
    known: Array  # [B]  1 where the reward was found
    extent: Array  # [B]  how far from its place the reward was still met


def prior(key: Key, bank: Bank | None, size: int, settings: Relabel) -> Belief:
    """Before anything was seen of a task; without a bank, or with nothing in it, the broad prior alone."""
    broad_key, which_key, kernel_key = jax.random.split(key, 3)
    broad = jax.random.uniform(broad_key, (CANDIDATES, size), minval=-1.0, maxval=1.0)
    if bank is None:
        return Belief(broad, jnp.zeros(CANDIDATES), jnp.float32(settings.sight or SIGHT))
    rows = jax.random.categorical(which_key, jnp.log(bank.known), shape=(CANDIDATES,))
    kernel = settings.width * jax.random.normal(kernel_key, (CANDIDATES, size))
    learned = jnp.clip(bank.places[rows] + kernel, -1.0, 1.0)
    share = jnp.where(bank.known.any(), jnp.float32(settings.broad), 1.0)
    weight = jnp.repeat(jnp.stack([share, 1.0 - share]), CANDIDATES)
    log_weight = jnp.log(jnp.maximum(weight, 1e-20))
    return Belief(jnp.concatenate([broad, learned]), log_weight, sight_of(bank, settings))


def sight_of(bank: Bank, settings: Relabel) -> Array:
    """As settings have it, or the median extent of training tasks where their rewards have places: []."""
    if settings.sight is not None:
        return jnp.float32(settings.sight)
    median = jnp.nanmedian(jnp.where(bank.known > 0, bank.extent, jnp.nan))
    return jnp.where(median < DENSE, jnp.maximum(median, 0.02), SIGHT)  # of no number, too, SIGHT


def after_search(belief: Belief, aim: Array, aimed: Array, passed: Array, valid: Array) -> Belief:
    """After N episodes: no reward is where they were, but the one that they met.

    That one is remembered elsewhere.  Who searches on searches for another one.

    Args:
        belief: before them.
        aim: [N, size], the places that they were meant to go to.
        aimed: [N], 1 for those that were meant to go to a place.
        passed: [N, T, size], the places where they were.
        valid: [N, T], 1 where a place counts.
    """

    def of_episode(episode: tuple[Array, Array, Array, Array]) -> Array:
        aim, aimed, passed, valid = episode
        distance = jnp.linalg.norm(belief.places[:, None] - passed, axis=-1)
        nearest = jnp.min(distance, axis=1, where=valid > 0, initial=jnp.inf)
        missed = aimed * _visibility(jnp.linalg.norm(belief.places - aim, axis=-1), belief.sight)
        seen = DETECTION * _visibility(nearest, belief.sight)
        return jnp.log1p(-seen) + jnp.log1p(-(1.0 - UNREACHED) * missed)

    chance = jax.lax.map(of_episode, (aim, aimed, passed, valid)).sum(axis=0)
    return belief._replace(log_weight=belief.log_weight + chance)


def next_places(key: Key, belief: Belief, start: Array, count: int, settings: Relabel) -> Array:
    """Places [N, size] to go to from `start` [size], chosen one after another as if none met the reward."""
    sample_key, noise_key = jax.random.split(key)
    weight = jax.nn.softmax(belief.log_weight)
    sampled = jax.random.categorical(sample_key, belief.log_weight, shape=(ENDS // 2,))
    spaced = jnp.arange(ENDS // 2) * (CANDIDATES // (ENDS // 2))  # of the broad prior, whatever its weight
    ends = belief.places[jnp.concatenate([sampled, spaced])]
    swept = DETECTION * _visibility(_from_path(belief.places, start, ends), belief.sight)  # [ENDS, C]

    def choose(weight: Array, noise: Array) -> tuple[Array, Array]:
        best = jnp.argmax(jnp.log(swept @ weight + 1e-12) + noise)
        return weight * (1.0 - swept[best]), ends[best]

    noise = settings.noise * jax.random.gumbel(noise_key, (count, ENDS))
    return jax.lax.scan(choose, weight, noise)[1]


def _from_path(places: Array, start: Array, ends: Array) -> Array:
    """Distances [E, C] of places [C, size] from the segments from `start` [size] to ends [E, size]."""
    way, offset = ends - start, places - start
    length, inner = jnp.sum(way**2, axis=-1)[:, None], way @ offset.T  # [E, 1], [E, C]
    along = jnp.clip(inner / jnp.maximum(length, 1e-9), 0.0, 1.0)
    # expanded, so that nothing has the shape [E, C, size]
    square = jnp.sum(offset**2, axis=-1) - 2.0 * along * inner + along**2 * length
    return jnp.sqrt(jnp.maximum(square, 0.0))


def _visibility(distance: Array, sight: Array) -> Array:
    """1 within sight, 0 beyond, with a soft edge."""
    return jax.nn.sigmoid(8.0 * (1.0 - distance / sight))
