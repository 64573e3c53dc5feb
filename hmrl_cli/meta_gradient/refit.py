"""Adaptation by a refit: a weighted fit to all episodes of a task so far, with weights from their returns.

An inner update uses the gradient of one batch of episodes.  With sparse rewards few of these episodes see a
reward, so the gradient is noisy.  A refit stores all episodes.  After each batch it fits two parts again,
starting from the meta-parameters:

* The latent distribution is fitted to the latents of good episodes.  It is the mode of a normal-inverse-gamma
  posterior whose prior counts as one episode (cross-entropy method with a prior; Rubinstein 1999).
* With `imitation_steps` the policy imitates good episodes (self-imitation; Oh et al. 2018, 1806.05635).

Imitation also uses episodes that repeated a random action or skill (`collect`'s fallback).  Without imitation
these episodes are excluded, because a repeated action does not depend on the latent.

Before a reward is found, returns differ only by action costs and by chance.  The weights are invariant to the
scale of returns, so the episode with the least cost would get most weight.  So a refit changes nothing until
the reward of a step exceeds a base reward by a share of `evaluation.least_gain` (`stands_out`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import replay
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.learning.networks import Network
from hmrl_cli.learning.returns import masked_mean, selective_weights
from hmrl_cli.types import AdaptState

if TYPE_CHECKING:
    from hmrl_cli.meta_gradient.inner_loop import Episodes
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Params

BASE_QUANTILE = 0.25  # quantile of the first batch that serves as the reward without a find


class EpisodeBuffer(NamedTuple):
    """Episodes of one task, at most M."""

    latent: Array | None  # [M, L]
    obs: Array  # [M, T, obs_size]
    action: Array  # [M, T, action_size], or [M, T] int32
    valid: Array  # [M, T]  1 before an early end
    on_policy: Array  # [M]  1 where the policy chose every action
    returned: Array  # [M]  undiscounted
    max_reward: Array  # [M]  over valid steps
    filled: Array  # [M]  1 where the row contains an episode


def empty_buffer(episodes: Episodes, batches: int) -> EpisodeBuffer:
    """A buffer of zeros for `batches` batches of episodes of these shapes."""
    first = jax.eval_shape(_entries, episodes)
    return jax.tree.map(lambda x: jnp.zeros((batches * x.shape[0], *x.shape[1:]), x.dtype), first)


def add(buffer: EpisodeBuffer, episodes: Episodes, count: Array) -> EpisodeBuffer:
    """The buffer with batch number `count` [], from 0."""
    return replay.put_batch(buffer, _entries(episodes), count)


def _entries(episodes: Episodes) -> EpisodeBuffer:
    steps = episodes.transitions
    return EpisodeBuffer(
        episodes.latent,
        steps.obs,
        steps.action,
        steps.valid,
        episodes.on_policy,
        episodes.returned,
        max_reward=jnp.max(jnp.where(steps.valid > 0, steps.reward, -jnp.inf), axis=1),
        filled=jnp.ones_like(episodes.returned),
    )


def weights(buffer: EpisodeBuffer, selectivity: float) -> Array:
    """Weights [M] of the episodes by their returns; without episodes, zeros."""
    return selective_weights(buffer.returned, buffer.filled, selectivity)


def stands_out(buffer: EpisodeBuffer, first: int, least_gain: float) -> Array:
    """Whether the reward of a step exceeds the base reward by `least_gain` / horizon: [] bool.

    The criterion uses rewards of steps and not returns.  An episode that reaches a goal late may have no
    higher return than others, and may have higher action costs.

    The base reward comes from the first batch, `first` episodes before any update.  It is the lower quartile
    of the episodes' highest rewards.  Episodes that repeated an action are excluded if others exist, because
    a repeated action may cost more.  The quartile is valid even if half of the episodes reached the goal.
    Later batches do not raise it.

    Args:
        buffer: all episodes so far.
        first: episodes in the first batch.
        least_gain: difference of returns that counts as a find.
    """
    filled, on_policy, best = (
        x[:first] for x in (buffer.filled > 0, buffer.on_policy > 0, buffer.max_reward)
    )
    counted = jnp.where((filled & on_policy).any(), filled & on_policy, filled)
    ordered = jnp.sort(jnp.where(counted, best, jnp.inf))
    base = ordered[jnp.int32(BASE_QUANTILE * jnp.maximum(counted.sum() - 1, 0))]
    gain = jnp.max(jnp.where(buffer.filled > 0, buffer.max_reward, -jnp.inf)) - base
    return gain > least_gain / buffer.valid.shape[1]


def refit(
    key: Key,
    start: AdaptState,
    buffer: EpisodeBuffer,
    policy: Network,
    budget: Evaluation,
) -> AdaptState:
    """The latent distribution and the policy fitted to the episodes; `start` if no reward stands out.

    Args:
        key: draws the episodes to imitate.
        start: parameters and latent distribution before any episode.
        buffer: all episodes so far.
        policy: pi(a | o, z).
        budget: settings; a missing `least_gain` is 0.
    """
    if not budget.imitation_steps:
        buffer = buffer._replace(filled=buffer.filled * buffer.on_policy)
    weight = weights(buffer, budget.selectivity)
    latent = start.latent
    if latent is not None and buffer.latent is not None:
        latent = posterior(latent, buffer.latent, weight)
    params = start.params
    if budget.imitation_steps:
        params = imitate(key, params, buffer, weight, policy, budget)
    fitted = AdaptState(params, latent)
    moves = stands_out(buffer, budget.episodes, 0.0 if budget.least_gain is None else budget.least_gain)
    return jax.tree.map(lambda new, old: jnp.where(moves, new, old), fitted, start)


def posterior(prior: Gaussian, latents: Array, weight: Array) -> Gaussian:
    """The latent distribution [L] given latents [M, L] with weights [M].

    The weights count as 1 / sum w^2 episodes, the effective sample size.  The prior counts as one episode.
    If all weights are 0, the result is the prior.
    """
    share = weight.sum() / (1.0 + jnp.sum(weight**2))  # 0 if all weights are 0
    mean = (1.0 - share) * prior.mean + share * weight @ latents
    scatter = share * weight @ (latents - mean) ** 2 + (1.0 - share) * (prior.mean - mean) ** 2
    variance = scatter + (1.0 - share) * jnp.exp(2 * prior.log_std)
    return Gaussian(mean, 0.5 * jnp.log(variance))


def imitate(
    key: Key, params: Params, buffer: EpisodeBuffer, weight: Array, policy: Network, budget: Evaluation
) -> Params:
    """Maximise the weighted mean of log pi(a | o, z) by gradient steps of Adam.

    Each step draws episodes in proportion to their weights, because most weights are nearly 0.
    """
    adam = optax.adam(budget.imitation.learning_rate)

    def loss(params: Params, drawn: EpisodeBuffer) -> Array:
        latent = drawn.latent
        if latent is not None:
            latent = jnp.broadcast_to(latent[:, None], (*drawn.valid.shape, latent.shape[-1]))
        log_prob = policy.apply(params, drawn.obs, latent).log_prob(drawn.action)
        return -masked_mean(log_prob, drawn.valid)

    def descend(carry: tuple, rows: Array) -> tuple[tuple, None]:
        params, optimizer = carry
        drawn = jax.tree.map(lambda x: x[rows], buffer)
        updates, optimizer = adam.update(jax.grad(loss)(params, drawn), optimizer)
        return (optax.apply_updates(params, updates), optimizer), None

    # choice inverts the cumulative weights; categorical would draw a random number for every episode
    shape = (budget.imitation_steps, budget.imitation.episodes)
    rows = jax.random.choice(key, weight.shape[0], shape, p=weight)
    (params, _), _ = jax.lax.scan(descend, (params, adam.init(params)), rows)
    return params
