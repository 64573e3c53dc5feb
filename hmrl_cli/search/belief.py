"""A distribution of the place of a task's reward: a uniform and a learned prior, updated by Bayes' rule.

The learned prior is a kernel density of the rewards' places on training tasks (empirical Bayes; Robbins
1956).  A share of it is turned about the start: new tasks may keep the distance and not the direction.  The
broad prior is uniform over all skills.  Their mixture is a defensive one (Hesterberg 1995): every place keeps
some probability.  Bayes' rule lowers the probability of places that episodes passed without a reward.  So the
search tries the places of the learned prior first, then those turned, and those of the broad prior later.

The next place maximises the probability that the path to it detects the reward (search theory; Stone 1975).
The model of a path is a straight line from the start of an episode, or from its last place.  It detects
rewards within `sight`.  A reward at the end of a path counts somewhat more, because the episode stays there.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import Continuous

if TYPE_CHECKING:
    from hmrl_cli.schema import Relabel
    from hmrl_cli.types import Action, Array, Key

CANDIDATES = 512  # places of each part of the prior: broad, learned and turned
ENDS = 128  # candidate ends of paths, a subset of these places
DETECTION = 0.95  # probability that a path detects a reward within sight
SIGHT = 0.2  # default distance, if no training tasks give it
DENSE = 0.5  # least extent of a dense reward, which has no place
STAYING = 0.25  # additional weight of a detection at the end of a path
UNREACHED = 0.5  # factor on the probability of a place that an episode aimed at and may not have reached


class Belief(NamedTuple):
    """A distribution over C candidate places of the reward."""

    places: Array  # [C, size]  skills
    log_weight: Array  # [C]  not normalised
    sight: Array  # []  distance within which a path detects a reward


class Bank(NamedTuple):
    """Places of the rewards of B training tasks."""

    places: Array  # [B, size]  skills
    known: Array  # [B]  1 if the reward was found, else 0
    extent: Array  # [B]  largest distance from the place at which a decision still had the reward


def prior(key: Key, bank: Bank | None, skill: Action, settings: Relabel, start: Array) -> Belief:
    """The belief before any episode of a task.

    Args:
        key: draws the candidate places.
        bank: places of training tasks; without a known one, or with None, the prior is the broad one alone.
        skill: the box of skills.
        settings: shares of the broad and of the turned part, width of the kernels, and sight.
        start: [size], the place where episodes start.
    """
    assert isinstance(skill, Continuous), "skills that can be located are vectors"
    broad_key, which_key, kernel_key, turn_key = jax.random.split(key, 4)
    shape = (CANDIDATES, skill.size)
    broad = jax.random.uniform(broad_key, shape, minval=-1.0, maxval=1.0) * skill.bound
    if bank is None:
        sight = SIGHT if settings.sight is None else settings.sight
        return Belief(broad, jnp.zeros(CANDIDATES), jnp.float32(sight))
    rows = jax.random.categorical(which_key, jnp.log(bank.known), shape=(CANDIDATES,))
    kernel = settings.width * jax.random.normal(kernel_key, shape)
    learned = jnp.clip(bank.places[rows] + kernel, -skill.bound, skill.bound)
    turned = _turned(turn_key, learned, start)
    places = jnp.concatenate([broad, learned, turned])
    share = jnp.where(bank.known.any(), jnp.float32(settings.broad), 1.0)
    of_parts = [share, (1.0 - share) * (1.0 - settings.turned), (1.0 - share) * settings.turned]
    is_skill = (jnp.abs(places) <= skill.bound).all(axis=-1)
    weight = jnp.where(is_skill, jnp.repeat(jnp.stack(of_parts), CANDIDATES), 0.0)
    # whatever the shares, a search goes on everywhere in the end, and nowhere outside the box
    floor = jnp.repeat(jnp.array([1e-20, 0.0, 0.0]), CANDIDATES)
    return Belief(places, jnp.log(jnp.maximum(weight, floor)), sight_of(bank, settings))


def _turned(key: Key, places: Array, start: Array) -> Array:
    """Places [C, size] as far from the start [size] as those given, in directions drawn evenly."""
    direction = jax.random.normal(key, places.shape)
    direction /= jnp.linalg.norm(direction, axis=-1, keepdims=True)
    return start + jnp.linalg.norm(places - start, axis=-1, keepdims=True) * direction


def sight_of(bank: Bank, settings: Relabel) -> Array:
    """The distance [] within which a path detects a reward.

    It is the setting, or the median extent on training tasks.  If rewards are dense or unknown there, it is
    `SIGHT`.
    """
    if settings.sight is not None:
        return jnp.float32(settings.sight)
    median = jnp.nanmedian(jnp.where(bank.known > 0, bank.extent, jnp.nan))
    return jnp.where(median < DENSE, jnp.maximum(median, 0.02), SIGHT)  # a comparison with NaN is false


def after_search(belief: Belief, aim: Array, aimed: Array, passed: Array, valid: Array) -> Belief:
    """The belief after N episodes, by Bayes' rule for paths that detected no reward.

    Rewards that the episodes did find are ignored here.  They are in `relabel.DecisionBuffer`, and the search
    goes on for other rewards.

    Args:
        belief: the belief before the episodes.
        aim: [N, S, size], the places that an episode aimed at.
        aimed: [N], 1 if the episode aimed at places, else 0.
        passed: [N, T, size], the places where it was.
        valid: [N, T], 1 for valid steps.
    """

    def of_episode(episode: tuple[Array, Array, Array, Array]) -> Array:
        aim, aimed, passed, valid = episode
        square = jnp.where(valid[:, None] > 0, _squares(passed, belief.places), jnp.inf)
        nearest = jnp.sqrt(square.min(axis=0))
        missed = jnp.sqrt(_squares(aim, belief.places).min(axis=0))
        unreached = aimed * _visibility(missed, belief.sight)
        detection = DETECTION * _visibility(nearest, belief.sight)
        return jnp.log1p(-detection) + jnp.log1p(-(1.0 - UNREACHED) * unreached)

    log_likelihood = jax.lax.map(of_episode, (aim, aimed, passed, valid)).sum(axis=0)
    return belief._replace(log_weight=belief.log_weight + log_likelihood)


def next_places(key: Key, belief: Belief, start: Array, count: int, settings: Relabel) -> Array:
    """Places [count, S, size] for the next episodes, chosen greedily: each assumes that those before fail.

    Args:
        key: draws candidate ends, and the noise of the choice.
        belief: distribution of the reward's place.
        start: [size], the place where episodes start.
        count: number of episodes.
        settings: number S of places of an episode, scale of the Gumbel noise on the log probability of
            detection.
    """
    sample_key, noise_key = jax.random.split(key)
    weight = jax.nn.softmax(belief.log_weight)
    sampled = _draws(sample_key, weight, ENDS // 2)
    # the other half comes from the broad prior, whatever its weight
    spaced = jnp.arange(ENDS // 2) * (CANDIDATES // (ENDS // 2))
    ends = belief.places[jnp.concatenate([sampled, spaced])]
    ended = STAYING * DETECTION * _visibility(jnp.sqrt(_squares(ends, belief.places)), belief.sight)

    def swept(start: Array, ends: Array) -> Array:  # [E, C]
        return DETECTION * _visibility(_from_path(belief.places, start, ends), belief.sight)

    from_start = swept(start, ends) + ended

    def choose(weight: Array, noise: Array) -> tuple[Array, Array]:
        stops: list[Array] = []
        for of_stop in noise:
            last = stops[-1] if stops else start
            detected = swept(last, ends) + ended if stops else from_start
            best = jnp.argmax(jnp.log(detected @ weight + 1e-12) + of_stop)
            weight *= 1.0 - swept(last, ends[best][None])[0]
            stops.append(ends[best])
        return weight, jnp.stack(stops)

    noise = settings.noise * jax.random.gumbel(noise_key, (count, settings.stops, ENDS))
    return jax.lax.scan(choose, weight, noise)[1]


def _draws(key: Key, weight: Array, number: int) -> Array:
    """Indices [number] drawn with probabilities in proportion to `weight` [C].

    Inverting the cumulative weights takes one random number for an index, where `categorical` takes C.
    """
    cumulative = jnp.cumsum(weight)
    uniform = jax.random.uniform(key, (number,)) * cumulative[-1]
    last = jnp.searchsorted(cumulative, cumulative[-1])  # with a weight; a product may round up to the sum
    return jnp.minimum(jnp.searchsorted(cumulative, uniform, side="right"), last)


# Sums over the few components of a place are unrolled, and the many places are the last axis.  On a CPU
# that is several times as fast as arrays [E, C, size].


def _squares(ends: Array, places: Array) -> Array:
    """Squared distances [E, C] of ends [E, size] from places [C, size]."""
    return reduce(jnp.add, ((ends[:, i, None] - places[:, i]) ** 2 for i in range(ends.shape[1])))


def _from_path(places: Array, start: Array, ends: Array) -> Array:
    """Distances [E, C] of places [C, size] from line segments between `start` [size] and ends [E, size]."""
    segment, offset = ends - start, places - start
    per_length = segment / jnp.maximum(jnp.sum(segment**2, axis=-1, keepdims=True), 1e-9)
    sizes = range(ends.shape[1])
    along = jnp.clip(reduce(jnp.add, (per_length[:, i, None] * offset[:, i] for i in sizes)), 0.0, 1.0)
    return jnp.sqrt(reduce(jnp.add, ((offset[:, i] - along * segment[:, i, None]) ** 2 for i in sizes)))


def _visibility(distance: Array, sight: Array) -> Array:
    """Near 1 within sight and near 0 beyond: a sigmoid of the distance."""
    return jax.nn.sigmoid(8.0 * (1.0 - distance / sight))
