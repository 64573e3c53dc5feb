"""Skills learned by proximal policy optimisation in parallel environments, without replay.

Each algorithm is one file that defines an `Objective`: the intrinsic reward and how it is learned.  Episodes,
policy, critic and normalisation are the same for all algorithms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.skills._spaces import redrawn
from hmrl_cli.compute.devices import side_by_side
from hmrl_cli.environment.features import feature_size
from hmrl_cli.environment.rollout import unroll
from hmrl_cli.lazy import jax, jnp, optax
from hmrl_cli.learning import moments, ppo
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.ppo import Config as PPOConfig
from hmrl_cli.learning.returns import masked_mean
from hmrl_cli.schema import AlgorithmConfig
from hmrl_cli.types import Discrete, SkillLearner, SkillLibrary, TaskFamily, Transition

if TYPE_CHECKING:
    from hmrl_cli.algorithms.skills._spaces import Place, Space
    from hmrl_cli.types import Array, Distribution, Key, Metrics, Params

SKILL_SCALE = 2.0  # scale of the encoded skill, relative to observations of unit variance


class Config(AlgorithmConfig):
    """Settings that all objectives share."""

    command: ClassVar[str] = "pretrain-skills"
    metric: ClassVar[str] = "mutual_information"
    observe: str = Field("body", description="feature of the observation that the policy sees")
    episodes_per_update: int = Field(64, gt=0, le=100_000, description="parallel episodes per update")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="learning rate of the objective (Adam)")
    ppo: PPOConfig = Field(PPOConfig(), description="settings of PPO, which trains the policy")


class Objective(NamedTuple):
    """An intrinsic objective of skills, as pure functions of its own state.

    A path [N, T + 1, obs_size] contains the observations of episodes from the reset on.  `valid` [N, T] is 1
    for steps before an early end.  `skills` are [N] int32 or [N, skill size]; with `redraw`, [N, T, skill
    size].
    """

    space: Space
    init: Callable[[Key], Any]
    # key, state, skills, path, valid -> components of the reward [N, T, C], and their weights [N, C]
    reward: Callable[[Key, Any, Array, Array, Array], tuple[Array, Array]]
    # the same arguments -> state, metrics
    learn: Callable[[Key, Any, Array, Array, Array], tuple[Any, Metrics]]
    log_q: Callable[[Any, Array], Array]  # state, path [..., T + 1, obs_size] -> [..., T, M]
    num_rewards: int = 1  # C, components of the reward
    draw: Callable[[Key, Any, int], Array] | None = None  # key, state, N -> skills; None: uniformly
    redraw: float = 0.0  # probability before each step that the skill is drawn anew
    fall_price: float = 0.0  # what an early end subtracts from the reward's first component
    place: Place | None = None  # None: the policy sees the encoding of the space
    toward: Callable[[Any, Array, Array], Array] | None = None  # as `SkillLearner.toward`, of its own state


class Learned(NamedTuple):
    """Parameters that an objective learns by gradient, and the moments of their inputs."""

    params: Params
    optimizer: Any
    observed: Moments


def begin(params: Params, size: int) -> Learned:
    """Initial state for parameters whose inputs are [size]."""
    return Learned(params, optax.scale_by_adam().init(params), moments.initial(size))


def descend(
    key: Key,
    learned: Learned,
    loss: Callable[[Params, Any], tuple[Array, Metrics]],
    rows: Any,
    config: Config,
    minibatches: int | None = None,
) -> tuple[Learned, Metrics]:
    """Minimise a loss by Adam, with as many passes over the rows as PPO makes.

    Args:
        key: shuffles the rows.
        learned: parameters, optimizer state and moments.
        loss: parameters, minibatch -> loss [], metrics.
        rows: leaves [R, ...].
        config: gives the learning rate and the number of passes.
        minibatches: minibatches in one pass; None: as many as PPO has.

    Returns:
        the new state, and the metrics of the last pass.
    """

    def step(mean: ppo.Mean, learned: Learned, minibatch: Any) -> tuple[Learned, Metrics]:
        return gradient_step(learned, loss, minibatch, config)

    count = config.ppo.minibatches if minibatches is None else minibatches
    learned, metrics = ppo.in_minibatches(key, step, learned, rows, passes=config.ppo.epochs, count=count)
    return learned, jax.tree.map(lambda x: x[-1].mean(), metrics)


def gradient_step(
    learned: Learned, loss: Callable[[Params, Any], tuple[Array, Metrics]], rows: Any, config: Config
) -> tuple[Learned, Metrics]:
    """One step of Adam on `loss(params, rows)`, as `descend` takes them."""
    grads, metrics = jax.grad(loss, has_aux=True)(learned.params, rows)
    updates, optimizer = optax.scale_by_adam().update(grads, learned.optimizer)
    updates = jax.tree.map(lambda x: -config.learning_rate * x, updates)
    return Learned(optax.apply_updates(learned.params, updates), optimizer, learned.observed), metrics


class State(NamedTuple):
    """Training state of one seed."""

    agent: ppo.State
    objective: Any
    observed: Moments


class OnPolicy(NamedTuple):
    """The learner, bound to its family and its objective."""

    config: Config
    family: TaskFamily
    objective: Objective
    agent: ppo.PPO

    def init(self, key: Key) -> State:
        """Fresh networks."""
        agent_key, objective_key = jax.random.split(key)
        observed = moments.initial(self.family.obs_size)
        return State(self.agent.init(agent_key), self.objective.init(objective_key), observed)

    def step(self, key: Key, state: State) -> tuple[State, Metrics]:
        """One episode in each environment, then updates of policy and objective from these episodes."""
        draw_key, episode_key, reward_key, policy_key, objective_key = jax.random.split(key, 5)
        count = self.config.episodes_per_update
        skills = self._draw(draw_key, state.objective, count)
        if self.objective.redraw:
            space, horizon = self.objective.space, self.family.horizon
            skills = redrawn(draw_key, space, skills, horizon, self.objective.redraw)
        keys = jax.random.split(episode_key, count)
        steps = side_by_side(self._episode, self.freeze(state), keys, skills)
        path = jnp.concatenate([steps.obs[:, :1], steps.next_obs], axis=1)
        reward, reward_weights = self.reward(reward_key, state, skills, path, steps)
        agent, learned = self.agent.update(
            policy_key, state.agent, self._batch(state, steps, skills, reward, reward_weights)
        )
        objective, metrics = self.objective.learn(objective_key, state.objective, skills, path, steps.valid)
        metrics["intrinsic_reward"] = masked_mean(
            jnp.sum(reward * reward_weights[:, None], axis=-1), steps.valid
        )
        observed = moments.absorb(state.observed, steps.obs, steps.valid)
        return State(agent, objective, observed), metrics | learned

    def reward(
        self, key: Key, state: State, skills: Array, path: Array, steps: Transition
    ) -> tuple[Array, Array]:
        """The objective's reward [N, T, C], less the price of early ends, and its weights [N, C]."""
        reward, weights = self.objective.reward(key, state.objective, skills, path, steps.valid)
        if self.objective.fall_price:
            ended = steps.valid * (1.0 - steps.discount)
            reward = reward.at[..., 0].add(-self.objective.fall_price * ended)
        return reward, weights

    def _draw(self, key: Key, objective: Any, count: int) -> Array:
        """Skills of `count` episodes."""
        if self.objective.draw is None:
            return self.objective.space.draw(key, count)
        return self.objective.draw(key, objective, count)

    def freeze(self, state: State) -> Params:
        """The parameters that the skills' policy needs."""
        frozen = {"policy": state.agent.policy, "observed": state.observed}
        if self.objective.place is not None:
            frozen["place"] = self.objective.place.freeze(state.objective)
        return frozen

    def skills(self, params: Params) -> SkillLibrary:
        """The frozen skills."""
        space, place = self.objective.space, self.objective.place

        def policy(params: Params, obs: Array, skill: Array) -> Distribution:
            return self.agent.policy.apply(params["policy"], self._condition(params, obs, skill))

        def locate(params: Params, obs: Array) -> Array:
            assert place is not None
            return place.locate(params["place"], obs)

        return SkillLibrary(policy, params, space.skill, space.examples, None if place is None else locate)

    def fold(self, params: Params, skill: Array) -> Params:
        """One skill as a policy of the observation alone: the skill is folded into the first layer."""
        # features that a policy observes are linear functions of the observation
        nowhere = jnp.zeros(self.family.obs_size)
        feature = jax.jacobian(self.family.features[self.config.observe])(nowhere)
        net = params["policy"]["net"]
        first = net["layers_0"]
        of_feature, of_skill = jnp.split(first["kernel"], [len(feature)])
        folded = {
            "kernel": feature.T @ of_feature,
            "bias": first["bias"] + self._command(params, nowhere, skill) @ of_skill,
        }
        if self.objective.place is not None:
            slope = jax.jacobian(self._command, argnums=1)(params, nowhere, skill)
            # the policy sees normalised observations, but `way` takes the original ones
            mean, std = moments.scale(params["observed"])
            folded["kernel"] += std[:, None] * (slope.T @ of_skill)
            folded["bias"] += slope @ mean @ of_skill
        policy = params["policy"] | {"net": net | {"layers_0": folded}}
        return {"policy": policy, "observed": params["observed"]}

    def discriminate(self, state: State, obs: Array) -> Array:
        """log q(z|.) of the examples [..., T, M] after the steps of an episode [..., T + 1, obs_size]."""
        return self.objective.log_q(state.objective, obs)

    def _condition(self, params: Params, obs: Array, skill: Array) -> Array:
        """Input of the policy: the observed feature, normalised, and the encoded skill."""
        seen = self.family.features[self.config.observe](moments.normalize(params["observed"], obs))
        return jnp.concatenate([seen, self._command(params, obs, skill)], axis=-1)

    def _command(self, params: Params, obs: Array, skill: Array) -> Array:
        """A skill as networks see it [..., E]."""
        encoded = self.objective.space.encode(skill)
        if self.objective.place is not None:
            encoded = self.objective.place.way(params["place"], obs, encoded)
        return SKILL_SCALE * encoded

    def _episode(self, params: Params, key: Key, skill: Array) -> Transition:
        """One episode on a training task, with one skill [size], or one for each step [T, size].

        The reward of the task is ignored.
        """
        task_key, unroll_key = jax.random.split(key)
        library = self.skills(params)
        commands = skill if self.objective.redraw else None

        def act(key: Key, obs: Array, command: Array = skill) -> tuple[Array, Array]:
            return library.policy(library.params, obs, command).sample_with_log_prob(key)

        task = self.family.sample(task_key, "train")
        return unroll(unroll_key, act, self.family, task, commands=commands)[0]

    def _batch(
        self, state: State, steps: Transition, skills: Array, reward: Array, reward_weights: Array
    ) -> ppo.Batch:
        """The batch for PPO; the critic also sees the whole observation and the time."""
        params = self.freeze(state)
        if not self.objective.redraw:
            skills = jnp.broadcast_to(jnp.expand_dims(skills, 1), (*steps.reward.shape, *skills.shape[1:]))
        command = self._command(params, steps.obs, skills)
        seen = jnp.concatenate([moments.normalize(state.observed, steps.obs), command], axis=-1)
        return ppo.Batch(
            obs=self._condition(params, steps.obs, skills),
            critic_obs=ppo.with_time(seen),
            action=steps.action,
            log_prob=steps.log_prob,
            reward=reward,
            reward_weights=reward_weights,
            discount=steps.discount,
            valid=steps.valid,
        )


def make(config: Config, family: TaskFamily, objective: Objective) -> SkillLearner:
    """The learner of an objective on a family, plain or lifted.

    Raises:
        ValueError: the family lacks a feature, there are more skills than episodes in an update, or the
            minibatches do not divide the steps.
    """
    skill = objective.space.skill
    if isinstance(skill, Discrete) and skill.size > config.episodes_per_update:
        raise ValueError(
            f"algorithm.episodes_per_update: found {config.episodes_per_update}; "
            f"must be at least the number of skills, {skill.size}, so that every skill acts"
        )
    steps = config.episodes_per_update * family.horizon
    ppo.must_divide(config.ppo, steps)
    seen = feature_size(family, "algorithm.observe", config.observe)
    command, toward = objective.space.encoded_size, objective.toward
    agent = ppo.make(
        seen + command, family.obs_size + command + 1, family.action, config.ppo, objective.num_rewards
    )
    learner = OnPolicy(config, family, objective, agent)
    return SkillLearner(
        learner.init,
        learner.step,
        steps_per_update=steps,
        freeze=learner.freeze,
        skills=learner.skills,
        discriminate=learner.discriminate,
        fold=learner.fold if objective.place is None or objective.place.is_affine else None,
        draw=objective.space.draw,
        toward=None if toward is None else lambda state, obs, goal: toward(state.objective, obs, goal),
    )
