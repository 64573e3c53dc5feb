"""Soft actor-critic with twin critics (Haarnoja et al. 2018, 1812.05905).

Actions are continuous or discrete.  For discrete actions the expectation over the policy is exact
(Christodoulou 2019, 1910.07207).  The critics may learn successor features psi(s, a) in place of values
(Barreto et al. 2017, 1606.05312): the discounted sums of the components of a reward.  The value is then the
weighted sum psi . w, and the policy maximises it (Zheng et al. 2025, 2412.08021).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import networks
from hmrl_cli.schema import Strict
from hmrl_cli.types import Action, Discrete

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params


class Config(Strict):
    """Settings of the learner."""

    at_start: ClassVar[frozenset[str]] = frozenset({"first_coefficient"})
    hidden: networks.Hidden = Field((256, 256), strict=False, description="units per hidden layer")
    learning_rate: float = Field(
        3e-4, gt=0, lt=1, description="learning rate of policy, critics and temperature (Adam)"
    )
    discount: float = Field(0.99, ge=0, le=1, description="gamma, the discount of one step")
    target_rate: float = Field(0.005, gt=0, le=1, description="Polyak step of the target critics")
    entropy_coefficient: Annotated[float, Field(ge=0)] | Literal["auto"] = Field(
        0.1,
        description='alpha; "auto" tunes it to an entropy of -A, or log(A) / 2 for A choices',
    )
    first_coefficient: float = Field(
        1.0, gt=0, le=1e3, description='alpha at the start, if entropy_coefficient is "auto"'
    )
    entropy_per_action: float | None = Field(
        None,
        ge=-20,
        le=20,
        description='entropy that "auto" tunes alpha to, in nats for each continuous action; none: -1',
    )

    def unused(self) -> dict[str, str]:
        """A fixed temperature is not tuned."""
        tuned = self.entropy_coefficient == "auto"
        reason = "algorithm.sac.entropy_coefficient is a number"
        return {} if tuned else dict.fromkeys(("first_coefficient", "entropy_per_action"), reason)


class State(NamedTuple):
    """Everything that learning carries on."""

    policy: Params
    critic: Params
    target: Params
    log_alpha: Array  # []
    optimizers: Any  # of (policy, critic, log_alpha)


class Batch(NamedTuple):
    """Transitions [B]; `obs` already contains what the policy is conditioned on, such as a skill."""

    obs: Array  # [B, obs_size]
    action: Array  # [B, action_size], or [B] int32
    reward: Array  # [B], or [B, C] components
    discount: Array  # [B]  0 where the episode ended early, else 1
    next_obs: Array  # [B, obs_size]
    weights: Array | None = None  # [B, C] of the components, if the critics learn successor features


class SoftActorCritic(NamedTuple):
    """The learner, bound to its sizes."""

    policy: networks.Network
    critic: networks.Network
    action: Action
    config: Config

    def init(self, key: Key) -> State:
        """Fresh parameters; the target critics equal the critics."""
        policy_key, critic_key = jax.random.split(key)
        policy, critic = self.policy.init(policy_key), self.critic.init(critic_key)
        log_alpha = jnp.float32(math.log(self.config.first_coefficient))  # not used with a fixed alpha
        opt = optax.adam(self.config.learning_rate)
        optimizers = (opt.init(policy), opt.init(critic), opt.init(log_alpha))
        return State(policy, critic, jax.tree.map(jnp.copy, critic), log_alpha, optimizers)

    def update(self, key: Key, state: State, batch: Batch) -> tuple[State, Metrics]:
        """One gradient step of the critics, the policy and an automatic temperature."""
        target_key, policy_key = jax.random.split(key)
        target = self.critic_target(target_key, state, batch)
        critic_loss, gradient = jax.value_and_grad(self.critic_loss)(state.critic, batch, target)
        state, metrics = self.descend(policy_key, state, batch, gradient)
        return state, {"critic_loss": critic_loss} | metrics

    def critic_target(self, key: Key, state: State, batch: Batch) -> Array:
        """Target [B] of the critics: reward plus discounted soft value, without a gradient (eq. 2 and 3).

        Successor features have targets [B, C], without the entropy.
        """
        if batch.weights is not None:
            following, discount = self._features(key, state, batch), batch.discount[:, None]
        else:
            alpha, discount = self._alpha(state), batch.discount
            following, _ = self._soft_value(key, state.policy, state.target, alpha, batch.next_obs)
        return jax.lax.stop_gradient(batch.reward + self.config.discount * discount * following)

    def critic_loss(self, critic: Params, batch: Batch, target: Array) -> Array:
        """Half the squared error of both critics against the target, as a mean over the batch [].

        The errors of successor features are averaged over the components.
        """
        if isinstance(self.action, Discrete):
            q = self.critic.apply(critic, batch.obs)
            chosen = jax.nn.one_hot(batch.action, self.action.size)
            q = jnp.sum(q * (chosen if batch.weights is None else chosen[..., None]), axis=2)
        else:
            q = self.critic.apply(critic, batch.obs, batch.action)
        return 0.5 * jnp.mean(jnp.sum((q - target) ** 2, axis=0))

    def descend(self, key: Key, state: State, batch: Batch, gradient: Params) -> tuple[State, Metrics]:
        """The rest of an update, given the gradient of the critics' loss.

        The order is critics, policy under the new critics, temperature, target critics.
        """
        opt = optax.adam(self.config.learning_rate)
        policy_opt, critic_opt, alpha_opt = state.optimizers
        alpha = self._alpha(state)
        updates, critic_opt = opt.update(gradient, critic_opt)
        critic = optax.apply_updates(state.critic, updates)

        def policy_loss(policy: Params) -> tuple[Array, Array]:
            value, entropy = self._soft_value(key, policy, critic, alpha, batch.obs, batch.weights)
            return -value.mean(), entropy.mean()

        (_, entropy), grads = jax.value_and_grad(policy_loss, has_aux=True)(state.policy)
        updates, policy_opt = opt.update(grads, policy_opt)
        policy = optax.apply_updates(state.policy, updates)

        log_alpha = state.log_alpha
        if self.config.entropy_coefficient == "auto":
            # d/d log_alpha of alpha * (entropy - target)
            updates, alpha_opt = opt.update(alpha * (entropy - self._target_entropy()), alpha_opt)
            log_alpha = optax.apply_updates(log_alpha, updates)

        target = optax.incremental_update(critic, state.target, self.config.target_rate)
        new_state = State(policy, critic, target, log_alpha, (policy_opt, critic_opt, alpha_opt))
        return new_state, {"action_entropy": entropy, "alpha": alpha}

    def _alpha(self, state: State) -> Array:
        """The temperature []."""
        if self.config.entropy_coefficient == "auto":
            return jnp.exp(state.log_alpha)
        return jnp.float32(self.config.entropy_coefficient)

    def _target_entropy(self) -> Array:
        if isinstance(self.action, Discrete):
            return 0.5 * jnp.log(float(self.action.size))
        per_action = self.config.entropy_per_action
        return jnp.float32(self.action.size * (-1.0 if per_action is None else per_action))

    def _soft_value(
        self,
        key: Key,
        policy: Params,
        critic: Params,
        alpha: Array,
        obs: Array,
        weights: Array | None = None,
    ) -> tuple[Array, Array]:
        """Soft value E[min Q - alpha log pi] [B] and entropy [B] of the policy.

        Both are exact for discrete actions, and estimates from one sample for continuous ones.
        """
        pi = self.policy.apply(policy, obs)
        if isinstance(self.action, Discrete):
            log_probs = pi.log_probs()
            q = _worth(self.critic.apply(critic, obs), weights, each_action=True).min(axis=0)
            entropy = pi.entropy()
            return jnp.sum(jnp.exp(log_probs) * q, axis=-1) + alpha * entropy, entropy
        action, log_prob = pi.sample_with_log_prob(key)
        q = _worth(self.critic.apply(critic, obs, action), weights)
        return q.min(axis=0) - alpha * log_prob, -log_prob

    def _features(self, key: Key, state: State, batch: Batch) -> Array:
        """Expected successor features [B, C] at the next step, of the critic with the lower value."""
        pi = self.policy.apply(state.policy, batch.next_obs)
        if isinstance(self.action, Discrete):
            psi = self.critic.apply(state.target, batch.next_obs)
            lower = _lower(psi, _worth(psi, batch.weights, each_action=True))
            return jnp.sum(jnp.exp(pi.log_probs())[..., None] * lower, axis=-2)
        psi = self.critic.apply(state.target, batch.next_obs, pi.sample(key))
        return _lower(psi, _worth(psi, batch.weights))


def _worth(q: Array, weights: Array | None, *, each_action: bool = False) -> Array:
    """The values q, or the values psi . w of successor features [2, B, C], or of each action [2, B, A, C]."""
    if weights is None:
        return q
    return jnp.sum(q * (weights[:, None] if each_action else weights), axis=-1)


def _lower(psi: Array, worth: Array) -> Array:
    """Select from two critics' successor features [2, ..., C] those with the lower value [..., C]."""
    return jnp.where((worth[0] <= worth[1])[..., None], psi[0], psi[1])


def make(obs_size: int, action: Action, config: Config, components: int = 0) -> SoftActorCritic:
    """Soft actor-critic for observations [obs_size] and actions of the given kind.

    With C = `components` above 0 its critics learn successor features [C].
    """
    return SoftActorCritic(
        networks.soft_policy(obs_size, action, config.hidden),
        networks.twin_critic(obs_size, action, config.hidden, components),
        action,
        config,
    )
