"""Skills learned by proximal policy optimisation: many environments at once, no replay.

What the skills are learned for, an `Objective`, is one file for each algorithm; episodes, policy, critic
and normalisation are the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

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
    from hmrl_cli.algorithms.skills._spaces import Space
    from hmrl_cli.types import Array, Distribution, Key, Metrics, Params

SKILL_SCALE = 2.0  # of the encoded skill, beside observations of unit variance


class Config(AlgorithmConfig):
    """Settings of every objective's learner."""

    command: ClassVar[str] = "pretrain-skills"
    observe: str = Field("body", description="feature of the observation that the policy sees")
    episodes_per_update: int = Field(64, gt=0, le=100_000, description="parallel episodes per update")
    learning_rate: float = Field(1e-3, gt=0, lt=1, description="of what the objective learns (Adam)")
    ppo: PPOConfig = Field(PPOConfig(), description="the policy's learner")


class Objective(NamedTuple):
    """What skills are learned for: pure functions of the objective's own state.

    A path [N, T + 1, obs_size] holds the observations of episodes from the reset on; `valid` [N, T] is 1
    where a step counts; `skills` are [N] int32 or [N, skill size], or with `redraw` [N, T, skill size].
    """

    space: Space
    init: Callable[[Key], Any]
    # key, state, skills, path, valid -> reward [N, T, C], and the reward_weights of its parts [N, C]
    reward: Callable[[Key, Any, Array, Array, Array], tuple[Array, Array]]
    learn: Callable[[Key, Any, Array, Array, Array], tuple[Any, Metrics]]  # the same -> state
    log_q: Callable[[Any, Array], Array]  # state, path [..., T + 1, obs_size] -> [..., T, M], of the examples
    num_rewards: int = 1  # C
    draw: Callable[[Key, Any, int], Array] | None = None  # key, state, N -> skills; None: evenly
    redraw: float = 0.0  # chance before each step that an episode goes on with another skill
    place: Place | None = None  # None: the policy sees the skill as the space encodes it


class Place(NamedTuple):
    """How skills that lead to places see the way there: pure functions of what is frozen of the objective."""

    freeze: Callable[[Any], Params]  # of the objective's state
    # observations [..., obs_size] -> skills [..., size] that stay there
    locate: Callable[[Params, Array], Array]
    way: Callable[[Params, Array, Array], Array]  # observations, skills -> [..., E], which the policy sees
    is_affine: bool  # whether `way` is an affine function of the observation


class Learned(NamedTuple):
    """Parameters that an objective learns by gradient, and the moments of what they see."""

    params: Params
    optimizer: Any
    observed: Moments


def begin(params: Params, size: int) -> Learned:
    """Fresh: for parameters that see [size] numbers."""
    return Learned(params, optax.scale_by_adam().init(params), moments.initial(size))


def descend(
    key: Key,
    learned: Learned,
    loss: Callable[[Params, Any], tuple[Array, Metrics]],
    rows: Any,
    config: Config,
    minibatches: int | None = None,
) -> tuple[Learned, Metrics]:
    """As many passes over the rows as the policy makes, in as many minibatches if no number is given.

    Args:
        key: shuffles.
        learned: what is learned.
        loss: of the parameters and some rows, with metrics.
        rows: leaves [R, ...].
        config: says how fast, and how often.
        minibatches: of a pass.

    Returns:
        the new state, and the metrics of the last pass.
    """
    adam = optax.scale_by_adam()

    def step(learned: Learned, minibatch: Any) -> tuple[Learned, Metrics]:
        grads, metrics = jax.grad(loss, has_aux=True)(learned.params, minibatch)
        updates, optimizer = adam.update(grads, learned.optimizer)
        updates = jax.tree.map(lambda x: -config.learning_rate * x, updates)
        return Learned(optax.apply_updates(learned.params, updates), optimizer, learned.observed), metrics

    count = config.ppo.minibatches if minibatches is None else minibatches
    learned, metrics = ppo.in_minibatches(key, step, learned, rows, passes=config.ppo.epochs, count=count)
    return learned, jax.tree.map(lambda x: x[-1].mean(), metrics)


class State(NamedTuple):
    """Everything that training carries on."""

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
        """Run one episode in each environment, then learn from them and forget them."""
        draw_key, episode_key, reward_key, policy_key, objective_key = jax.random.split(key, 5)
        count = self.config.episodes_per_update
        skills = self._draw(draw_key, state.objective, count)
        if self.objective.redraw:
            skills = self._redrawn(draw_key, skills)
        keys = jax.random.split(episode_key, count)
        steps = side_by_side(self._episode, self.freeze(state), keys, skills)
        path = jnp.concatenate([steps.obs[:, :1], steps.next_obs], axis=1)
        reward, reward_weights = self.objective.reward(reward_key, state.objective, skills, path, steps.valid)
        agent, learned = self.agent.update(
            policy_key, state.agent, self._batch(state, steps, skills, reward, reward_weights)
        )
        objective, metrics = self.objective.learn(objective_key, state.objective, skills, path, steps.valid)
        metrics["intrinsic_reward"] = masked_mean(
            jnp.sum(reward * reward_weights[:, None], axis=-1), steps.valid
        )
        observed = moments.absorb(state.observed, steps.obs, steps.valid)
        return State(agent, objective, observed), metrics | learned

    def _draw(self, key: Key, objective: Any, count: int) -> Array:
        """Skills for so many episodes."""
        if self.objective.draw is None:
            return self.objective.space.draw(key, count)
        return self.objective.draw(key, objective, count)

    def _redrawn(self, key: Key, skills: Array) -> Array:
        """Which skill acts at every step [N, T, size], of episodes that begin with `skills` [N, size]."""
        whether_key, what_key = jax.random.split(jax.random.fold_in(key, 1))
        count, horizon = len(skills), self.family.horizon
        anew = jax.random.bernoulli(whether_key, self.objective.redraw, (count, horizon)).at[:, 0].set(False)
        drawn = self.objective.space.draw(what_key, count * horizon).reshape(count, horizon, -1)
        drawn = drawn.at[:, 0].set(skills)
        latest = jax.lax.cummax(jnp.where(anew, jnp.arange(horizon), 0), axis=1)  # step of the last draw
        return jnp.take_along_axis(drawn, latest[..., None], axis=1)

    def freeze(self, state: State) -> Params:
        """What acting with the skills takes."""
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
        """One skill as a policy of the whole observation: what it sees goes into the first layer."""
        # features that a policy observes are linear, most of them a choice of numbers
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
            # back from normalised observations to those that a place is seen in
            mean, std = moments.scale(params["observed"])
            folded["kernel"] += std[:, None] * (slope.T @ of_skill)
            folded["bias"] += slope @ mean @ of_skill
        policy = params["policy"] | {"net": net | {"layers_0": folded}}
        return {"policy": policy, "observed": params["observed"]}

    def discriminate(self, state: State, obs: Array) -> Array:
        """log q(z|.) of the examples [..., T, M] after the steps of an episode [..., T + 1, obs_size]."""
        return self.objective.log_q(state.objective, obs)

    def _condition(self, params: Params, obs: Array, skill: Array) -> Array:
        """What the policy sees: the observed feature, normalised, and the skill."""
        seen = self.family.features[self.config.observe](moments.normalize(params["observed"], obs))
        return jnp.concatenate([seen, self._command(params, obs, skill)], axis=-1)

    def _command(self, params: Params, obs: Array, skill: Array) -> Array:
        """What networks see of a skill [..., E]."""
        encoded = self.objective.space.encode(skill)
        if self.objective.place is not None:
            encoded = self.objective.place.way(params["place"], obs, encoded)
        return SKILL_SCALE * encoded

    def _episode(self, params: Params, key: Key, skill: Array) -> Transition:
        """One episode of one skill, or of one for each step, on a training task.

        Its reward is not looked at.
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
        """The episodes as the learner sees them; the critic also sees where the body is, and the time."""
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

    Raises ValueError for a feature that the family does not have, for more skills than episodes of an update,
    and for steps that make no whole minibatch.
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
    command = jax.eval_shape(objective.space.encode, objective.space.examples).shape[-1]
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
    )
