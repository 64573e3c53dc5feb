"""Proximal policy optimisation on whole episodes (Schulman et al. 2017, 1707.06347).

The critic sees the time.  The value after the last step of an episode is 0, without a bootstrap beyond the
horizon.  A reward may be a vector with one weight (`reward_weights`) for each component.  The critic then
predicts the components separately (successor features, Barreto et al. 2017).  The policy maximises their
weighted sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from pydantic import Field, model_validator

from hmrl_cli.compute import devices
from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import learning_rate, networks, returns
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.schema import Strict
from hmrl_cli.types import Action

if TYPE_CHECKING:
    from hmrl_cli.learning.distributions import Policy
    from hmrl_cli.types import Array, Key, Metrics, Params


Mean = Callable[[Any], Any]  # of a tree over the devices that share a minibatch
OUTPUT_SCALE = 0.01  # the mean action starts near 0 in every state, so exploration covers both signs


class Config(Strict):
    """Settings of the learner."""

    at_start: ClassVar[frozenset[str]] = frozenset({"init_std"})
    hidden: networks.Hidden = Field((128, 128), strict=False, description="units per hidden layer, tanh")
    init_std: float = Field(
        0.6, gt=0, le=10, description="standard deviation of continuous actions at the start"
    )
    learning_rate: float = Field(
        1e-3, gt=0, lt=1, description="learning rate of policy and critic (Adam) at the start"
    )
    target_kl: float | None = Field(
        None,
        gt=0,
        description="nats of KL in the last pass that the learning rate adapts to; none: a constant rate",
    )
    epochs: int = Field(4, gt=0, le=1000, description="passes over each batch of episodes")
    minibatches: int = Field(8, gt=0, le=10_000, description="gradient steps in one pass")
    discount: float = Field(0.97, ge=0, le=1, description="gamma, the discount of one step")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="lambda of the advantage estimate")
    clip: float = Field(
        0.2, gt=0, lt=1, description="epsilon: the ratio of new to old pi(a|s) is clipped to 1 +- epsilon"
    )
    entropy_coefficient: float = Field(1e-3, ge=0, le=10, description="weight of the policy's entropy")
    max_gradient_norm: float = Field(
        1.0, gt=0, description="greatest norm of a gradient; longer ones are scaled down"
    )

    @model_validator(mode="after")
    def _moves_before_its_last_step(self) -> Self:
        steps = self.epochs * self.minibatches
        learning_rate.check(self.target_kl, self.learning_rate, steps, "epochs * minibatches")
        return self

    def unused(self) -> dict[str, str]:
        """A single gradient step has ratios of 1, so nothing is clipped."""
        return {"clip": "there is 1 gradient step"} if self.epochs * self.minibatches == 1 else {}


class State(NamedTuple):
    """Everything that learning carries on."""

    policy: Params
    critic: Params
    optimizer: Any
    learning_rate: Array  # []


class Batch(NamedTuple):
    """Steps of N whole episodes of T steps.

    Observations already contain what the networks are conditioned on, such as a skill.
    """

    obs: Array  # [N, T, obs_size]
    critic_obs: Array  # [N, T, critic_size]
    action: Array  # [N, T, action_size], or [N, T] int32
    log_prob: Array  # [N, T]  under the policy that took the action
    reward: Array  # [N, T, C]
    reward_weights: Array  # [N, C]  weight of each component of the reward, in the episode
    discount: Array  # [N, T]  0 where the episode ended early, else 1
    valid: Array  # [N, T]  1 where the step counts


class Sample(NamedTuple):
    """Data of a gradient step: of steps [B], or of whole sequences [B, T]."""

    obs: Any  # input of the policy network
    critic_obs: Any  # input of the critic network
    action: Array
    log_prob: Array
    advantage: Array  # whitened
    target: Array  # [..., C]  of the critic
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
        optimizer = self._optimizer().init((policy, critic))
        return State(policy, critic, optimizer, jnp.float32(self.config.learning_rate))

    def update(self, key: Key, state: State, batch: Batch) -> tuple[State, Metrics]:
        """Learn from episodes of the current policy.

        The number of steps N * T must be a multiple of the number of minibatches.
        """
        sample = self._with_advantages(state.critic, batch)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), sample)
        return self.learn(key, state, flat)

    def learn(self, key: Key, state: State, rows: Sample) -> tuple[State, Metrics]:
        """Learn from rows [R, ...] with advantages; R must be a multiple of the number of minibatches.

        If all advantages are 0, only the critic changes.  Otherwise the entropy term would widen the policy
        forever.
        """
        rate = learning_rate.now(state.learning_rate, self.config.learning_rate, self.config.target_kl)
        state = state._replace(learning_rate=rate)
        sizes = {"passes": self.config.epochs, "count": self.config.minibatches}
        moved, metrics = in_minibatches(key, self._step, state, rows, **sizes, shared=True)
        kl = metrics.pop("kl")[-1].mean()  # of the last pass, measured before each of its steps
        rate = learning_rate.adapted(state.learning_rate, kl, self.config.target_kl)
        informative = jnp.any(rows.advantage != 0)
        moved, kl = jax.tree.map(
            lambda new, old: jnp.where(informative, new, old),
            (moved._replace(learning_rate=rate), kl),
            (state._replace(critic=moved.critic), jnp.zeros_like(kl)),
        )
        return moved, jax.tree.map(jnp.mean, metrics) | {"kl": kl, "learning_rate": moved.learning_rate}

    def _with_advantages(self, critic: Params, batch: Batch) -> Sample:
        """The steps [N, T] with whitened advantages and targets of the critic."""
        value = self.critic.apply(critic, batch.critic_obs) * batch.valid[..., None]
        reward = batch.reward * batch.valid[..., None]
        discount = self.config.discount * batch.discount

        def of_component(reward: Array, discount: Array, value: Array) -> Array:
            return returns.gae(reward, discount, value, jnp.zeros(()), self.config.gae_lambda)

        of_episode = jax.vmap(of_component, in_axes=(-1, None, -1), out_axes=-1)
        components = jax.vmap(of_episode)(reward, discount, value)
        advantage, earned = (
            jnp.sum(x * batch.reward_weights[:, None], axis=-1) for x in (components, reward)
        )
        return Sample(
            batch.obs,
            batch.critic_obs,
            batch.action,
            batch.log_prob,
            whitened(advantage, jax.vmap(returns.discounted)(earned, discount), batch.valid),
            components + value,
            batch.valid,
        )

    def _step(self, mean: Mean, state: State, minibatch: Sample) -> tuple[State, Metrics]:
        """One gradient step on a minibatch, of which every device has an equal share."""
        params = (state.policy, state.critic)
        sums = jax.grad(self._loss, has_aux=True)(params, minibatch)
        counted, sums = mean((minibatch.valid.sum(), sums))  # the devices wait for each other once
        grads, metrics = jax.tree.map(lambda x: x / jnp.where(counted > 0, counted, 1.0), sums)
        updates, optimizer = self._optimizer().update(grads, state.optimizer, params)
        updates = jax.tree.map(lambda x: -state.learning_rate * x, updates)
        policy, critic = optax.apply_updates(params, updates)
        return State(policy, critic, optimizer, state.learning_rate), metrics

    def _loss(self, params: tuple[Params, Params], minibatch: Sample) -> tuple[Array, Metrics]:
        """Negative clipped surrogate (eq. 7), minus the entropy term, plus the critic's loss.

        All are sums over the steps that count.
        """
        weight = minibatch.valid
        pi: Policy = self.policy.apply(params[0], minibatch.obs)
        log_ratio = pi.log_prob(minibatch.action) - minibatch.log_prob
        ratio = jnp.exp(log_ratio)
        clipped = jnp.clip(ratio, 1.0 - self.config.clip, 1.0 + self.config.clip)
        gain = jnp.sum(weight * jnp.minimum(ratio * minibatch.advantage, clipped * minibatch.advantage))
        entropy = jnp.sum(weight * pi.entropy())
        error = self.critic.apply(params[1], minibatch.critic_obs) - minibatch.target
        critic_loss = 0.5 * jnp.sum(weight[..., None] * error**2)
        loss = critic_loss - gain - self.config.entropy_coefficient * entropy
        clipped_share = jnp.sum(weight * (jnp.abs(ratio - 1.0) > self.config.clip))
        kl = jnp.sum(
            weight * (ratio - 1.0 - log_ratio)
        )  # an estimate that is never negative and has a low variance
        return loss, {
            "critic_loss": critic_loss,
            "action_entropy": entropy,
            "clipped": clipped_share,
            "kl": kl,
        }

    def _optimizer(self) -> optax.GradientTransformation:
        return optax.chain(
            optax.clip_by_global_norm(self.config.max_gradient_norm),
            optax.scale_by_adam(),
        )


def in_minibatches(
    key: Key,
    step: Callable[[Mean, Any, Any], tuple[Any, Metrics]],
    state: Any,
    rows: Any,
    *,
    passes: int,
    count: int,
    shared: bool = False,
) -> tuple[Any, Metrics]:
    """Apply `step(mean, state, minibatch)` to shuffled minibatches of equal size.

    With `shared`, each device has a part of every minibatch if it can be divided evenly, and `mean` averages
    over the devices.

    Args:
        key: draws the order of each pass.
        step: returns the next state and metrics, the same on all devices.
        state: before the first step.
        rows: leaves [R, ...].
        passes: over all rows.
        count: minibatches in one pass; divides R.

    Returns:
        the last state, and the metrics of every step [passes, count].
    """
    total = jax.tree.leaves(rows)[0].shape[0]

    def order(t: Array) -> Array:
        return shuffled(jax.random.fold_in(key, t), total).reshape(count, -1)

    def learn(mean: Mean, start: tuple[Any, Any], indices: Array) -> tuple[Any, Metrics]:
        state, rows = start

        def one_step(state: Any, indices: Array) -> tuple[Any, Metrics]:
            return step(mean, state, jax.tree.map(lambda x: x[indices], rows))

        def one_pass(state: Any, indices: Array) -> tuple[Any, Metrics]:
            return jax.lax.scan(one_step, state, indices)

        return jax.lax.scan(one_pass, state, jnp.moveaxis(indices, 0, -1))

    indices = jnp.moveaxis(jax.vmap(order)(jnp.arange(passes)), -1, 0)  # [R / count, passes, count]
    if shared:
        return devices.in_shares(learn, (state, rows), indices)
    return learn(lambda tree: tree, (state, rows), indices)


def shuffled(key: Key, total: int) -> Array:
    """The numbers 0 ... total - 1 in a random order [total] int32.

    It sorts random bits above the bits of a number, several times faster on a CPU than
    `jax.random.permutation`.  Numbers with equal random bits keep their order: with b bits of a number, any
    two of them with a probability of 2^(b - 32).
    """
    low = (total - 1).bit_length()
    drawn = jax.random.bits(key, (total,)) >> low << low
    ordered = jnp.sort(drawn | jnp.arange(total, dtype=drawn.dtype))
    return jnp.int32(ordered & ((1 << low) - 1))


def whitened(advantage: Array, returned: Array, valid: Array) -> Array:
    """Advantages [N, T] with zero mean and unit variance, and 0 where valid [N, T] is 0.

    If no action was better than another, all advantages become 0 (`returns.differ`).  They consist of the
    critic's error and of rounding, and whitening would amplify them to a full update.

    Args:
        advantage: [N, T].
        returned: [N, T] the discounted return from each step on.
        valid: [N, T] 1 where the step counts.
    """
    noise = returns.ROUNDING * masked_mean(jnp.abs(returned), valid)
    return jnp.where(returns.differ(returned, valid), returns.whiten(advantage, valid, noise), 0.0)


def with_time(x: Array) -> Array:
    """Inputs x [N, T, F] with the time as a share of the episode appended [N, T, F + 1]."""
    time = jnp.arange(x.shape[1], dtype=jnp.float32) / x.shape[1]
    return jnp.concatenate([x, jnp.broadcast_to(time[None, :, None], (*x.shape[:2], 1))], axis=-1)


def must_divide(config: Config, steps: int) -> None:
    """Raise ValueError if the minibatches do not divide the steps of an update."""
    if steps % config.minibatches:
        raise ValueError(
            f"algorithm.ppo.minibatches: found {config.minibatches}; "
            f"must divide the {steps} steps of an update"
        )


def make(obs_size: int, critic_size: int, action: Action, config: Config, num_rewards: int = 1) -> PPO:
    """PPO for policy inputs [obs_size], critic inputs [critic_size] and rewards [num_rewards]."""
    critic = networks.mlp(critic_size, config.hidden, num_rewards, "tanh")
    return PPO(make_policy(obs_size, action, config), critic, config)


def make_policy(
    obs_size: int, action: Action, config: Config, body: Callable[..., networks.Network] = networks.mlp
) -> networks.Network:
    """The policy network for inputs [obs_size]; `body` as in `networks.policy`."""
    return networks.policy(
        obs_size,
        action,
        config.hidden,
        activation="tanh",
        init_std=config.init_std,
        output_scale=OUTPUT_SCALE,
        body=body,
    )
