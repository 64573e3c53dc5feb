"""Gradient-based meta-reinforcement learning: an inner loop per task, one trust-region step over all of them.

What MAML and MAESN share.  They differ in what the inner loop moves and in what is meta-learned, which the
`Meta` parameters and their step sizes say.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pydantic import Field, model_validator

from hmrl_cli import adaptation, networks, trust_region
from hmrl_cli.adaptation import Episodes
from hmrl_cli.config import Strict
from hmrl_cli.distributions import Gaussian, Policy
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import Adaptation, AdaptState, MetaLearner, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params, Task


class Config(Strict):
    """Settings that every gradient-based meta-learner has."""

    tasks_per_update: int = Field(20, gt=0, le=10_000, description="tasks per outer step")
    episodes_per_task: int = Field(20, gt=1, le=10_000, description="episodes per task and phase")
    num_train_tasks: int = Field(
        0, ge=0, le=1_000_000, description="size of a fixed table of training tasks; 0 draws new ones always"
    )
    inner_steps: int = Field(1, gt=0, le=100, description="inner updates while training")
    step_decay: float = Field(1.0, gt=0, le=1, description="factor on the step size after each inner update")
    first_order: bool = Field(False, description="no derivative through the inner direction")
    learn_step_size: bool = Field(False, description="whether the outer step moves the step sizes")
    hidden: networks.Hidden = Field((100, 100), strict=False, description="units per hidden layer")
    activation: networks.Activation = Field("relu", description="between layers")
    init_std: float = Field(1.0, gt=0, le=10, description="action standard deviation at the start")
    discount: float = Field(0.99, ge=0, le=1, description="gamma, per decision")
    gae_lambda: float = Field(1.0, ge=0, le=1, description="lambda of the advantage estimate")
    max_divergence: float = Field(0.01, gt=0, description="trust region, mean KL after adaptation in nats")
    cg_iterations: int = Field(10, gt=0, le=1000, description="of the conjugate gradient")
    cg_damping: float = Field(1e-5, ge=0, description="added to the Fisher diagonal")

    @model_validator(mode="after")
    def _table_holds_an_update(self) -> Self:
        if 0 < self.num_train_tasks < self.tasks_per_update:
            raise ValueError(
                f"tasks_per_update: found {self.tasks_per_update}; "
                f"must be at most num_train_tasks, {self.num_train_tasks}"
            )
        return self


class Meta(NamedTuple):
    """What the outer step moves."""

    policy: Params
    latents: Gaussian | None  # one row per training task, [num_train_tasks, L]
    step_size: AdaptState  # None for a part that the inner loop leaves alone


class State(NamedTuple):
    """The meta-parameters and, where training draws from a fixed table, its tasks."""

    meta: Meta
    tasks: Array | None  # [num_train_tasks, task_size]


class Batch(NamedTuple):
    """One outer step's data; leaves start with [tasks_per_update]."""

    rows: Array | None  # [] which training task
    phases: Episodes  # leaves [inner_steps, N, ...]  before each inner update
    post: Episodes  # leaves [N, ...]  after the last


class MetaGradient(NamedTuple):
    """The learner, bound to its family; `latent_size` 0 and `kl_weight` 0 are MAML."""

    config: Config
    family: TaskFamily
    policy: networks.Network
    step_size: AdaptState  # at the start; floats, None for a part that stays
    latent_size: int
    kl_weight: float

    def init(self, key: Key) -> State:
        """Fresh meta-parameters: latents mu ~ N(0, 1), log sigma = 0 (Gupta et al. 2018)."""
        policy_key, latent_key, task_key = jax.random.split(key, 3)
        num_tasks, latents, tasks = self.config.num_train_tasks, None, None
        if num_tasks:
            tasks = jax.vmap(lambda k: self.family.sample(k, "train"))(jax.random.split(task_key, num_tasks))
        if self.latent_size:
            mean = jax.random.normal(latent_key, (num_tasks, self.latent_size))
            latents = Gaussian(mean, jnp.zeros_like(mean))
        step_size = jax.tree.map(jnp.float32, self.step_size)
        return State(Meta(self.policy.init(policy_key), latents, step_size), tasks)

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """One outer step."""
        task_key, episode_key = jax.random.split(key)
        rows, tasks = self._draw_tasks(task_key, state.tasks)
        keys = jax.random.split(episode_key, self.config.tasks_per_update)
        batch = jax.vmap(partial(self._gather, state.meta))(keys, rows, tasks)
        meta, info = trust_region.step(
            state.meta,
            partial(self.outputs, batch=batch),
            partial(self.loss, batch=batch),
            partial(mean_divergence, valid=batch.post.transitions.valid),
            max_divergence=self.config.max_divergence,
            damping=self.config.cg_damping,
            iterations=self.config.cg_iterations,
        )
        metrics = {
            "return_before": batch.phases.returned[:, 0].mean(),
            "return_after": batch.post.returned.mean(),
            "success_after": batch.post.success.mean(),
            "reached_after": batch.post.reached.mean(),
            "loss": info.loss,
            "improvement": info.improvement,
            "divergence": info.divergence,
            "accepted": info.accepted,
            "cg_residual": info.residual,
        }
        if meta.latents is not None:
            metrics["latent_kl"] = prior_divergence(meta.latents).mean()
        return State(meta, state.tasks), metrics

    def outputs(self, meta: Meta, batch: Batch) -> Policy:
        """The adapted policies' action distributions on the data gathered after adaptation, [tasks, N, T].

        Adaptation is repeated from `meta` on the stored episodes, so that derivatives pass through it.
        """

        def one_task(rows: Array | None, phases: Episodes, post: Episodes) -> Policy:
            def inner(state: AdaptState, now: tuple[Array, Episodes]) -> tuple[AdaptState, None]:
                return self._adapt(meta, state, *now), None

            counts = jnp.arange(self.config.inner_steps)
            state, _ = jax.lax.scan(inner, self._start(meta, rows), (counts, phases))
            obs = post.transitions.obs
            # the same noise through the adapted latent: z' = mu' + eps sigma'
            latent = adaptation.draw_latent(state.latent, post.noise)
            return self.policy.apply(state.params, obs, adaptation.spread_latent(latent, obs.shape[1]))

        return jax.vmap(one_task)(*batch)

    def loss(self, meta: Meta, outputs: Policy, batch: Batch) -> Array:
        """-E[pi / pi_old A] after adaptation, plus the latents' divergence from the prior before it."""
        steps = batch.post.transitions
        ratio = jnp.exp(outputs.log_prob(steps.action) - steps.log_prob)
        surrogate = -masked_mean(ratio * batch.post.advantage, steps.valid)
        if meta.latents is None:
            return surrogate
        rows = jax.tree.map(lambda x: x[batch.rows], meta.latents)
        return surrogate + self.kl_weight * prior_divergence(rows).mean()

    def adapt(
        self, key: Key, state: State, task: Task, num_steps: int, num_episodes: int
    ) -> tuple[AdaptState, Adaptation]:
        """Meet a task that was never trained on: the latent starts at its prior N(0, I)."""
        meta = state.meta
        latent = None if meta.latents is None else jax.tree.map(lambda x: jnp.zeros_like(x[0]), meta.latents)

        def one_step(now: tuple[AdaptState, AdaptState], count: Array) -> Any:
            acting = now[0]
            step_key = jax.random.fold_in(key, count)
            episodes = self._collect(step_key, acting, task, num_episodes)
            record = Adaptation(episodes.returned.mean(), episodes.success.mean(), episodes.reached.mean())
            return (self._adapt(meta, acting, count, episodes), acting), record

        start = AdaptState(meta.policy, latent)
        (_, acted), records = jax.lax.scan(one_step, (start, start), jnp.arange(num_steps + 1))
        return acted, records

    def behaviour(self, key: Key, state: AdaptState) -> Callable[[Key, Array], tuple[Array, Array]]:
        """How an adapted policy acts in one episode: with one latent, drawn from the key."""
        latent = adaptation.draw_latent(state.latent, adaptation.latent_noise(key, state.latent, 1))
        return adaptation.acting(self.policy, state.params, None if latent is None else latent[0])

    def _draw_tasks(self, key: Key, table: Array | None) -> tuple[Array | None, Array]:
        count = self.config.tasks_per_update
        if table is None:
            return None, jax.vmap(lambda k: self.family.sample(k, "train"))(jax.random.split(key, count))
        rows = jax.random.choice(key, self.config.num_train_tasks, (count,), replace=False)
        return rows, table[rows]

    def _start(self, meta: Meta, row: Array | None) -> AdaptState:
        latent = None if meta.latents is None else jax.tree.map(lambda x: x[row], meta.latents)
        return AdaptState(meta.policy, latent)

    def _collect(self, key: Key, state: AdaptState, task: Task, num_episodes: int) -> Episodes:
        return adaptation.collect(
            key,
            state,
            policy=self.policy,
            family=self.family,
            task=task,
            num_episodes=num_episodes,
            discount=self.config.discount,
            gae_lambda=self.config.gae_lambda,
        )

    def _adapt(self, meta: Meta, state: AdaptState, count: Array, episodes: Episodes) -> AdaptState:
        factor = self.config.step_decay**count
        step_size = jax.tree.map(lambda size: size * factor, meta.step_size)
        if not self.config.learn_step_size:
            step_size = jax.lax.stop_gradient(step_size)
        return adaptation.update(state, episodes, step_size, self.policy, first_order=self.config.first_order)

    def _gather(self, meta: Meta, key: Key, row: Array | None, task: Task) -> Batch:
        """Episodes of one task before and after every inner update."""

        def inner(state: AdaptState, count: Array) -> tuple[AdaptState, Episodes]:
            step_key = jax.random.fold_in(key, count)
            episodes = self._collect(step_key, state, task, self.config.episodes_per_task)
            return self._adapt(meta, state, count, episodes), episodes

        # One scan over all phases compiles the physics once; its last update is not used.
        counts = jnp.arange(self.config.inner_steps + 1)
        _, phases = jax.lax.scan(inner, self._start(meta, row), counts)
        before, post = (jax.tree.map(lambda x, part=part: x[part], phases) for part in (slice(-1), -1))
        return Batch(row, before, post)


def masked_mean(x: Array, valid: Array) -> Array:
    """Mean over the steps that count, every task weighing the same; x and valid [tasks, N, T]."""
    per_task = jnp.sum(x * valid, axis=(1, 2)) / jnp.maximum(valid.sum(axis=(1, 2)), 1.0)
    return per_task.mean()


def mean_divergence(old: Policy, new: Policy, valid: Array) -> Array:
    """Mean KL(old || new) of the action distributions [tasks, N, T] in nats."""
    return masked_mean(old.kl(new), valid)


def prior_divergence(latents: Gaussian) -> Array:
    """KL of each latent row [..., L] from N(0, I) in nats [...]."""
    return latents.kl(jax.tree.map(jnp.zeros_like, latents))


def make(
    config: Config,
    family: TaskFamily,
    step_size: AdaptState,
    *,
    latent_size: int = 0,
    kl_weight: float = 0.0,
) -> MetaLearner:
    """A learner that adapts what has a step size and meta-learns everything else with it."""
    policy = networks.policy(
        family.obs_size,
        family.action,
        config.hidden,
        latent_size=latent_size,
        activation=config.activation,
        init_std=config.init_std,
    )
    meta = MetaGradient(config, family, policy, step_size, latent_size, kl_weight)
    episodes = config.tasks_per_update * config.episodes_per_task * (config.inner_steps + 1)
    return MetaLearner(meta.init, meta.step, episodes * family.horizon, meta.adapt, meta.behaviour)
