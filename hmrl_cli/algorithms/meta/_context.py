"""PEARL's context: stored steps, the posterior of z given them, and the policy of z (Rakelly et al. 2019)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from hmrl_cli.environment.rollout import Held, online_act
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks
from hmrl_cli.learning.distributions import Categorical, Gaussian, SquashedGaussian, take
from hmrl_cli.learning.moments import Moments
from hmrl_cli.types import Action, EnvState, Online, TaskFamily, Transition

if TYPE_CHECKING:
    from collections.abc import Callable

    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Params, Task

LOG_STD = (-5.0, 10.0)  # limits for a factor: nearly certain .. uninformative


class Stored(NamedTuple):
    """A step in PEARL's buffers."""

    obs: Array  # [obs_size]
    action: Array  # [action_size], or [] int32
    reward: Array  # []  that the critics learn from
    signal: Array  # []  that the encoder sees in place of the reward
    discount: Array  # []  0 where the episode ended early, else 1
    next_obs: Array  # [obs_size]


def as_stored(steps: Transition) -> Stored:
    """Steps [...] with rewards [..., 2], as `with_signal` makes them."""
    reward, signal = steps.reward[..., 0], steps.reward[..., 1]
    return Stored(steps.obs, steps.action, reward, signal, steps.discount, steps.next_obs)


class Evidence(NamedTuple):
    """Sufficient statistics of a product of Gaussian factors of z, one factor for each transition."""

    precision: Array  # [L]  sum of 1 / sigma^2
    weighted: Array  # [L]  sum of mu / sigma^2


class Kept(NamedTuple):
    """The part of the learner's state that an adaptation needs."""

    policy: Params
    encoder: Params
    observed: Moments  # [obs_size]  of observations


class Plan(NamedTuple):
    """Knowledge of a task during an adaptation."""

    kept: Kept
    known: Evidence


class Inference(NamedTuple):
    """The encoder and the policy, as functions of what is kept."""

    policy: networks.Network  # of [obs, z]
    encoder: networks.Network  # of [obs, action, signal, next_obs]
    action: Action
    latent_size: int
    context_size: int
    normalizes: bool  # whether observations are normalised by their moments

    def seen(self, observed: Moments, obs: Array) -> Array:
        """Observations [..., obs_size] as the networks see them."""
        return moments.normalize(observed, obs) if self.normalizes else obs

    def nothing(self) -> Evidence:
        """Evidence of no transition."""
        return Evidence(jnp.zeros(self.latent_size), jnp.zeros(self.latent_size))

    def absorb(self, kept: Kept, known: Evidence, steps: Stored, valid: Array) -> Evidence:
        """The evidence after steps, leaves [..., ...], with validity [...]."""
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[valid.ndim :]), steps)
        return jax.tree.map(jnp.add, known, self._evidence(kept, flat, valid.reshape(-1)))

    def latents(self, kept: Kept, context: Stored, valid: Array) -> Gaussian:
        """q(z|c) [L] of the context's steps, leaves [C, ...], with validity [C]."""
        return posterior(self._evidence(kept, context, valid))

    def policy_of(
        self, kept: Kept, z: Array, deterministic: bool
    ) -> Callable[[Key, Array], tuple[Array, Array]]:
        """Return (key, obs) -> action, log pi(action | obs, z); `deterministic`: the most likely action."""

        def act(key: Key, obs: Array) -> tuple[Array, Array]:
            seen = jnp.concatenate([self.seen(kept.observed, obs), z])
            pi: SquashedGaussian | Categorical = self.policy.apply(kept.policy, seen)
            return take(pi, key, deterministic=deterministic)

        return act

    def _evidence(self, kept: Kept, context: Stored, valid: Array) -> Evidence:
        """Evidence about z of the transitions, leaves [C, ...], with validity [C]."""
        obs, next_obs = (self.seen(kept.observed, x) for x in (context.obs, context.next_obs))
        parts = [obs, networks.action_code(self.action, context.action), context.signal[:, None], next_obs]
        out = self.encoder.apply(kept.encoder, jnp.concatenate(parts, axis=-1))
        mean, log_std = jnp.split(out, 2, axis=-1)
        # initially the contexts of training have about the precision of the prior
        log_std = jnp.clip(log_std + 0.5 * math.log(self.context_size), *LOG_STD)
        return evidence(Gaussian(mean, log_std), valid)


def choose(key: Key, latent: Gaussian, count: Array, num_episodes: int) -> Held:
    """The episodes [N] of phase number `count` [], each with a z of its own."""
    z_key, episode_key = jax.random.split(jax.random.fold_in(key, count))
    z = jax.vmap(latent.sample)(jax.random.split(z_key, num_episodes))
    return Held(jax.random.split(episode_key, num_episodes), z)


def evidence(factors: Gaussian, valid: Array) -> Evidence:
    """Evidence of the factors [C, L] with valid [C] = 1."""
    precision = valid[:, None] * jnp.exp(-2 * factors.log_std)
    return Evidence(precision.sum(axis=0), (precision * factors.mean).sum(axis=0))


def posterior(known: Evidence) -> Gaussian:
    """q(z|c) [L]: the product of the factors and of N(0, I) (eq. 2)."""
    precision = 1.0 + known.precision
    return Gaussian(known.weighted / precision, -0.5 * jnp.log(precision))


def with_signal(family: TaskFamily, context_reward: Literal["reward", "success"]) -> TaskFamily:
    """The family with rewards [2]: the reward, and the signal that the encoder sees.

    The signal is the reward again, or 1 where the goal is reached at this step and 0 elsewhere.
    """

    def with_both(state: EnvState) -> EnvState:
        signal = state.reward if context_reward == "reward" else state.success.astype(jnp.float32)
        return state._replace(reward=jnp.stack([state.reward, signal]))

    def step(state: EnvState, action: Array, task: Task) -> EnvState:
        return with_both(family.step(state._replace(reward=state.reward[0]), action, task))

    return family._replace(reset=lambda key, task: with_both(family.reset(key, task)), step=step)


def online(inference: Inference, context_reward: str, budget: Evaluation) -> Online:
    """The adaptation of PEARL, for episodes from outside the simulator.

    Args:
        inference: encoder and policy.
        context_reward: the setting of PEARL.
        budget: of the adaptation.

    Raises:
        ValueError: the encoder sees successes, which such episodes do not tell.
    """
    if context_reward != "reward":
        raise ValueError(
            "algorithm.context_reward: found 'success'; must be 'reward' for episodes from outside the "
            "simulator"
        )

    def begin(key: Key, kept: Kept, obs: Array) -> tuple[Key, Plan]:
        return key, Plan(kept, inference.nothing())

    def chosen(key: Key, plan: Plan, count: Array) -> Held:
        return choose(key, posterior(plan.known), count, budget.episodes)

    def absorbed(key: Key, plan: Plan, count: Array, held: Held, steps: Transition) -> Plan:
        signalled = steps._replace(reward=jnp.stack([steps.reward, steps.reward], axis=-1))
        known = inference.absorb(plan.kept, plan.known, as_stored(signalled), steps.valid)
        return plan._replace(known=known)

    return Online(
        budget.episodes,
        begin,
        chosen,
        online_act(lambda plan, z: inference.policy_of(plan.kept, z, budget.deterministic)),
        absorbed,
    )
