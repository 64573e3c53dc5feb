"""Proximal policy optimisation on whole episodes (Schulman et al. 2017, 1707.06347).

The critic is told the time, so the horizon is an end like any other: no value is assumed beyond it.  A reward
may be a vector with a price for each part; the critic then knows the parts (successor features, Barreto et
al. 2017), and the policy follows the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pydantic import Field, model_validator

from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import learning_rate, networks, returns
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.schema import Strict
from hmrl_cli.types import Action

if TYPE_CHECKING:
    from hmrl_cli.learning.distributions import Policy
    from hmrl_cli.types import Array, Key, Metrics, Params


ROUNDING = 1e-4  # of the mean return: what sums of many steps in float32 leave of equal returns
OUTPUT_SCALE = 0.01  # a policy that begins near 0 in every state meets what lies on either side of it


class Config(Strict):
    """Settings of the learner."""

    hidden: networks.Hidden = Field((128, 128), strict=False, description="units per hidden layer, tanh")
    init_std: float = Field(0.6, gt=0, le=10, description="of continuous actions at the start")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="of policy and critic (Adam), at the start")
    target_kl: float | None = Field(
        None,
        gt=0,
        description="mean KL over the last pass, that the learning rate adapts to; none: it stays",
    )
    epochs: int = Field(4, gt=0, le=1000, description="passes over each batch of episodes")
    minibatches: int = Field(8, gt=0, le=10_000, description="gradient steps of a pass")
    discount: float = Field(0.97, ge=0, le=1, description="gamma")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="lambda of the advantage estimate")
    clip: float = Field(0.2, gt=0, lt=1, description="how far pi(a|s) may move, as a ratio")
    entropy_coefficient: float = Field(1e-3, ge=0, le=10, description="weight of the policy's entropy")
    max_gradient_norm: float = Field(1.0, gt=0, description="longer gradients are shortened to this")

    @model_validator(mode="after")
    def _moves_before_its_last_step(self) -> Self:
        learning_rate.check(self.target_kl, self.epochs * self.minibatches, "epochs * minibatches")
        return self

    def unused(self) -> dict[str, str]:
        """The first step starts where the policy is: its ratios are 1, which nothing clips."""
        return {"clip": "there is 1 gradient step"} if self.epochs * self.minibatches == 1 else {}


class State(NamedTuple):
    """Everything that learning carries on."""

    policy: Params
    critic: Params
    optimizer: Any
    learning_rate: Array  # []


class Batch(NamedTuple):
    """Steps of whole episodes [N, T]; observations already hold what the networks are conditioned on."""

    obs: Array  # [N, T, obs_size]
    critic_obs: Array  # [N, T, critic_size]
    action: Array  # [N, T, action_size], or [N, T] int32
    log_prob: Array  # [N, T]  when it was taken
    reward: Array  # [N, T, C]
    price: Array  # [N, C]  what each part of the reward is worth in the episode
    discount: Array  # [N, T]  0 where the episode ended early, else 1
    valid: Array  # [N, T]  1 where the step counts


class Sample(NamedTuple):
    """What a gradient step sees of the rows it draws: of steps [B], or of whole sequences [B, T]."""

    obs: Any  # what the policy's network takes
    critic_obs: Any  # what the critic's network takes
    action: Array
    log_prob: Array
    advantage: Array  # whitened
    target: Array  # [..., C]
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
        """Learn from episodes that this very policy has just acted in.

        The number of steps N * T must be a multiple of the number of minibatches.
        """
        sample = self._with_advantages(state.critic, batch)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), sample)
        return self.learn(key, state, flat)

    def learn(self, key: Key, state: State, rows: Sample) -> tuple[State, Metrics]:
        """Pass over rows [R, ...] that were judged; R must be a multiple of the number of minibatches.

        Where no advantage is left, the critic alone moves: for entropy alone, the policy would widen forever.
        """
        moved, metrics = in_minibatches(
            key, self._step, state, rows, passes=self.config.epochs, count=self.config.minibatches
        )
        kl = metrics.pop("kl")[-1].mean()  # of the last pass, before each of its steps
        rate = learning_rate.adapted(state.learning_rate, kl, self.config.target_kl)
        informative = jnp.any(rows.advantage != 0)
        moved, kl = jax.tree.map(
            lambda new, old: jnp.where(informative, new, old),
            (moved._replace(learning_rate=rate), kl),
            (state._replace(critic=moved.critic), jnp.zeros_like(kl)),
        )
        return moved, jax.tree.map(jnp.mean, metrics) | {"kl": kl, "learning_rate": moved.learning_rate}

    def _with_advantages(self, critic: Params, batch: Batch) -> Sample:
        """Advantages, whitened over the batch, and what the critic should have said."""
        value = self.critic.apply(critic, batch.critic_obs) * batch.valid[..., None]
        reward = batch.reward * batch.valid[..., None]
        discount = self.config.discount * batch.discount

        def of_part(reward: Array, discount: Array, value: Array) -> Array:
            return returns.gae(reward, discount, value, jnp.zeros(()), self.config.gae_lambda)

        of_episode = jax.vmap(of_part, in_axes=(-1, None, -1), out_axes=-1)
        parts = jax.vmap(of_episode)(reward, discount, value)
        advantage, earned = (jnp.sum(x * batch.price[:, None], axis=-1) for x in (parts, reward))
        return Sample(
            batch.obs,
            batch.critic_obs,
            batch.action,
            batch.log_prob,
            whitened(advantage, jax.vmap(returns.discounted)(earned, discount), batch.valid),
            parts + value,
            batch.valid,
        )

    def _step(self, state: State, some: Sample) -> tuple[State, Metrics]:
        """One gradient step on some of the rows."""
        params = (state.policy, state.critic)
        (_, metrics), grads = jax.value_and_grad(self._loss, has_aux=True)(params, some)
        updates, optimizer = self._optimizer().update(grads, state.optimizer, params)
        updates = jax.tree.map(lambda x: -state.learning_rate * x, updates)
        policy, critic = optax.apply_updates(params, updates)
        return State(policy, critic, optimizer, state.learning_rate), metrics

    def _loss(self, params: tuple[Params, Params], some: Sample) -> tuple[Array, Metrics]:
        """The clipped surrogate (eq. 7), less the entropy, plus half the critic's squared error."""
        weight = some.valid / jnp.maximum(some.valid.sum(), 1.0)
        pi: Policy = self.policy.apply(params[0], some.obs)
        log_ratio = pi.log_prob(some.action) - some.log_prob
        ratio = jnp.exp(log_ratio)
        clipped = jnp.clip(ratio, 1.0 - self.config.clip, 1.0 + self.config.clip)
        gain = jnp.sum(weight * jnp.minimum(ratio * some.advantage, clipped * some.advantage))
        entropy = jnp.sum(weight * pi.entropy())
        error = self.critic.apply(params[1], some.critic_obs) - some.target
        critic_loss = 0.5 * jnp.sum(weight[..., None] * error**2)
        loss = critic_loss - gain - self.config.entropy_coefficient * entropy
        clipped_share = jnp.sum(weight * (jnp.abs(ratio - 1.0) > self.config.clip))
        kl = jnp.sum(weight * (ratio - 1.0 - log_ratio))  # never negative, and of little variance
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
    step: Callable[[Any, Any], tuple[Any, Metrics]],
    state: Any,
    rows: Any,
    *,
    passes: int,
    count: int,
) -> tuple[Any, Metrics]:
    """Carry `step(state, some rows)` through shuffled rows, leaves [R, ...], in `count` parts of equal size.

    Returns the last state and the metrics of every step [passes, count].
    """
    total = jax.tree.leaves(rows)[0].shape[0]

    def one_pass(state: Any, t: Array) -> tuple[Any, Metrics]:
        order = jax.random.permutation(jax.random.fold_in(key, t), total).reshape(count, -1)

        def one_step(state: Any, some: Array) -> tuple[Any, Metrics]:
            return step(state, jax.tree.map(lambda x: x[some], rows))

        return jax.lax.scan(one_step, state, order)

    return jax.lax.scan(one_pass, state, jnp.arange(passes))


def whitened(advantage: Array, returned: Array, valid: Array) -> Array:
    """Advantages [N, T] of zero mean and unit variance; 0 at steps that do not count.

    Where all N returns [N, T] are alike, no action was better than another.  What is left is the critic's
    error and the rounding of sums, and becomes 0: whitened, it would move the policy as far as any signal.
    """
    count = jnp.maximum(valid.sum(axis=0), 1.0)
    apart = (returned - jnp.sum(returned * valid, axis=0) / count) * valid
    spread = jnp.sqrt(masked_mean(apart**2, valid))
    noise = ROUNDING * masked_mean(jnp.abs(returned), valid)
    # one episode has no other to be compared with
    return jnp.where((spread > noise) | (len(returned) == 1), returns.whiten(advantage, valid, noise), 0.0)


def with_time(x: Array) -> Array:
    """What is seen at the steps of episodes [N, T, F], and when: as a share of the episode [N, T, F + 1]."""
    time = jnp.arange(x.shape[1], dtype=jnp.float32) / x.shape[1]
    return jnp.concatenate([x, jnp.broadcast_to(time[None, :, None], (*x.shape[:2], 1))], axis=-1)


def must_divide(config: Config, steps: int) -> None:
    """Raise ValueError where the steps of an update make no whole minibatches."""
    if steps % config.minibatches:
        raise ValueError(
            f"algorithm.ppo.minibatches: found {config.minibatches}; "
            f"must divide the {steps} steps of an update"
        )


def make(obs_size: int, critic_size: int, action: Action, config: Config, num_rewards: int = 1) -> PPO:
    """PPO for a policy that sees [obs_size], a critic that sees [critic_size], and a reward in parts."""
    critic = networks.mlp(critic_size, config.hidden, num_rewards, "tanh")
    return PPO(make_policy(obs_size, action, config), critic, config)


def make_policy(obs_size: int, action: Action, config: Config) -> networks.Network:
    """The policy of what is seen [obs_size]."""
    return networks.policy(
        obs_size,
        action,
        config.hidden,
        activation="tanh",
        init_std=config.init_std,
        output_scale=OUTPUT_SCALE,
    )
