"""Adaptation by reinforcement learning: clipped policy-gradient steps on every batch of episodes of one task.

Meta-training optimises a few inner updates.  With thousands of episodes of one task the policy can improve
further.  Tuning then continues from the adapted policy with the clipped surrogate of PPO (Schulman et al.
2017, 1707.06347, eq. 7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.networks import Network
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.meta_gradient import clipped_step, inner_loop
from hmrl_cli.meta_gradient.inner_loop import Episodes
from hmrl_cli.meta_gradient.problem import Problem
from hmrl_cli.types import AdaptState

if TYPE_CHECKING:
    from hmrl_cli.learning.distributions import Policy
    from hmrl_cli.schema import Tuning
    from hmrl_cli.types import Array, Params


def init(state: AdaptState, settings: Tuning) -> clipped_step.State:
    """Optimizer state before the first update."""
    return clipped_step.init(state.params, _steps(settings))


def step(
    state: AdaptState,
    optimizer: clipped_step.State,
    episodes: Episodes,
    policy: Network,
    settings: Tuning,
) -> tuple[AdaptState, clipped_step.State]:
    """One update of the policy's parameters; the latent distribution stays the same.

    Episodes that repeated an action are excluded, because their actions are not the policy's.

    Args:
        state: the state that collected the episodes.
        optimizer: optimizer state after the last update.
        episodes: a batch of one task.
        policy: pi(a | o, z).
        settings: settings of the gradient steps.
    """
    steps = episodes.transitions
    latent = inner_loop.latent_of_steps(episodes.latent, steps.obs.shape[1])
    counted = steps.valid * episodes.on_policy[:, None]

    def outputs(params: Params) -> Policy:
        return policy.apply(params, steps.obs, latent)

    def loss(_: Params, new: Policy) -> Array:
        ratio = jnp.exp(new.log_prob(steps.action) - steps.log_prob)
        limited = jnp.clip(ratio, 1.0 - settings.clip, 1.0 + settings.clip)
        return -masked_mean(jnp.minimum(ratio * episodes.advantage, limited * episodes.advantage), counted)

    def divergence(old: Policy, new: Policy) -> Array:
        return masked_mean(jax.lax.stop_gradient(old).kl(new), counted)

    params, optimizer, _ = clipped_step.step(
        state.params, optimizer, Problem(outputs, loss, divergence), _steps(settings)
    )
    return state._replace(params=params), optimizer


def _steps(settings: Tuning) -> clipped_step.Config:
    return clipped_step.Config.model_construct(**dict(settings))  # an evaluation's numbers may be traced
