"""DIAYN on proximal policy optimisation: skills from many environments at once, without replay.

The objective is DIAYN's (Eysenbach et al. 2019, 1802.06070) with a discriminator that is told what to
look at: q(z|s) = softmax_z(sharpness w_z . v) of prototypes w_z of unit length and the mean v of a feature
over the last steps.  Any q gives a lower bound of I(S;Z); this one rewards a skill from the first step on for
moving its own way, and the more the further it gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import pydantic
from pydantic import Field

from hmrl_cli import ppo
from hmrl_cli.algorithms._features import feature_size
from hmrl_cli.config import Strict
from hmrl_cli.empowerment import lower_bound
from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.moments import Moments, absorb, initial, normalize
from hmrl_cli.ppo import Config as PPOConfig
from hmrl_cli.rollout import unroll
from hmrl_cli.types import Discrete, SkillLearner, SkillLibrary, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params

SKILL_SCALE = 2.0  # of the one-hot skill, beside observations of unit variance


class Config(Strict):
    """Settings of DIAYN with proximal policy optimisation."""

    command: ClassVar[str] = "pretrain-skills"
    name: Literal["diayn_ppo"] = "diayn_ppo"
    num_skills: int = Field(8, ge=2, le=1000, description="skills, drawn evenly: p(z) is fixed")
    discriminate: str = Field("velocity", description="feature of the observation that q(z|.) sees")
    window: int = Field(20, gt=0, le=10_000, description="steps over which q averages that feature")
    sharpness: float = Field(2.0, gt=0, le=1000, description="factor of the discriminator's logits")
    observe: str = Field("body", description="feature of the observation that the policy sees")
    episodes_per_update: int = Field(64, gt=0, le=100_000, description="parallel episodes per update")
    discriminator_learning_rate: float = Field(1e-3, gt=0, lt=1, description="of the prototypes (Adam)")
    ppo: PPOConfig = Field(PPOConfig(), description="the policy's learner")

    @pydantic.model_validator(mode="after")
    def _every_skill_acts(self) -> Self:
        if self.num_skills > self.episodes_per_update:
            raise ValueError(
                f"episodes_per_update: found {self.episodes_per_update}; "
                f"must be at least num_skills, {self.num_skills}, so that every skill acts"
            )
        return self


class State(NamedTuple):
    """Everything that training carries on."""

    agent: ppo.State
    prototypes: Array  # [num_skills, F]
    prototypes_optimizer: Any
    moments: Moments


class DiaynPPO(NamedTuple):
    """The learner, bound to its family."""

    config: Config
    family: TaskFamily
    agent: ppo.PPO
    feature_size: int

    def init(self, key: Key) -> State:
        """Fresh networks, and prototypes evenly around the circle of the feature's first two axes."""
        agent_key, prototype_key = jax.random.split(key)
        prototypes = _spread(prototype_key, self.config.num_skills, self.feature_size)
        return State(
            self.agent.init(agent_key),
            prototypes,
            self._optimizer().init(prototypes),
            initial(self.family.obs_size),
        )

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """Run one episode in each environment, then learn from them and forget them."""
        episode_key, learn_key = jax.random.split(key)
        count = self.config.episodes_per_update
        skills = jnp.arange(count) % self.config.num_skills  # each as often as the others
        keys = jax.random.split(episode_key, count)
        steps = jax.vmap(self._episode, in_axes=(0, 0, None))(keys, skills, state)

        log_q = self.log_q(state.prototypes, steps.next_obs)
        own = self._own(log_q, skills)
        right = (log_q.argmax(axis=-1) == skills[:, None]) * steps.valid
        metrics = {
            "discriminator_accuracy": right.sum() / jnp.maximum(steps.valid.sum(), 1.0),
            "mutual_information": lower_bound(own, -jnp.log(self.config.num_skills), steps.valid),
        }
        reward = own + jnp.log(self.config.num_skills)
        agent, learned = self.agent.update(
            learn_key, state.agent, self._batch(state.moments, steps, skills, reward)
        )
        prototypes, optimizer = self._separate(state, steps, skills)
        return State(
            agent, prototypes, optimizer, absorb(state.moments, steps.obs, steps.valid)
        ), metrics | learned

    def log_q(self, prototypes: Array, next_obs: Array) -> Array:
        """log q(z | s') [..., T, num_skills] along an episode's observations [..., T, obs_size]."""
        feature = self.family.features[self.config.discriminate](next_obs)
        seen = _trailing_mean(feature, self.config.window)
        unit = prototypes / jnp.linalg.norm(prototypes, axis=-1, keepdims=True)
        return jax.nn.log_softmax(self.config.sharpness * seen @ unit.T)

    def freeze(self, state: State) -> Params:
        """What acting with the skills takes."""
        return {"policy": state.agent.policy, "mean": state.moments.mean, "variance": state.moments.variance}

    def skills(self, params: Params) -> SkillLibrary:
        """The frozen skills."""

        def act(params: Params, key: Key | None, obs: Array, skill: Array) -> Array:
            moments = Moments(jnp.float32(0), params["mean"], params["variance"])
            pi = self.agent.policy.apply(params["policy"], self._condition(moments, obs, skill))
            return pi.mode() if key is None else pi.sample(key)

        return SkillLibrary(act, params, Discrete(self.config.num_skills))

    def discriminate(self, state: State, next_obs: Array) -> Array:
        """log q(z | s') [..., T, num_skills] of the trained discriminator."""
        return self.log_q(state.prototypes, next_obs)

    def _condition(self, moments: Moments, obs: Array, skill: Array) -> Array:
        """What the policy sees: the observed feature, normalised, and the skill, one-hot."""
        one_hot = SKILL_SCALE * jax.nn.one_hot(skill, self.config.num_skills)
        seen = self.family.features[self.config.observe](normalize(moments, obs))
        return jnp.concatenate([seen, one_hot], axis=-1)

    def _episode(self, key: Key, skill: Array, state: State) -> Transition:
        """One episode of one skill on a training task; its reward is not looked at."""
        task_key, unroll_key = jax.random.split(key)

        def act(key: Key, obs: Array) -> tuple[Array, Array]:
            pi = self.agent.policy.apply(state.agent.policy, self._condition(state.moments, obs, skill))
            action = pi.sample(key)
            return action, pi.log_prob(action)

        return unroll(unroll_key, act, self.family, self.family.sample(task_key, "train"))[0]

    def _batch(self, moments: Moments, steps: Transition, skills: Array, reward: Array) -> ppo.Batch:
        """The episodes as the learner sees them; the critic also sees where the body is, and the time."""
        of_step = jnp.broadcast_to(skills[:, None], reward.shape)
        time = jnp.arange(self.family.horizon, dtype=jnp.float32) / self.family.horizon
        time = jnp.broadcast_to(time[None, :, None], (*reward.shape, 1))
        one_hot = SKILL_SCALE * jax.nn.one_hot(of_step, self.config.num_skills)
        return ppo.Batch(
            obs=self._condition(moments, steps.obs, of_step),
            critic_obs=jnp.concatenate([normalize(moments, steps.obs), one_hot, time], axis=-1),
            action=steps.action,
            log_prob=steps.log_prob,
            reward=reward,
            discount=steps.discount,
            valid=steps.valid,
        )

    def _own(self, log_q: Array, skills: Array) -> Array:
        """What q says of each episode's own skill [N, T]."""
        return jnp.sum(log_q * jax.nn.one_hot(skills, self.config.num_skills)[:, None], axis=-1)

    def _separate(self, state: State, steps: Transition, skills: Array) -> tuple[Array, Any]:
        """As many gradient steps on q's cross-entropy as the policy makes passes."""

        def cross_entropy(prototypes: Array) -> Array:
            own = self._own(self.log_q(prototypes, steps.next_obs), skills)
            return -jnp.sum(own * steps.valid) / jnp.maximum(steps.valid.sum(), 1.0)

        def descend(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], None]:
            prototypes, optimizer = carry
            updates, optimizer = self._optimizer().update(jax.grad(cross_entropy)(prototypes), optimizer)
            return (optax.apply_updates(prototypes, updates), optimizer), None

        start = (state.prototypes, state.prototypes_optimizer)
        return jax.lax.scan(descend, start, None, length=self.config.ppo.epochs)[0]

    def _optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.config.discriminator_learning_rate)


def _spread(key: Key, count: int, size: int) -> Array:
    """Unit vectors [count, size], even around the circle where there is one, else at random."""
    if size == 2:
        angle = 2 * jnp.pi * jnp.arange(count, dtype=jnp.float32) / count
        return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    vectors = jax.random.normal(key, (count, size))
    return vectors / jnp.linalg.norm(vectors, axis=-1, keepdims=True)


def _trailing_mean(x: Array, window: int) -> Array:
    """Mean over the last `window` steps, or over all there have been, of x [..., T, F]."""
    total = jnp.cumsum(x, axis=-2)
    steps = x.shape[-2]
    before = jnp.concatenate([jnp.zeros_like(total[..., :window, :]), total[..., :-window, :]], axis=-2)
    return (total - before[..., :steps, :]) / jnp.minimum(jnp.arange(steps) + 1.0, window)[:, None]


def build(config: Config, family: TaskFamily) -> SkillLearner:
    """DIAYN on a family, plain or lifted, on proximal policy optimisation.

    Raises ValueError for a feature that the family does not have, and for steps that make no whole minibatch.
    """
    steps = config.episodes_per_update * family.horizon
    if steps % config.ppo.minibatches:
        raise ValueError(
            f"algorithm.ppo.minibatches: found {config.ppo.minibatches}; "
            f"must divide the {steps} steps of an update"
        )
    seen = feature_size(family, "observe", config.observe)
    told = feature_size(family, "discriminate", config.discriminate)
    agent = ppo.make(
        seen + config.num_skills, family.obs_size + config.num_skills + 1, family.action, config.ppo
    )
    learner = DiaynPPO(config, family, agent, told)
    return SkillLearner(
        learner.init,
        learner.step,
        steps_per_update=steps,
        freeze=learner.freeze,
        skills=learner.skills,
        discriminate=learner.discriminate,
    )
