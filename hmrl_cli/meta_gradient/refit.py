"""Adaptation by what went well: a refit to all episodes of a task so far, weighted by their returns.

An update of the inner loop follows the gradient of one batch of episodes and forgets it.  Where a reward is
seen in few of them, that is little to go by.  Here every episode is remembered, and after each batch two
things are fitted anew, from where meta-training left them:

* the latent distribution, to the latents of the good episodes: the mode of a normal-inverse-gamma posterior
  whose prior counts as one episode (cross-entropy method with a prior; Rubinstein 1999);
* the policy, by imitation of the good episodes (self-imitation; Oh et al. 2018, 1806.05635), if asked for.

Whoever acted in an episode can be imitated, so one that held a random action or skill (`collect`'s fallback)
is as good as one of the policy's own; without imitation it is left out, for it does not speak for its latent.

Where nothing has been found yet, returns differ by what actions cost and by chance.  Weights know no units,
and would take the cheapest episode for a success.  So nothing moves until the reward of a step stands out by
its share of `evaluation.least_gain` (`found`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.learning.networks import Network
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.types import AdaptState

if TYPE_CHECKING:
    from hmrl_cli.meta_gradient.inner_loop import Episodes
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Params

BASE_QUANTILE = 0.25  # share of the first batch that may be as good as nothing


class EpisodeBuffer(NamedTuple):
    """Episodes of one task, M at most."""

    latent: Array | None  # [M, L]
    obs: Array  # [M, T, obs_size]
    action: Array  # [M, T, action_size], or [M, T] int32
    valid: Array  # [M, T]  1 where the step counts
    on_policy: Array  # [M]  1 where the policy chose all actions
    returned: Array  # [M]
    max_reward: Array  # [M]  the highest reward of a step that counts
    filled: Array  # [M]  1 where there is an episode


def empty_buffer(episodes: Episodes, batches: int) -> EpisodeBuffer:
    """Room for so many batches of episodes like these."""
    first = jax.eval_shape(_entries, episodes)
    return jax.tree.map(lambda x: jnp.zeros((batches * x.shape[0], *x.shape[1:]), x.dtype), first)


def add(buffer: EpisodeBuffer, episodes: Episodes, count: Array) -> EpisodeBuffer:
    """With the batch number `count` []."""

    def put(old: Array, new: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(old, new, count * new.shape[0], axis=0)

    return jax.tree.map(put, buffer, _entries(episodes))


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
    """Weights [M] of the episodes, summing to 1: w ~ exp(selectivity (R - max R) / (max R - mean R)).

    Returns that are all alike give even weights, a few that stand out nearly all; without episodes, zeros.
    """
    mean = masked_mean(buffer.returned, buffer.filled)
    best = jnp.max(jnp.where(buffer.filled > 0, buffer.returned, -jnp.inf))
    # what float32 sums leave of equal returns is no difference
    spread = jnp.maximum(best - mean, 1e-4 * jnp.abs(best) + 1e-8)
    log_weight = jnp.maximum(selectivity * (buffer.returned - best) / spread, -50.0)
    return jax.nn.softmax(log_weight, where=buffer.filled > 0)


def stands_out(buffer: EpisodeBuffer, first: int, least_gain: float) -> Array:
    """Whether the reward of a step stands out: [] bool.

    It does so by `least_gain` over the steps of an episode: by the mean step of a return so much higher.  An
    episode that comes to a goal late has hardly a better return, and may have paid more for actions.

    It stands out of the best steps of the first batch, `first` episodes before any update.  These tell what
    the policy meets by chance.  Its own ones count, for one held action may cost more.  Their lower quartile
    tells it even where half of them have met the goal, and does not rise as later batches get better.
    """
    filled, on_policy, best = (
        x[:first] for x in (buffer.filled > 0, buffer.on_policy > 0, buffer.max_reward)
    )
    counted = jnp.where((filled & on_policy).any(), filled & on_policy, filled)
    ordered = jnp.sort(jnp.where(counted, best, jnp.inf))
    base = ordered[jnp.int32(BASE_QUANTILE * jnp.maximum(counted.sum() - 1, 0))]
    gain = jnp.max(jnp.where(buffer.filled > 0, buffer.max_reward, -jnp.inf)) - base
    return gain >= least_gain / buffer.valid.shape[1]


def refit(
    key: Key,
    start: AdaptState,
    buffer: EpisodeBuffer,
    policy: Network,
    budget: Evaluation,
) -> AdaptState:
    """The latent and the policy that the episodes speak for; as at the start while nothing was found.

    Args:
        key: for the episodes to imitate.
        start: what acted before any episode; where both begin.
        buffer: of all episodes so far.
        policy: pi(a | o, z).
        budget: its settings; without a `least_gain`, everything counts as found.
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
    if not budget.least_gain:
        return fitted
    moves = stands_out(buffer, budget.episodes, budget.least_gain)
    return jax.tree.map(lambda new, old: jnp.where(moves, new, old), fitted, start)


def posterior(prior: Gaussian, latents: Array, weight: Array) -> Gaussian:
    """The latent distribution [L] after latents [M, L] of weights [M].

    The weights count as 1 / sum w^2 episodes, the prior as one; its variance is part of the new one.  Without
    weights, the prior.
    """
    share = weight.sum() / (1.0 + jnp.sum(weight**2))  # 0 where nothing weighs
    mean = (1.0 - share) * prior.mean + share * weight @ latents
    scatter = share * weight @ (latents - mean) ** 2 + (1.0 - share) * (prior.mean - mean) ** 2
    variance = scatter + (1.0 - share) * jnp.exp(2 * prior.log_std)
    return Gaussian(mean, 0.5 * jnp.log(variance))


def imitate(
    key: Key, params: Params, buffer: EpisodeBuffer, weight: Array, policy: Network, budget: Evaluation
) -> Params:
    """Raise the weighted mean of log pi(a | o, z) by gradient steps of Adam.

    Each step draws a few episodes in proportion to their weights: most of a buffer has next to none.
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

    # by the cumulated weights: a categorical draw would make a random number for every episode of the buffer
    shape = (budget.imitation_steps, budget.imitation.episodes)
    rows = jax.random.choice(key, weight.shape[0], shape, p=weight)
    (params, _), _ = jax.lax.scan(descend, (params, adam.init(params)), rows)
    return params
