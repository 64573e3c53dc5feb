"""PEARL: tasks inferred from context, by a latent that conditions soft actor-critic (Rakelly et al. 2019).

1903.08254.  An encoder maps every transition (o, a, r, o') of a task to one Gaussian factor of q(z|c).  So
the order of the context does not matter.  The critics' loss and KL(q(z|c) || N(0, I)) train the encoder.
The policy's loss does not.  On a new task the learner explores by posterior sampling.  Every episode acts on
one z, which comes from the prior at first and then from the posterior given the episodes of earlier phases.

The choices here that extend the paper or differ from it:

* The episodes of one phase share a posterior, for they run side by side.  With one episode in a phase, as
  `evaluation.episodes=1`, each sees all that came before it, as in the paper.
* Contexts in training come from all phases but the last, which no posterior knows.  With `inner_steps` 1
  their episodes act on the prior alone, as in the authors' code for half-cheetahs.
* N(0, I) is itself a factor of q(z|c), so an empty context gives the prior.
* With `context_reward = "success"` the encoder sees whether the goal is met, in place of the reward.  Then
  the critics can learn from the dense reward and the context still looks as it does at test time, under the
  sparse reward.
* With `kl_warmup` the weight of the KL divergence grows from 0.  Early contexts hardly distinguish tasks, and
  the full divergence then costs more than z saves the critics.  So z may stay uninformative: all episodes go
  to the mean goal, and no context ever becomes informative.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import pydantic
from pydantic import Field

from hmrl_cli.algorithms.meta import _context
from hmrl_cli.algorithms.meta._context import Evidence, Inference, Kept, Stored
from hmrl_cli.environment.rollout import Held, draw_tasks, episode_means, unroll
from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import distributions, moments, networks, replay, sac
from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.sac import Config as SACConfig
from hmrl_cli.schema import AlgorithmConfig
from hmrl_cli.types import Adaptation, AdaptState, EnvState, MetaLearner, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.schema import Evaluation
    from hmrl_cli.types import Array, Key, Metrics, Params, Task


class Config(AlgorithmConfig):
    """Settings of PEARL."""

    command: ClassVar[str] = "meta-train"
    metric: ClassVar[str] = "return_after"
    name: Literal["pearl"] = "pearl"
    num_train_tasks: int = Field(
        100, gt=0, le=100_000, description="training tasks, each with replay buffers"
    )
    tasks_per_update: int = Field(
        10, gt=0, le=10_000, description="training tasks that collect episodes per update"
    )
    episodes_per_task: int = Field(4, gt=0, le=10_000, description="episodes per task and phase")
    inner_steps: int = Field(
        1,
        gt=0,
        le=100,
        description="phases with z from the posterior, after a first phase with z from the prior",
    )
    gradient_steps: int = Field(100, gt=0, le=100_000, description="gradient steps per update")
    tasks_per_gradient_step: int = Field(16, gt=0, le=10_000, description="tasks in one gradient step")
    batch_size: int = Field(64, gt=0, le=1_000_000, description="transitions of each task per gradient step")
    buffer_capacity: int = Field(
        10_000, gt=0, le=10_000_000, description="transitions in the replay buffer of each training task"
    )
    recent_meetings: int = Field(
        4,
        gt=0,
        le=10_000,
        description="contexts come from the last so many updates in which the task collected episodes",
    )
    latent_size: int = Field(5, gt=0, le=1000, description="dimensions of z")
    context_size: int = Field(
        100,
        gt=0,
        le=100_000,
        description="transitions of a context in a gradient step",
    )
    context_reward: Literal["reward", "success"] = Field(
        "reward", description="what the encoder sees of a step: the reward, or whether the goal is met"
    )
    kl_lambda: float = Field(
        0.1, ge=0, description="weight of KL(q(z|c) || N(0, I)) beside the critics' loss"
    )
    kl_warmup: int = Field(0, ge=0, le=10_000_000, description="updates over which kl_lambda grows from 0")
    normalize_observations: bool = Field(
        False, description="whether observations are normalised by their running mean and standard deviation"
    )
    encoder_hidden: networks.Hidden = Field((128, 128), strict=False, description="units per hidden layer")
    encoder_learning_rate: float = Field(3e-4, gt=0, lt=1, description="learning rate of the encoder (Adam)")
    sac: SACConfig = Field(SACConfig(), description="settings of SAC, which z conditions")

    def unused(self) -> dict[str, str]:
        """Without a weight of the divergence, the warm-up has no effect."""
        return {} if self.kl_lambda else {"kl_warmup": "algorithm.kl_lambda is 0"}

    @pydantic.model_validator(mode="after")
    def _table_holds_an_update(self) -> Self:
        if self.num_train_tasks < self.tasks_per_update:
            raise ValueError(
                f"tasks_per_update: found {self.tasks_per_update}; "
                f"must be at most num_train_tasks, {self.num_train_tasks}"
            )
        return self


class Learned(NamedTuple):
    """The part of the state that gradient steps change."""

    agent: sac.State
    encoder: Params
    encoder_optimizer: Any


class State(NamedTuple):
    """Training state of one seed."""

    learned: Learned
    tasks: Array  # [num_train_tasks, task_size]
    replay: replay.Buffer  # of Stored, leaves [num_train_tasks, ...]
    # likewise, of the last updates with each task, without their last phase: contexts come from here
    recent: replay.Buffer
    observed: Moments  # [obs_size]  of collected observations
    updates: Array  # [] int32  number of updates so far

    @property
    def kept(self) -> Kept:
        """The part of the state that an adaptation needs."""
        return Kept(self.learned.agent.policy, self.learned.encoder, self.observed)


class Pearl(NamedTuple):
    """The learner, bound to its family."""

    config: Config
    family: TaskFamily  # with rewards [2]: reward and signal
    agent: sac.SoftActorCritic  # its observations are [obs, z]
    inference: Inference

    def init(self, key: Key) -> State:
        """Fresh networks, the training tasks, and empty buffers."""
        agent_key, encoder_key, task_key = jax.random.split(key, 3)
        number, obs = jnp.float32(0), jnp.zeros(self.family.obs_size)
        action = replay.blank(self.family.action)
        example = Stored(obs, action, reward=number, signal=number, discount=number, next_obs=obs)

        def buffers(capacity: int) -> replay.Buffer:
            empty = replay.init(example, capacity)
            return jax.tree.map(lambda x: jnp.repeat(x[None], self.config.num_train_tasks, axis=0), empty)

        encoder = self.inference.encoder.init(encoder_key)
        return State(
            Learned(self.agent.init(agent_key), encoder, self._optimizer().init(encoder)),
            draw_tasks(task_key, self.family, self.config.num_train_tasks),
            replay=buffers(self.config.buffer_capacity),
            recent=buffers(self.config.recent_meetings * steps_of_context(self.config, self.family)),
            observed=moments.initial(self.family.obs_size),
            updates=jnp.int32(0),
        )

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """Collect episodes of some training tasks, then learn from the buffers of all tasks with episodes."""
        row_key, collect_key, learn_key = jax.random.split(key, 3)
        count = self.config.tasks_per_update
        rows = jax.random.choice(row_key, self.config.num_train_tasks, (count,), replace=False)
        keys = jax.random.split(collect_key, count)
        collect = jax.vmap(self._collect, in_axes=(0, None, 0, None, None))
        _, curves, (fresh, valid) = collect(
            keys, state.kept, state.tasks[rows], self.config.inner_steps, self.config.episodes_per_task
        )

        def stored(buffers: replay.Buffer, phases: slice) -> replay.Buffer:
            added = jax.tree.map(lambda x: x[:, phases].reshape(count, -1, *x.shape[4:]), (fresh, valid))
            changed = jax.vmap(replay.add)(jax.tree.map(lambda x: x[rows], buffers), *added)
            return jax.tree.map(lambda old, new: old.at[rows].set(new), buffers, changed)

        # no posterior that acts knows the last phase
        state = state._replace(
            replay=stored(state.replay, slice(None)), recent=stored(state.recent, slice(-1))
        )
        if self.config.normalize_observations:
            state = state._replace(observed=moments.absorb(state.observed, fresh.obs, valid))

        def gradient_step(learned: Learned, t: Array) -> tuple[Learned, Metrics]:
            return self._learn(jax.random.fold_in(learn_key, t), state._replace(learned=learned))

        learned, metrics = jax.lax.scan(gradient_step, state.learned, jnp.arange(self.config.gradient_steps))
        collected = {
            "return_before": curves.returned[:, 0].mean(),
            "return_after": curves.returned[:, -1].mean(),
            "success_after": curves.success[:, -1].mean(),
            "reached_after": curves.reached[:, -1].mean(),
        }
        state = state._replace(learned=learned, updates=state.updates + 1)
        return state, collected | jax.tree.map(jnp.mean, metrics)

    def adapt(self, key: Key, state: State, task: Task, budget: Evaluation) -> tuple[AdaptState, Adaptation]:
        """Adapt to a new task in K + 1 phases of N episodes; z comes from N(0, I) at first."""
        latent, curve, _ = self._collect(
            key, state.kept, task, budget.adapt_steps, budget.episodes, budget.deterministic
        )
        return AdaptState(state.kept, latent), curve

    def behaviour(
        self, key: Key, adapted: AdaptState, deterministic: bool = False
    ) -> Callable[[Key, Array], tuple[Array, Array]]:
        """The policy of one episode, given a z drawn with the key."""
        return self.inference.policy_of(adapted.params, adapted.latent.sample(key), deterministic)

    def critic_loss(
        self, key: Key, trained: tuple[Params, Params], state: State, context: Stored, replayed: Stored
    ) -> tuple[Array, tuple[sac.Batch, Metrics]]:
        """Loss [] of the critics and the encoder over M tasks, with the conditioned batch and metrics.

        Args:
            key: draws one z for each task, and the next actions.
            trained: parameters of the critics and of the encoder.
            state: gives the critics' target and the weight of the divergence.
            context: transitions, leaves [M, C, ...].
            replayed: transitions of the same tasks to learn from, leaves [M, B, ...].
        """
        critic, encoder = trained
        kept = state.kept._replace(encoder=encoder)
        z_key, target_key = jax.random.split(key)
        everything = jnp.ones_like(context.reward)
        latent = jax.vmap(self.inference.latents, in_axes=(None, 0, 0))(kept, context, everything)
        batch = self._conditioned(state.observed, replayed, latent.sample(z_key))
        loss = self.agent.critic_loss(
            critic, batch, self.agent.critic_target(target_key, state.learned.agent, batch)
        )
        divergence = distributions.prior_divergence(latent).mean()
        metrics = {"critic_loss": loss, "latent_kl": divergence}
        grown = jnp.minimum(1.0, (state.updates + 1) / (self.config.kl_warmup + 1))
        return loss + self.config.kl_lambda * grown * divergence, (batch, metrics)

    def _learn(self, key: Key, state: State) -> tuple[Learned, Metrics]:
        """One gradient step of critics and encoder, then of the policy, without a gradient through z."""
        data_key, loss_key, policy_key = jax.random.split(key, 3)
        agent, encoder, optimizer = state.learned
        context, replayed = self._draw(data_key, state)
        differentiate = jax.value_and_grad(self.critic_loss, argnums=1, has_aux=True)
        (_, (batch, metrics)), gradient = differentiate(
            loss_key, (agent.critic, encoder), state, context, replayed
        )
        updates, optimizer = self._optimizer().update(gradient[1], optimizer)
        encoder = optax.apply_updates(encoder, updates)
        agent, more = self.agent.descend(policy_key, agent, batch, gradient[0])
        return Learned(agent, encoder, optimizer), metrics | more

    def _draw(self, key: Key, state: State) -> tuple[Stored, Stored]:
        """Contexts [M, C, ...] and replayed steps [M, B, ...] of M random tasks with episodes."""
        row_key, context_key, replay_key = jax.random.split(key, 3)
        number = self.config.tasks_per_gradient_step
        logits = jnp.where(state.recent.size > 0, 0.0, -jnp.inf)
        rows = jax.random.categorical(row_key, logits, shape=(number,))
        sample = jax.vmap(replay.sample_row, in_axes=(0, None, 0, None))
        context_keys, replay_keys = (jax.random.split(key, number) for key in (context_key, replay_key))
        return (
            sample(context_keys, state.recent, rows, self.config.context_size),
            sample(replay_keys, state.replay, rows, self.config.batch_size),
        )

    def _conditioned(self, observed: Moments, replayed: Stored, latents: Array) -> sac.Batch:
        """Transitions [M, B, ...] as rows [M B, ...], with the task's latent [M, L] in the observations."""
        z = jnp.repeat(latents[:, None], replayed.reward.shape[1], axis=1)
        obs, next_obs = (
            jnp.concatenate([self.inference.seen(observed, x), z], axis=-1)
            for x in (replayed.obs, replayed.next_obs)
        )
        batch = sac.Batch(obs, replayed.action, replayed.reward, replayed.discount, next_obs)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)

    def _collect(
        self,
        key: Key,
        kept: Kept,
        task: Task,
        num_steps: int,
        num_episodes: int,
        deterministic: bool = False,
    ) -> tuple[Gaussian, Adaptation, tuple[Stored, Array]]:
        """Run K + 1 phases of N episodes of a task, with z from the posterior given all earlier phases.

        Returns:
            q(z|c) [L] of the last phase, the adaptation curve [K + 1], and the steps with their validity,
            leaves [K + 1, N, T, ...].
        """
        inference = self.inference

        def episode(held: Held) -> tuple[Transition, EnvState]:
            return unroll(held.key, inference.policy_of(kept, held.given, deterministic), self.family, task)

        def phase(carry: tuple[Evidence, Gaussian], count: Array) -> Any:
            known, latent = carry[0], _context.posterior(carry[0])
            steps, final = jax.vmap(episode)(_context.choose(key, latent, count, num_episodes))
            stored = _context.as_stored(steps)
            point = episode_means(stored.reward, final)
            known = inference.absorb(kept, known, stored, steps.valid)
            return (known, latent), (point, (stored, steps.valid))

        start = inference.nothing()
        carry = (start, _context.posterior(start))
        (_, last_latent), (curve, steps) = jax.lax.scan(phase, carry, jnp.arange(num_steps + 1))
        return last_latent, curve, steps

    def _optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.config.encoder_learning_rate)


def steps_per_task(config: Config, family: TaskFamily) -> int:
    """Steps that one task collects in one update: those of all its phases."""
    return (config.inner_steps + 1) * config.episodes_per_task * family.horizon


def steps_of_context(config: Config, family: TaskFamily) -> int:
    """Steps of one task and update that contexts are drawn from: those of all phases but the last."""
    return config.inner_steps * config.episodes_per_task * family.horizon


def make(config: Config, family: TaskFamily) -> MetaLearner:
    """PEARL on a family, plain or lifted; ValueError if the buffer is smaller than one update of a task."""
    steps = steps_per_task(config, family)
    replay.must_hold(config.buffer_capacity, steps)
    input_size = 2 * family.obs_size + family.action.size + 1
    agent = sac.make(family.obs_size + config.latent_size, family.action, config.sac)
    encoder = networks.mlp(input_size, config.encoder_hidden, 2 * config.latent_size)
    sizes = config.latent_size, config.context_size
    inference = Inference(agent.policy, encoder, family.action, *sizes, config.normalize_observations)
    learner = Pearl(config, _context.with_signal(family, config.context_reward), agent, inference)
    return MetaLearner(
        learner.init,
        learner.step,
        config.tasks_per_update * steps,
        learner.adapt,
        learner.behaviour,
        reads_reward=config.context_reward == "reward",
        online=partial(_context.online, inference, config.context_reward),
        keep=lambda state: state.kept,
    )
