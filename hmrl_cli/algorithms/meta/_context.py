"""PEARL's context: stored steps, and the posterior of z that they imply (Rakelly et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from hmrl_cli.environment.rollout import Held, acting
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.types import EnvState, Online, TaskFamily, Transition

if TYPE_CHECKING:
    from collections.abc import Callable

    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Params, Task

    Absorb = Callable[[Params, "Evidence", "Stored", Array], "Evidence"]  # encoder, known, steps, valid
    Act = Callable[[Key, Array], tuple[Array, Array]]
    Acting = Callable[[Params, Array, bool], Act]  # policy, z, deterministic -> act


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

    transitions: Array  # []  number of factors
    precision: Array  # [L]  sum of 1 / sigma^2
    weighted: Array  # [L]  sum of mu / sigma^2


class Plan(NamedTuple):
    """What an adaptation knows of a task."""

    policy: Params
    encoder: Params
    known: Evidence


def nothing(latent_size: int) -> Evidence:
    """Evidence of no transition."""
    return Evidence(jnp.float32(0), jnp.zeros(latent_size), jnp.zeros(latent_size))


def choose(key: Key, latent: Gaussian, count: Array, num_episodes: int) -> Held:
    """The episodes [N] of phase number `count` [], each with a z of its own."""
    z_key, episode_key = jax.random.split(jax.random.fold_in(key, count))
    z = jax.vmap(latent.sample)(jax.random.split(z_key, num_episodes))
    return Held(jax.random.split(episode_key, num_episodes), z)


def evidence(factors: Gaussian, valid: Array) -> Evidence:
    """Evidence of the factors [C, L] with valid [C] = 1."""
    precision = valid[:, None] * jnp.exp(-2 * factors.log_std)
    return Evidence(valid.sum(), precision.sum(axis=0), (precision * factors.mean).sum(axis=0))


def posterior(known: Evidence, context_size: int) -> Gaussian:
    """q(z|c) [L]: the product of the factors and of N(0, I) (eq. 2).

    More than `context_size` factors count as much as `context_size` average ones.
    """
    power = jnp.minimum(1.0, context_size / jnp.maximum(known.transitions, 1.0))
    precision = 1.0 + power * known.precision
    return Gaussian(power * known.weighted / precision, -0.5 * jnp.log(precision))


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


def online(
    absorb: Absorb, acts: Acting, latent_size: int, context_size: int, context_reward: str, budget: Evaluation
) -> Online:
    """The adaptation of PEARL, for episodes from outside the simulator.

    Args:
        absorb: encoder, evidence so far, steps [N, T] and their validity -> the evidence after them.
        acts: policy, z, deterministic -> (key, obs) -> action, log pi(action | obs).
        latent_size, context_size, context_reward: settings of PEARL.
        budget: of the adaptation.

    Raises:
        ValueError: the encoder sees successes, which such episodes do not tell.
    """
    if context_reward != "reward":
        raise ValueError(
            "algorithm.context_reward: found 'success'; must be 'reward' for episodes from outside the "
            "simulator"
        )

    def begin(key: Key, kept: tuple[Params, Params], obs: Array) -> tuple[Key, Plan]:
        policy, encoder = kept
        return key, Plan(policy, encoder, nothing(latent_size))

    def absorbed(key: Key, plan: Plan, count: Array, held: Held, steps: Transition) -> Plan:
        signalled = steps._replace(reward=jnp.stack([steps.reward, steps.reward], axis=-1))
        known = absorb(plan.encoder, plan.known, as_stored(signalled), steps.valid)
        return plan._replace(known=known)

    return Online(
        budget.episodes,
        begin,
        lambda key, plan, count: choose(key, posterior(plan.known, context_size), count, budget.episodes),
        acting(lambda plan, z: acts(plan.policy, z, budget.deterministic)),
        absorbed,
    )
