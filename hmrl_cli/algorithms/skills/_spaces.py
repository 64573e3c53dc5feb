"""Skill spaces: a finite set, directions, or points of a box."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.types import Action, Continuous, Discrete

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Params

NUM_EXAMPLES = 8  # examples of a continuous space of two dimensions


class Space(NamedTuple):
    """A set of skills, with uniform draws from it."""

    skill: Action  # the action space of a controller
    examples: Any  # [M] int32, or [M, size]; numpy
    draw: Callable[[Key, int], Array]  # key, N -> [N] int32, or [N, size]
    encode: Callable[[Array], Array]  # skills -> [..., E], as networks see them; projects onto the space

    @property
    def encoded_size(self) -> int:
        """E, the size of a skill as networks see it."""
        return jax.eval_shape(self.encode, self.examples).shape[-1]


class Place(NamedTuple):
    """How a policy sees skills that are places, as pure functions of the objective's frozen parameters."""

    freeze: Callable[[Any], Params]  # state of the objective -> frozen parameters
    # parameters, observations [..., obs_size] -> skills [..., size] that stay there
    locate: Callable[[Params, Array], Array]
    way: Callable[[Params, Array, Array], Array]  # parameters, observations, skills -> [..., E]
    is_affine: bool  # whether `way` is an affine function of the observation


def one_of(count: int, *, centred: bool = False) -> Space:
    """Skills 0 .. count - 1, encoded one-hot; a draw contains each about equally often.

    With `centred` the vectors are (one-hot - 1 / N) N / (N - 1), which sum to 0 (Park et al. 2024).
    """

    def encode(skill: Array) -> Array:
        one_hot = jax.nn.one_hot(skill, count)
        return (one_hot - 1 / count) * (count / (count - 1)) if centred else one_hot

    def draw(key: Key, number: int) -> Array:
        skills = jnp.arange(number) % count
        if number % count == 0:
            return jax.random.permutation(key, skills)
        order_key, label_key = jax.random.split(key)
        # the skills that are drawn once more than the others are random
        return jax.random.permutation(order_key, jax.random.permutation(label_key, count)[skills])

    return Space(Discrete(count), np.arange(count, dtype=np.int32), draw, encode)


def direction(size: int) -> Space:
    """Unit vectors of R^size, drawn uniformly from the sphere."""

    def encode(skill: Array) -> Array:
        return skill / jnp.maximum(jnp.linalg.norm(skill, axis=-1, keepdims=True), 1e-6)

    def draw(key: Key, number: int) -> Array:
        return encode(jax.random.normal(key, (number, size)))

    return Space(Continuous(size), _around(size), draw, encode)


def box(size: int, half: tuple[float, ...] = ()) -> Space:
    """Points of a box around 0, drawn uniformly; its sides are twice `half`, or 2 if that is empty."""
    action = Continuous(size, half)

    def draw(key: Key, number: int) -> Array:
        return jax.random.uniform(key, (number, size), minval=-1.0, maxval=1.0) * action.bound

    return Space(action, _around(size), draw, lambda skill: jnp.clip(skill, -action.bound, action.bound))


def _around(size: int) -> Any:
    """Examples of unit vectors [M, size]: equally spaced on a circle, else both directions of each axis."""
    if size == 2:
        angle = 2 * np.pi * np.arange(NUM_EXAMPLES) / NUM_EXAMPLES
        return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)
    return np.concatenate([np.eye(size), -np.eye(size)]).astype(np.float32)


def places(size: int) -> Any:
    """16 points [M, size] of [-1, 1]^size: a grid of a line or a square, else uniform draws."""
    if size > 2:
        return np.random.default_rng(0).uniform(-1.0, 1.0, (16, size)).astype(np.float32)
    along = np.linspace(-1.0, 1.0, 2 * (16 if size == 1 else 4) + 1, dtype=np.float32)[1::2]
    return np.stack(np.meshgrid(*[along] * size, indexing="ij"), axis=-1).reshape(-1, size)


def redrawn(key: Key, space: Space, skills: Array, steps: int, probability: float) -> Array:
    """The skill at every step [N, T, size] of episodes that start with `skills` [N, size].

    Args:
        key: draws when, and what.
        space: of the skills.
        skills: those at the start.
        steps: T.
        probability: of a new skill, before each step but the first.
    """
    whether_key, what_key = jax.random.split(jax.random.fold_in(key, 1))
    count = len(skills)
    anew = jax.random.bernoulli(whether_key, probability, (count, steps)).at[:, 0].set(False)
    drawn = space.draw(what_key, count * steps).reshape(count, steps, -1)
    drawn = drawn.at[:, 0].set(skills)
    latest = jax.lax.cummax(jnp.where(anew, jnp.arange(steps), 0), axis=1)  # step of the last draw
    return jnp.take_along_axis(drawn, latest[..., None], axis=1)
