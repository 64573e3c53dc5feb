"""DIAYN: skills that a discriminator can tell apart, without reward (Eysenbach et al. 2019, 1802.06070).

With `feature_noise` Gaussian noise is added to the feature that the discriminator sees, in its loss and in
the reward.  A skill then gets more reward the further it leads away from the others.  Without noise the
algorithm is the paper's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.environment.features import feature_size
from hmrl_cli.environment.rollout import unroll
from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import networks, replay, sac
from hmrl_cli.learning.empowerment import lower_bound
from hmrl_cli.learning.sac import Config as SACConfig
from hmrl_cli.schema import AlgorithmConfig
from hmrl_cli.types import Discrete, SkillLearner, SkillLibrary, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Distribution, Key, Metrics, Params


class Config(AlgorithmConfig):
    """Settings of DIAYN with soft actor-critic."""

    command: ClassVar[str] = "pretrain-skills"
    metric: ClassVar[str] = "mutual_information"
    name: Literal["diayn"] = "diayn"
    num_skills: int = Field(8, ge=2, le=1000, description="number of skills; p(z) is uniform")
    discriminate: str = Field("identity", description="feature of the observation that q(z|.) sees")
    feature_noise: float = Field(
        0.0,
        ge=0,
        description="standard deviation of noise on that feature; more noise parts skills further",
    )
    observe: str = Field("identity", description="feature of the observation that the policy sees")
    episodes_per_update: int = Field(16, gt=0, le=100_000, description="parallel episodes per update")
    gradient_steps: int = Field(200, gt=0, le=100_000, description="gradient steps per update")
    batch_size: int = Field(256, gt=0, le=1_000_000, description="transitions per gradient step")
    buffer_capacity: int = Field(
        200_000, gt=0, le=100_000_000, description="transitions in the replay buffer"
    )
    discriminator_hidden: networks.Hidden = Field(
        (256, 256), strict=False, description="units per layer of q"
    )
    discriminator_learning_rate: float = Field(3e-4, gt=0, lt=1, description="learning rate of q (Adam)")
    sac: SACConfig = Field(SACConfig(), description="settings of SAC, which trains the policy")


class Stored(NamedTuple):
    """A step in the replay buffer; its reward comes from the discriminator at the time of the update."""

    obs: Array  # [obs_size]
    action: Array  # [action_size], or [] int32
    discount: Array  # []
    next_obs: Array  # [obs_size]
    skill: Array  # [] int32


class State(NamedTuple):
    """Training state of one seed."""

    sac: sac.State
    discriminator: Params
    discriminator_optimizer: Any
    buffer: replay.Buffer


class Diayn(NamedTuple):
    """The learner, bound to its family."""

    config: Config
    family: TaskFamily
    agent: sac.SoftActorCritic
    discriminator: networks.Network

    def init(self, key: Key) -> State:
        """Fresh networks and an empty buffer."""
        agent_key, discriminator_key = jax.random.split(key)
        params = self.discriminator.init(discriminator_key)

        obs = jnp.zeros(self.family.obs_size)
        example = Stored(
            obs=obs,
            action=replay.blank(self.family.action),
            discount=jnp.float32(0),
            next_obs=obs,
            skill=jnp.int32(0),
        )
        buffer = replay.init(example, self.config.buffer_capacity)
        return State(self.agent.init(agent_key), params, self._optimizer().init(params), buffer)

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """One episode in each environment, then gradient steps on replayed transitions."""
        episode_key, learn_key = jax.random.split(key)
        keys = jax.random.split(episode_key, self.config.episodes_per_update)
        steps, skills = jax.vmap(self._episode, in_axes=(0, None))(keys, state.sac.policy)
        fresh = jax.vmap(self._stored)(steps, skills)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (fresh, steps.valid))
        state = state._replace(buffer=replay.add(state.buffer, *flat))

        log_q = self.log_q(state.discriminator, fresh.next_obs)
        log_q_of_skill = jnp.take_along_axis(log_q, fresh.skill[..., None], axis=-1)[..., 0]
        count = jnp.maximum(steps.valid.sum(), 1.0)
        correct = (log_q.argmax(axis=-1) == fresh.skill) * steps.valid
        fresh_metrics = {
            "discriminator_accuracy": correct.sum() / count,
            "mutual_information": lower_bound(log_q_of_skill, -jnp.log(self.config.num_skills), steps.valid),
        }

        def gradient_step(state: State, t: Array) -> tuple[State, Metrics]:
            return self._learn(jax.random.fold_in(learn_key, t), state)

        state, metrics = jax.lax.scan(gradient_step, state, jnp.arange(self.config.gradient_steps))
        return state, fresh_metrics | jax.tree.map(jnp.mean, metrics)

    def log_q(self, params: Params, next_obs: Array) -> Array:
        """log q(z | f(s')) [..., num_skills]."""
        return self._log_q_of(params, self.family.features[self.config.discriminate](next_obs))

    def _log_q_of(self, params: Params, features: Array) -> Array:
        return jax.nn.log_softmax(self.discriminator.apply(params, features))

    def freeze(self, state: State) -> Params:
        """The parameters that the skills' policy needs."""
        return state.sac.policy

    def skills(self, params: Params) -> SkillLibrary:
        """The frozen skills."""

        def policy(params: Params, obs: Array, skill: Array) -> Distribution:
            return self.agent.policy.apply(params, self._condition(obs, skill))

        number = self.config.num_skills
        return SkillLibrary(policy, params, Discrete(number), jnp.arange(number))

    def discriminate(self, state: State, obs: Array) -> Array:
        """log q(z | f(s')) [..., T, num_skills] after the steps of an episode [..., T + 1, obs_size]."""
        return self.log_q(state.discriminator, obs[..., 1:, :])

    def _condition(self, obs: Array, skill: Array) -> Array:
        """Input of policy and critics: the observed feature and the one-hot skill."""
        one_hot = jax.nn.one_hot(skill, self.config.num_skills)
        return jnp.concatenate([self.family.features[self.config.observe](obs), one_hot], axis=-1)

    def _episode(self, key: Key, policy: Params) -> tuple[Transition, Array]:
        """One episode of a random skill on a training task, whose reward is ignored, and the skill []."""
        task_key, skill_key, unroll_key = jax.random.split(key, 3)
        skill = jax.random.randint(skill_key, (), 0, self.config.num_skills)

        def act(key: Key, obs: Array) -> tuple[Array, Array]:
            action = self.agent.policy.apply(policy, self._condition(obs, skill)).sample(key)
            return action, jnp.float32(0.0)  # off-policy: no log-probability is used

        steps, _ = unroll(unroll_key, act, self.family, self.family.sample(task_key, "train"))
        return steps, skill

    def _stored(self, steps: Transition, skill: Array) -> Stored:
        skills = jnp.full(steps.reward.shape, skill)
        return Stored(steps.obs, steps.action, steps.discount, steps.next_obs, skills)

    def _optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.config.discriminator_learning_rate)

    def _learn(self, key: Key, state: State) -> tuple[State, Metrics]:
        """One gradient step of q on its cross-entropy, and one of SAC on log q(z|f(s')) - log p(z)."""
        sample_key, noise_key, sac_key = jax.random.split(key, 3)
        batch: Stored = replay.sample(sample_key, state.buffer, self.config.batch_size)
        label = jax.nn.one_hot(batch.skill, self.config.num_skills)
        features = self.family.features[self.config.discriminate](batch.next_obs)
        features += self.config.feature_noise * jax.random.normal(noise_key, features.shape)

        def cross_entropy(params: Params) -> tuple[Array, Array]:
            log_q = jnp.sum(self._log_q_of(params, features) * label, axis=-1)
            return -log_q.mean(), log_q

        (loss, log_q), grads = jax.value_and_grad(cross_entropy, has_aux=True)(state.discriminator)
        updates, optimizer = self._optimizer().update(grads, state.discriminator_optimizer)
        discriminator = optax.apply_updates(state.discriminator, updates)
        sac_batch = sac.Batch(
            obs=self._condition(batch.obs, batch.skill),
            action=batch.action,
            reward=log_q + jnp.log(self.config.num_skills),
            discount=batch.discount,
            next_obs=self._condition(batch.next_obs, batch.skill),
        )
        agent, metrics = self.agent.update(sac_key, state.sac, sac_batch)
        metrics["discriminator_loss"] = loss
        return State(agent, discriminator, optimizer, state.buffer), metrics


def make(config: Config, family: TaskFamily) -> SkillLearner:
    """DIAYN on a family, plain or lifted.

    Raises:
        ValueError: the family lacks a feature, or the buffer is smaller than one update.
    """
    steps = config.episodes_per_update * family.horizon
    replay.must_hold(config.buffer_capacity, steps)
    feature_of_q = feature_size(family, "algorithm.discriminate", config.discriminate)
    seen = feature_size(family, "algorithm.observe", config.observe)
    agent = sac.make(seen + config.num_skills, family.action, config.sac)
    discriminator = networks.mlp(feature_of_q, config.discriminator_hidden, config.num_skills)
    learner = Diayn(config, family, agent, discriminator)
    return SkillLearner(
        learner.init,
        learner.step,
        steps_per_update=steps,
        freeze=learner.freeze,
        skills=learner.skills,
        discriminate=learner.discriminate,
    )
