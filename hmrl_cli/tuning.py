"""Adaptation by reinforcement learning: clipped policy-gradient steps on every batch of episodes of one task.

An inner update moves what meta-training taught it to move, and goes as far as that is useful at once.  Where
a task allows for thousands of episodes, the policy itself can learn on from there, as any policy would from a
good start (Schulman et al. 2017, 1707.06347, eq. 7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrl_cli import adaptation, clipped
from hmrl_cli.adaptation import Episodes
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.networks import Network
from hmrl_cli.returns import masked_mean
from hmrl_cli.types import AdaptState

if TYPE_CHECKING:
    from hmrl_cli.distributions import Policy
    from hmrl_cli.types import Array, Params

SETTINGS = clipped.Config(epochs=10, clip=0.2, target_kl=0.02)


def init(state: AdaptState) -> clipped.State:
    """Before the first update."""
    return clipped.init(state.params, SETTINGS)


def step(
    state: AdaptState, optimizer: clipped.State, episodes: Episodes, policy: Network
) -> tuple[AdaptState, clipped.State]:
    """One update of the policy's parameters; the latent's distribution stays.

    An episode that held an action does not speak for the policy, and is left out.

    Args:
        state: what acted in the episodes.
        optimizer: of the updates before.
        episodes: of one task.
        policy: pi(a | o, z).
    """
    steps = episodes.transitions
    latent = adaptation.spread_latent(episodes.latent, steps.obs.shape[1])
    counted = steps.valid * episodes.own[:, None]

    def outputs(params: Params) -> Policy:
        return policy.apply(params, steps.obs, latent)

    def loss(_: Params, new: Policy) -> Array:
        ratio = jnp.exp(new.log_prob(steps.action) - steps.log_prob)
        limited = jnp.clip(ratio, 1.0 - SETTINGS.clip, 1.0 + SETTINGS.clip)
        return -masked_mean(jnp.minimum(ratio * episodes.advantage, limited * episodes.advantage), counted)

    def divergence(old: Policy, new: Policy) -> Array:
        return masked_mean(jax.lax.stop_gradient(old).kl(new), counted)

    params, optimizer, _ = clipped.step(state.params, optimizer, outputs, loss, divergence, SETTINGS)
    return state._replace(params=params), optimizer
