"""Gradient-based meta-reinforcement learning: an inner loop for each task, one outer step over all tasks.

MAML and MAESN share this learner.  They differ in the parts that the inner loop adapts, which have a step
size, and in the meta-parameters `Meta`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.compute.devices import in_shares
from hmrl_cli.environment.rollout import draw_tasks
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks
from hmrl_cli.learning.distributions import Gaussian, Policy, prior_divergence
from hmrl_cli.meta_gradient import clipped_step, inner_loop, trust_region
from hmrl_cli.meta_gradient.config import Config
from hmrl_cli.meta_gradient.inner_loop import Episodes, Fallback
from hmrl_cli.meta_gradient.problem import Problem
from hmrl_cli.types import AdaptState, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Metrics, Params, Task, Transition


class Meta(NamedTuple):
    """The meta-parameters, which the outer step learns."""

    policy: Params
    latents: Gaussian | None  # one row per training task, [num_train_tasks, L]
    step_size: AdaptState  # leaves [inner_steps or 1, ...]; None for a part that does not adapt


class State(NamedTuple):
    """Training state of one seed; `tasks` is None without a fixed set of training tasks."""

    meta: Meta
    optimizer: Any  # of the outer steps
    tasks: Array | None  # [num_train_tasks, task_size]


class Batch(NamedTuple):
    """Data of one outer step; every leaf has a leading [tasks_per_update]."""

    rows: Array | None  # []  index of the training task
    phases: Episodes  # leaves [inner_steps + 1, N, ...]  before each inner update, and after the last


class MetaGradient(NamedTuple):
    """The learner, bound to its family; `latent_size` 0 and `kl_weight` 0 are MAML."""

    config: Config
    family: TaskFamily
    policy: networks.Network
    step_size: AdaptState  # initial step sizes, floats; None for a part that does not adapt
    latent_size: int
    kl_weight: float

    def init(self, key: Key) -> State:
        """Fresh meta-parameters: latents mu ~ N(0, 1), log sigma = 0 (Gupta et al. 2018)."""
        policy_key, latent_key, task_key = jax.random.split(key, 3)
        num_tasks, latents, tasks = self.config.num_train_tasks, None, None
        if num_tasks:
            tasks = draw_tasks(task_key, self.family, num_tasks)
        if self.latent_size:
            mean = jax.random.normal(latent_key, (num_tasks, self.latent_size))
            latents = Gaussian(mean, jnp.zeros_like(mean))
        policy = self.policy.init(policy_key)
        meta = Meta(policy, latents, self._initial_step_size(policy))
        outer, settings = self._outer_step
        return State(meta, outer.init(meta, settings), tasks)

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """One outer step."""
        task_key, episode_key = jax.random.split(key)
        rows, tasks = self._draw_tasks(task_key, state.tasks)
        keys = jax.random.split(episode_key, self.config.tasks_per_update)
        meta, optimizer, metrics = in_shares(self._learn, (state.meta, state.optimizer), keys, rows, tasks)
        if meta.latents is not None:
            metrics["latent_kl"] = prior_divergence(meta.latents).mean()
        return State(meta, optimizer, state.tasks), metrics

    def _learn(
        self, mean: Callable[[Any], Any], shared: tuple[Meta, Any], keys: Key, rows: Array | None, tasks: Task
    ) -> tuple[Meta, Any, Metrics]:
        """One outer step: episodes of this device's tasks, gradients averaged over all devices."""
        meta, optimizer = shared
        collect = partial(self._collect_phases, meta)
        batch = over_tasks(collect, (keys, rows, tasks), self._at_once)
        divergence = partial(mean_divergence, valid=self._loss_phases(batch).transitions.valid)
        problem = Problem(
            partial(self.outputs, batch=batch), partial(self.loss, batch=batch), divergence, mean
        )
        outer, settings = self._outer_step
        new, optimizer, info = outer.step(meta, optimizer, problem, settings)
        metrics = {
            "return_before": batch.phases.returned[:, 0].mean(),
            "return_after": batch.phases.returned[:, -1].mean(),
            "success_after": batch.phases.success[:, -1].mean(),
            "reached_after": batch.phases.reached[:, -1].mean(),
            **info._asdict(),
        }
        if self.config.normalize_observations:
            new, metrics = self._observed(mean, len(keys), new, batch.phases.transitions, metrics)
        else:
            metrics = mean(metrics)
        return new, optimizer, metrics

    def _observed(
        self, mean: Callable[[Any], Any], share: int, meta: Meta, steps: Transition, metrics: Metrics
    ) -> tuple[Meta, Metrics]:
        """Update the moments with the observations of all devices, each of which has a share of the tasks.

        Also returns the means of the metrics, which share one mean with the first sums.  That mean follows
        the mean of the outer step, because the metrics depend on the outer step.
        """
        devices = self.config.tasks_per_update // share

        def total(tree: Any) -> Any:
            return jax.tree.map(lambda x: devices * x, tree)

        metrics, found = mean((metrics, moments.sums(steps.obs, steps.valid)))
        observed = moments.absorb(
            meta.policy["observed"], steps.obs, steps.valid, total(found), lambda x: total(mean(x))
        )
        return meta._replace(policy=meta.policy | {"observed": observed}), metrics

    @property
    def _at_once(self) -> int:
        """Number of tasks in memory at one time; 0: all, as for "auto" where only shapes are read."""
        return 0 if self.config.tasks_at_once == "auto" else self.config.tasks_at_once

    def outputs(self, meta: Meta, batch: Batch) -> Policy:
        """Action distributions [tasks, phases, N, T] on the episodes of the outer loss.

        Inner updates start again from `meta` on the stored episodes: the outer gradient passes through them.
        """

        def one_task(rows: Array | None, phases: Episodes) -> Policy:
            def inner(state: AdaptState, now: tuple[Array, Episodes]) -> tuple[AdaptState, AdaptState]:
                new = self.inner_update(meta, state, *now)
                return new, new

            counts = jnp.arange(self.config.inner_steps)
            start = self._initial_state(meta, rows)
            _, adapted = jax.lax.scan(inner, start, (counts, jax.tree.map(lambda x: x[:-1], phases)))
            states = jax.tree.map(lambda x, more: jnp.concatenate([x[None], more]), start, adapted)
            in_loss = jax.tree.map(lambda x: x[self._first_loss_phase :], (states, phases))
            return jax.vmap(self._action_distributions)(*in_loss)

        if self._at_once:  # the backward pass computes the activations again
            return over_tasks(jax.checkpoint(one_task), tuple(batch), self._at_once)
        # on a CPU one task at a time is faster: its data fit into the cache
        return over_tasks(one_task, tuple(batch), 1 if jax.default_backend() == "cpu" else 0)

    def loss(self, meta: Meta, outputs: Policy, batch: Batch) -> Array:
        """The outer loss []: -E[A pi / pi_old] after adaptation, plus KL(latents || N(0, I)) before it.

        With the clipped outer step the ratio is clipped.  A KL penalty then limits the change of every policy
        before an inner update (Rothfuss et al. 2019, eq. 13).
        """
        in_loss = self._loss_phases(batch)
        steps, limit = in_loss.transitions, self.config.clipped.clip
        log_ratio = outputs.log_prob(steps.action) - steps.log_prob
        ratio = jnp.exp(log_ratio)
        gain = ratio * in_loss.advantage
        if self.config.outer == "clipped":
            gain = jnp.minimum(gain, jnp.clip(ratio, 1.0 - limit, 1.0 + limit) * in_loss.advantage)
        updates = self.config.inner_steps or 1 if self.config.outer_loss == "all" else 1
        loss = -phase_mean(gain[:, -updates:], steps.valid[:, -updates:])
        if self.config.outer == "clipped" and self.config.inner_steps:
            divergence = ratio - 1.0 - log_ratio  # its mean is KL(old || new)
            loss += self.config.clipped.kl_weight * phase_mean(divergence[:, :-1], steps.valid[:, :-1])
        if meta.latents is None:
            return loss
        rows = jax.tree.map(lambda x: x[batch.rows], meta.latents)
        return loss + self.kl_weight * prior_divergence(rows).mean()

    def start(self, meta: Meta, budget: Evaluation) -> AdaptState:
        """The state before any update on a new task."""
        return AdaptState(meta.policy, self._prior(meta, budget.latent_std))

    def _prior(self, meta: Meta, std: float) -> Gaussian | None:
        """The latent distribution of a new task before any update, N(0, std^2 I)."""
        if not self.latent_size:
            return None
        zeros = jnp.zeros(self.latent_size)
        return Gaussian(zeros, zeros + jnp.log(std))

    def behaviour(self, key: Key, state: AdaptState) -> Callable[[Key, Array], tuple[Array, Array]]:
        """The adapted policy of one episode, given one latent drawn with the key."""
        latent = inner_loop.draw_latent(state.latent, inner_loop.latent_noise(key, state.latent, 1))
        return inner_loop.sampling_policy(self.policy, state.params, None if latent is None else latent[0])

    def _draw_tasks(self, key: Key, table: Array | None) -> tuple[Array | None, Array]:
        count = self.config.tasks_per_update
        if table is None:
            return None, draw_tasks(key, self.family, count)
        rows = jax.random.choice(key, self.config.num_train_tasks, (count,), replace=False)
        return rows, table[rows]

    def _initial_state(self, meta: Meta, row: Array | None) -> AdaptState:
        latent = None if meta.latents is None else jax.tree.map(lambda x: x[row], meta.latents)
        return AdaptState(meta.policy, latent)

    def collect(
        self, key: Key, state: AdaptState, task: Task, num_episodes: int, fallback: Fallback | None = None
    ) -> Episodes:
        """Run N episodes of a task, leaves [N, ...]; see `inner_loop.collect`."""
        return inner_loop.collect(
            key,
            state,
            policy=self.policy,
            family=self.family,
            task=task,
            num_episodes=num_episodes,
            discount=self.config.discount,
            gae_lambda=self.config.gae_lambda,
            fallback=fallback,
        )

    def inner_update(self, meta: Meta, state: AdaptState, count: Array, episodes: Episodes) -> AdaptState:
        """Inner update number `count` [], from 0; later updates than training made use the last step size.

        Whitened advantages give the direction of a step and not its length.  With `scale_by_reward` the
        length is proportional to |mean reward|, for example to the distance from a goal.
        """
        factor = inner_loop.step_factor(
            count, self.config.step_decay, self.config.step_hold, self.config.step_floor
        )
        if self.config.scale_by_reward:
            factor *= jnp.abs(inner_loop.mean_reward(episodes))
        step_size = jax.tree.map(
            lambda size: size[jnp.minimum(count, len(size) - 1)] * factor, meta.step_size
        )
        if not self.config.learn_step_size:
            step_size = jax.lax.stop_gradient(step_size)
        return inner_loop.update(
            state,
            episodes,
            step_size,
            self.policy,
            form=self.config.inner_surrogate,
            first_order=self.config.first_order,
        )

    def _action_distributions(self, state: AdaptState, episodes: Episodes) -> Policy:
        """Action distributions [N, T] in the episodes; z is reparameterised by the episodes' noise."""
        obs = episodes.transitions.obs
        latent = inner_loop.draw_latent(state.latent, episodes.noise)
        return self.policy.apply(state.params, obs, inner_loop.latent_of_steps(latent, obs.shape[1]))

    def _collect_phases(self, meta: Meta, key: Key, row: Array | None, task: Task) -> Batch:
        """Episodes of one task before each inner update and after the last [inner_steps + 1, N, ...]."""

        def inner(state: AdaptState, count: Array) -> tuple[AdaptState, Episodes]:
            step_key = jax.random.fold_in(key, count)
            episodes = self.collect(step_key, state, task, self.config.episodes_per_task)
            adapt = partial(self.inner_update, meta, state, count, episodes)
            return jax.lax.cond(count < self.config.inner_steps, adapt, lambda: state), episodes

        # one scan over all phases compiles the physics once
        counts = jnp.arange(self.config.inner_steps + 1)
        return Batch(row, jax.lax.scan(inner, self._initial_state(meta, row), counts)[1])

    @property
    def _outer_step(self) -> tuple[Any, Any]:
        """The module of the outer step, and its settings."""
        if self.config.outer == "clipped":
            return clipped_step, self.config.clipped
        return trust_region, self.config.trust_region

    @property
    def _first_loss_phase(self) -> int:
        """Index of the first phase in the outer loss; the clipped loss includes all phases."""
        if self.config.outer == "clipped":
            return 0
        return min(1, self.config.inner_steps) if self.config.outer_loss == "all" else self.config.inner_steps

    def _loss_phases(self, batch: Batch) -> Episodes:
        return jax.tree.map(lambda x: x[:, self._first_loss_phase :], batch.phases)

    def _initial_step_size(self, policy: Params) -> AdaptState:
        """Initial step sizes, leaves [max(inner_steps, 1), ...]: one number for each array of the policy.

        Without inner updates in training there is still one, for the updates at test time.
        """

        def repeated(size: Any) -> Array:
            return jnp.repeat(jnp.float32(size)[None], max(self.config.inner_steps, 1), axis=0)

        params, latent = self.step_size
        if params is not None:
            params = jax.tree.map(lambda _: repeated(params), policy)
        return AdaptState(params, jax.tree.map(repeated, latent))


def over_tasks(run: Callable[..., Any], rows: tuple[Any, ...], at_once: int) -> Any:
    """`run(*row)` for the row of every task, leaves [tasks, ...]; `at_once` 0: all in parallel."""
    if at_once:
        return jax.lax.map(lambda row: run(*row), rows, batch_size=at_once)
    return jax.vmap(run)(*rows)


def phase_mean(x: Array, valid: Array) -> Array:
    """Mean [] of x [tasks, phases, N, T] over valid steps, with equal weight for every task and phase."""
    per_phase = jnp.sum(x * valid, axis=(2, 3)) / jnp.maximum(valid.sum(axis=(2, 3)), 1.0)
    return per_phase.mean()


def mean_divergence(old: Policy, new: Policy, valid: Array) -> Array:
    """Mean KL(old || new) of the action distributions [tasks, phases, N, T] in nats."""
    return phase_mean(old.kl(new), valid)
