"""Distributions of actions and latents.

The last axis is the event axis.  All axes before it are batch axes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Distribution, Key


class Gaussian(NamedTuple):
    """Independent normal distributions."""

    mean: Array  # [..., A]
    log_std: Array  # [..., A]

    def sample(self, key: Key) -> Array:
        """A draw [..., A]."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)

    def sample_with_log_prob(self, key: Key) -> tuple[Array, Array]:
        """A draw [..., A] and its log density [...]."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def mode(self) -> Array:
        """The mean [..., A]."""
        return self.mean

    def entropy(self) -> Array:
        """Differential entropy in nats [...]."""
        return jnp.sum(self.log_std + 0.5 * math.log(2 * math.pi * math.e), axis=-1)

    def log_prob(self, value: Array) -> Array:
        """Log density [...] of a value [..., A]."""
        z = (value - self.mean) * jnp.exp(-self.log_std)
        return -0.5 * jnp.sum(z**2 + 2 * self.log_std + math.log(2 * math.pi), axis=-1)

    def kl(self, other: Any) -> Array:
        """KL(self || other) in nats [...]."""
        variance_ratio = jnp.exp(2 * (self.log_std - other.log_std))
        distance = ((self.mean - other.mean) * jnp.exp(-other.log_std)) ** 2
        return 0.5 * jnp.sum(variance_ratio + distance - 1 - 2 * (self.log_std - other.log_std), axis=-1)


class SquashedGaussian(NamedTuple):
    """tanh of independent normal variables: the policy of soft actor-critic (Haarnoja et al. 2018)."""

    mean: Array  # [..., A]  before the tanh
    log_std: Array  # [..., A]

    def sample_with_log_prob(self, key: Key) -> tuple[Array, Array]:
        """A reparametrised draw in (-1, 1) [..., A] and its log density [...]."""
        normal = Gaussian(self.mean, self.log_std)
        u = normal.sample(key)
        # log(1 - tanh(u)^2) in a form that stays exact for large |u|
        log_slope = 2 * (math.log(2) - u - jax.nn.softplus(-2 * u))
        return jnp.tanh(u), normal.log_prob(u) - jnp.sum(log_slope, axis=-1)

    def sample(self, key: Key) -> Array:
        """A draw in (-1, 1) [..., A]."""
        return jnp.tanh(Gaussian(self.mean, self.log_std).sample(key))

    def mode(self) -> Array:
        """tanh of the mean [..., A]: the action of a deterministic policy."""
        return jnp.tanh(self.mean)


class Categorical(NamedTuple):
    """A choice among A actions."""

    logits: Array  # [..., A]

    def sample(self, key: Key) -> Array:
        """A draw [...] int32."""
        return jax.random.categorical(key, self.logits).astype(jnp.int32)

    def sample_with_log_prob(self, key: Key) -> tuple[Array, Array]:
        """A draw [...] int32 and its log probability [...]."""
        value = self.sample(key)
        return value, self.log_prob(value)

    def mode(self) -> Array:
        """The most likely action [...] int32."""
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)

    def log_probs(self) -> Array:
        """Log probability of every action [..., A]."""
        return jax.nn.log_softmax(self.logits)

    def log_prob(self, value: Array) -> Array:
        """Log probability [...] of actions [...] int32."""
        # a one-hot product instead of a gather: its derivatives are dense and cheap
        return jnp.sum(self.log_probs() * jax.nn.one_hot(value, self.logits.shape[-1]), axis=-1)

    def entropy(self) -> Array:
        """Entropy in nats [...]."""
        log_probs = self.log_probs()
        return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)

    def kl(self, other: Any) -> Array:
        """KL(self || other) in nats [...]."""
        log_probs = self.log_probs()
        return jnp.sum(jnp.exp(log_probs) * (log_probs - other.log_probs()), axis=-1)


Policy = Gaussian | Categorical  # what the policy network of a meta-learner returns


def take(pi: Distribution, key: Key, *, deterministic: bool) -> tuple[Array, Array]:
    """An action and the log probability [...] of a sampled action.

    The action is sampled, or the most likely one with `deterministic`.
    """
    drawn, log_prob = pi.sample_with_log_prob(key)
    return pi.mode() if deterministic else drawn, log_prob


def prior_divergence(latents: Gaussian) -> Array:
    """KL of each latent row [..., L] from N(0, I) in nats [...]."""
    return latents.kl(jax.tree.map(jnp.zeros_like, latents))
