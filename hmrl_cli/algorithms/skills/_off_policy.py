"""Skills learned by soft actor-critic from replayed transitions.

Each algorithm is one file that defines an `Objective`: the intrinsic reward and how it is learned.  Episodes,
replay, policy and critics are the same for all algorithms.  The reward of a replayed transition is computed
at the gradient step, by what the objective has learned until then.

Skills that are places can be learned in hindsight (Andrychowicz et al. 2017, 1707.01495).  A replayed step
may count as one of a skill whose place the episode met later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.skills._spaces import redrawn
from hmrl_cli.environment.features import feature_size
from hmrl_cli.environment.rollout import unroll
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, replay, sac
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.sac import Config as SACConfig
from hmrl_cli.schema import AlgorithmConfig
from hmrl_cli.types import Continuous, SkillLearner, SkillLibrary, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.algorithms.skills._spaces import Place, Space
    from hmrl_cli.types import Array, Distribution, Key, Metrics, Params


OF_SAC = ("gradient_steps", "batch_size", "buffer_capacity", "sac")  # settings that PPO does not have


class Config(AlgorithmConfig):
    """Settings that all objectives share."""

    command: ClassVar[str] = "pretrain-skills"
    metric: ClassVar[str] = "mutual_information"
    observe: str = Field("identity", description="feature of the observation that the policy sees")
    episodes_per_update: int = Field(16, gt=0, le=100_000, description="parallel episodes per update")
    gradient_steps: int = Field(200, gt=0, le=100_000, description="gradient steps per update")
    batch_size: int = Field(256, gt=0, le=1_000_000, description="transitions per gradient step")
    buffer_capacity: int = Field(
        200_000, gt=0, le=100_000_000, description="transitions in the replay buffer"
    )
    sac: SACConfig = Field(SACConfig(), description="settings of SAC, which trains the policy")


class Stored(NamedTuple):
    """A step in the replay buffer; its reward comes from the objective at the time of the update."""

    obs: Array  # [obs_size]
    action: Array  # [action_size], or [] int32
    discount: Array  # []
    next_obs: Array  # [obs_size]
    skill: Array  # [] int32, or [skill size]
    later: Array | None = None  # [skill size], a skill whose place the episode met later; None: not kept


class Reward(NamedTuple):
    """The intrinsic reward of replayed transitions."""

    value: Array  # [B], or [B, C] components
    weights: Array | None = None  # [B, C] of the components; None: there are none


class Objective(NamedTuple):
    """An intrinsic objective of skills, as pure functions of the learner's state.

    The state is a NamedTuple with the fields `sac` and `buffer`, and the fields of the objective.
    """

    space: Space
    init: Callable[[Key, sac.State, replay.Buffer], Any]  # -> state
    # state, new steps [N, T], valid [N, T] -> state, metrics
    absorb: Callable[[Any, Stored, Array], tuple[Any, Metrics]]
    # key, state, replayed steps [B] -> state after one gradient step, the reward of the steps, metrics
    learn: Callable[[Key, Any, Stored], tuple[Any, Reward, Metrics]]
    log_q: Callable[[Any, Array], Array]  # state, path [..., T + 1, obs_size] -> [..., T, M]
    num_rewards: int = 0  # C, components of the reward; 0: the critics learn its sum
    # state -> moments by which the policy's observations are normalised; None: they are not
    observed: Callable[[Any], Moments] | None = None
    toward: Callable[[Any, Array, Array], Array] | None = None  # as `SkillLearner.toward`
    redraw: float = 0.0  # probability before each step that the skill is drawn anew
    place: Place | None = None  # None: the policy sees the encoding of the space
    hindsight: float = 0.0  # share of replayed steps whose skill is a place that was met later; needs `place`


class OffPolicy(NamedTuple):
    """The learner, bound to its family and its objective."""

    config: Config
    family: TaskFamily
    objective: Objective
    agent: sac.SoftActorCritic

    def init(self, key: Key) -> Any:
        """Fresh networks and an empty buffer."""
        agent_key, objective_key = jax.random.split(key)
        obs, skill = jnp.zeros(self.family.obs_size), self.objective.space.examples[0]
        blank = jnp.zeros_like(skill)
        later = blank if self.objective.hindsight else None
        example = Stored(obs, replay.blank(self.family.action), jnp.float32(0), obs, blank, later)
        buffer = replay.init(example, self.config.buffer_capacity)
        return self.objective.init(objective_key, self.agent.init(agent_key), buffer)

    def step(self, key: Key, state: Any) -> tuple[Any, Metrics]:
        """One episode in each environment, then gradient steps on replayed transitions."""
        episode_key, learn_key = jax.random.split(key)
        keys = jax.random.split(episode_key, self.config.episodes_per_update)
        steps, fresh = jax.vmap(self._episode, in_axes=(0, None))(keys, self.freeze(state))
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (fresh, steps.valid))
        state = state._replace(buffer=replay.add(state.buffer, *flat))
        state, of_episodes = self.objective.absorb(state, fresh, steps.valid)

        def gradient_step(state: Any, t: Array) -> tuple[Any, Metrics]:
            return self._learn(jax.random.fold_in(learn_key, t), state)

        state, metrics = jax.lax.scan(gradient_step, state, jnp.arange(self.config.gradient_steps))
        return state, of_episodes | jax.tree.map(jnp.mean, metrics)

    def freeze(self, state: Any) -> Params:
        """The parameters that the skills' policy needs."""
        if self.objective.observed is None:
            return state.sac.policy
        frozen = {"policy": state.sac.policy, "observed": self.objective.observed(state)}
        if self.objective.place is not None:
            frozen["place"] = self.objective.place.freeze(state)
        return frozen

    def skills(self, params: Params) -> SkillLibrary:
        """The frozen skills."""
        space, place = self.objective.space, self.objective.place

        def policy(params: Params, obs: Array, skill: Array) -> Distribution:
            own = params if self.objective.observed is None else params["policy"]
            return self.agent.policy.apply(own, self._condition(params, obs, skill))

        def locate(params: Params, obs: Array) -> Array:
            assert place is not None
            return place.locate(params["place"], obs)

        examples = jnp.asarray(space.examples)
        return SkillLibrary(policy, params, space.skill, examples, None if place is None else locate)

    def _condition(self, params: Params, obs: Array, skill: Array) -> Array:
        """Input of policy and critics: the observed feature and the encoded skill."""
        normal = obs if self.objective.observed is None else moments.normalize(params["observed"], obs)
        seen = self.family.features[self.config.observe](normal)
        encoded = self.objective.space.encode(skill)
        if self.objective.place is not None:
            encoded = self.objective.place.way(params["place"], obs, encoded)
        return jnp.concatenate([seen, encoded], axis=-1)

    def _episode(self, key: Key, params: Params) -> tuple[Transition, Stored]:
        """One episode of random skills on a training task, and its steps; the task's reward is ignored."""
        task_key, skill_key, unroll_key, later_key = jax.random.split(key, 4)
        space, library, horizon = self.objective.space, self.skills(params), self.family.horizon
        skill = space.draw(skill_key, 1)
        if self.objective.redraw:
            skills = redrawn(skill_key, space, skill, horizon, self.objective.redraw)[0]
        else:
            skills = jnp.broadcast_to(skill, (horizon, *skill.shape[1:]))

        def act(key: Key, obs: Array, skill: Array) -> tuple[Array, Array]:
            action = library.policy(library.params, obs, skill).sample(key)
            return action, jnp.float32(0.0)  # off-policy: no log-probability is used

        task = self.family.sample(task_key, "train")
        steps, _ = unroll(unroll_key, act, self.family, task, commands=skills)
        later = self._met_later(later_key, library, steps)
        return steps, Stored(steps.obs, steps.action, steps.discount, steps.next_obs, skills, later)

    def _met_later(self, key: Key, library: SkillLibrary, steps: Transition) -> Array | None:
        """For each step [T] a skill whose place was met at it or later; None without hindsight.

        A place beyond the box of skills counts as the nearest place within.
        """
        if not self.objective.hindsight:
            return None
        assert library.locate is not None and isinstance(library.skill, Continuous), "skills must be places"
        count = steps.valid.sum().astype(jnp.int32)
        now = jnp.arange(self.family.horizon)
        when = jax.random.randint(key, now.shape, now, jnp.maximum(count, now + 1))
        met = library.locate(library.params, steps.next_obs)[when]
        return jnp.clip(met, -library.skill.bound, library.skill.bound)

    def _learn(self, key: Key, state: Any) -> tuple[Any, Metrics]:
        """One gradient step of the objective, and one of SAC on its reward."""
        sample_key, objective_key, sac_key, relabel_key = jax.random.split(key, 4)
        batch: Stored = replay.sample(sample_key, state.buffer, self.config.batch_size)
        if batch.later is not None:
            share = self.objective.hindsight
            relabelled = jax.random.bernoulli(relabel_key, share, batch.discount.shape)
            batch = batch._replace(skill=jnp.where(relabelled[:, None], batch.later, batch.skill))
        state, reward, learned = self.objective.learn(objective_key, state, batch)
        params = self.freeze(state)
        sac_batch = sac.Batch(
            obs=self._condition(params, batch.obs, batch.skill),
            action=batch.action,
            reward=reward.value,
            discount=batch.discount,
            next_obs=self._condition(params, batch.next_obs, batch.skill),
            weights=reward.weights,
        )
        agent, metrics = self.agent.update(sac_key, state.sac, sac_batch)
        return state._replace(sac=agent), metrics | learned


def make(config: Config, family: TaskFamily, objective: Objective) -> SkillLearner:
    """The learner of an objective on a family, plain or lifted.

    Raises:
        ValueError: the family lacks a feature, or the buffer is smaller than one update.
    """
    steps = config.episodes_per_update * family.horizon
    replay.must_hold(config.buffer_capacity, steps)
    seen = feature_size(family, "algorithm.observe", config.observe)
    encoded = objective.space.encoded_size
    agent = sac.make(seen + encoded, family.action, config.sac, objective.num_rewards)
    learner = OffPolicy(config, family, objective, agent)
    return SkillLearner(
        learner.init,
        learner.step,
        steps_per_update=steps,
        freeze=learner.freeze,
        skills=learner.skills,
        discriminate=objective.log_q,
        draw=objective.space.draw,
        toward=objective.toward,
    )
