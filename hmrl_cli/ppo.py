"""Proximal policy optimisation on whole episodes (Schulman et al. 2017, 1707.06347).

The critic is told the time, so the horizon is an end like any other: no value is assumed beyond it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from hmrl_cli import networks, returns
from hmrl_cli.config import Strict
from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.types import Action

if TYPE_CHECKING:
    from hmrl_cli.distributions import Policy
    from hmrl_cli.types import Array, Key, Metrics, Params


class Config(Strict):
    """Settings of the learner."""

    hidden: networks.Hidden = Field((128, 128), strict=False, description="units per hidden layer, tanh")
    init_std: float = Field(0.6, gt=0, le=10, description="of continuous actions at the start")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="of policy and critic (Adam)")
    epochs: int = Field(4, gt=0, le=1000, description="passes over each batch of episodes")
    minibatches: int = Field(8, gt=0, le=10_000, description="gradient steps of a pass")
    discount: float = Field(0.97, ge=0, le=1, description="gamma")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="lambda of the advantage estimate")
    clip: float = Field(0.2, gt=0, lt=1, description="how far pi(a|s) may move, as a ratio")
    entropy_coefficient: float = Field(1e-3, ge=0, le=10, description="weight of the policy's entropy")
    max_gradient_norm: float = Field(1.0, gt=0, description="longer gradients are shortened to this")


class State(NamedTuple):
    """Everything that learning carries on."""

    policy: Params
    critic: Params
    optimizer: Any


class Batch(NamedTuple):
    """Steps of whole episodes [N, T]; observations already hold what the networks are conditioned on."""

    obs: Array  # [N, T, obs_size]
    critic_obs: Array  # [N, T, critic_size]
    action: Array  # [N, T, action_size], or [N, T] int32
    log_prob: Array  # [N, T]  when it was taken
    reward: Array  # [N, T]
    discount: Array  # [N, T]  0 where the episode ended early, else 1
    valid: Array  # [N, T]  1 where the step counts


class _Sample(NamedTuple):
    """What a gradient step sees of the steps it draws [B]."""

    obs: Array
    critic_obs: Array
    action: Array
    log_prob: Array
    advantage: Array
    target: Array
    valid: Array


class PPO(NamedTuple):
    """The learner, bound to its sizes."""

    policy: networks.Network
    critic: networks.Network
    config: Config

    def init(self, key: Key) -> State:
        """Fresh parameters."""
        policy_key, critic_key = jax.random.split(key)
        policy, critic = self.policy.init(policy_key), self.critic.init(critic_key)
        return State(policy, critic, self._optimizer().init((policy, critic)))

    def update(self, key: Key, state: State, batch: Batch) -> tuple[State, Metrics]:
        """Learn from episodes that this very policy has just acted in.

        The number of steps N * T must be a multiple of the number of minibatches.
        """
        sample = self._judge(state.critic, batch)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), sample)
        count = flat.valid.shape[0]

        def one_pass(state: State, t: Array) -> tuple[State, Metrics]:
            order = jax.random.permutation(jax.random.fold_in(key, t), count)
            order = order.reshape(self.config.minibatches, -1)
            return jax.lax.scan(lambda state, rows: self._step(state, flat, rows), state, order)

        state, metrics = jax.lax.scan(one_pass, state, jnp.arange(self.config.epochs))
        return state, jax.tree.map(jnp.mean, metrics)

    def _judge(self, critic: Params, batch: Batch) -> _Sample:
        """Advantages, whitened over the batch, and what the critic should have said."""
        value = self.critic.apply(critic, batch.critic_obs)[..., 0] * batch.valid
        discount = self.config.discount * batch.discount

        def of_episode(reward: Array, discount: Array, value: Array) -> Array:
            return returns.gae(reward, discount, value, jnp.zeros(()), self.config.gae_lambda)

        advantage = jax.vmap(of_episode)(batch.reward * batch.valid, discount, value)
        return _Sample(
            batch.obs,
            batch.critic_obs,
            batch.action,
            batch.log_prob,
            returns.whiten(advantage, batch.valid),
            advantage + value,
            batch.valid,
        )

    def _step(self, state: State, flat: _Sample, rows: Array) -> tuple[State, Metrics]:
        """One gradient step on some of the steps."""
        some = jax.tree.map(lambda x: x[rows], flat)
        params = (state.policy, state.critic)
        (_, metrics), grads = jax.value_and_grad(self._loss, has_aux=True)(params, some)
        updates, optimizer = self._optimizer().update(grads, state.optimizer, params)
        policy, critic = optax.apply_updates(params, updates)
        return State(policy, critic, optimizer), metrics

    def _loss(self, params: tuple[Params, Params], some: _Sample) -> tuple[Array, Metrics]:
        """The clipped surrogate (eq. 7), less the entropy, plus half the critic's squared error."""
        weight = some.valid / jnp.maximum(some.valid.sum(), 1.0)
        pi: Policy = self.policy.apply(params[0], some.obs)
        ratio = jnp.exp(pi.log_prob(some.action) - some.log_prob)
        clipped = jnp.clip(ratio, 1.0 - self.config.clip, 1.0 + self.config.clip)
        gain = jnp.sum(weight * jnp.minimum(ratio * some.advantage, clipped * some.advantage))
        entropy = jnp.sum(weight * pi.entropy())
        error = self.critic.apply(params[1], some.critic_obs)[..., 0] - some.target
        critic_loss = 0.5 * jnp.sum(weight * error**2)
        loss = critic_loss - gain - self.config.entropy_coefficient * entropy
        beyond = jnp.sum(weight * (jnp.abs(ratio - 1.0) > self.config.clip))
        return loss, {"critic_loss": critic_loss, "action_entropy": entropy, "clipped": beyond}

    def _optimizer(self) -> optax.GradientTransformation:
        return optax.chain(
            optax.clip_by_global_norm(self.config.max_gradient_norm),
            optax.adam(self.config.learning_rate),
        )


def make(obs_size: int, critic_size: int, action: Action, config: Config) -> PPO:
    """PPO for a policy that sees [obs_size] and a critic that sees [critic_size]."""
    policy = networks.policy(obs_size, action, config.hidden, activation="tanh", init_std=config.init_std)
    return PPO(policy, networks.mlp(critic_size, config.hidden, 1, "tanh"), config)
