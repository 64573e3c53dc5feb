"""Skills as directions of a learned representation phi(s): what METRA and CSF share.

An algorithm is a `Principle`: the loss of phi.  The policy learns by PPO from the episodes of an update, or
by soft actor-critic from replayed transitions, as in both papers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.skills import _off_policy, _on_policy
from hmrl_cli.algorithms.skills._off_policy import OF_SAC, Reward, Stored
from hmrl_cli.algorithms.skills._on_policy import Learned
from hmrl_cli.algorithms.skills._spaces import Space, direction, one_of
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks, replay, sac
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.returns import masked_mean

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params, SkillLearner, TaskFamily


class Config(_on_policy.Config, _off_policy.Config):
    """Settings that METRA and CSF share."""

    metric: ClassVar[str] = "gain"
    learner: Literal["ppo", "sac"] = Field("ppo", description="what trains the policy; sac in the papers")
    skills: Literal["continuous", "discrete"] = Field(
        "continuous", description="unit vectors, or N discrete skills"
    )
    skill_size: int = Field(2, ge=2, le=1000, description="dimensions of a skill, or N; also of phi")
    represent: str = Field("identity", description="feature of the observation that phi sees")
    normalize_until: int | None = Field(
        None,
        gt=0,
        le=10**9,
        description="environment steps after which the moments that normalise observations stay, "
        "phi's and those of a policy of sac; none: never",
    )
    hidden: networks.Hidden = Field((256, 256), strict=False, description="units per layer of phi")

    def unused(self) -> dict[str, str]:
        """Settings of the other learner."""
        others = ("ppo",) if self.learner == "sac" else OF_SAC
        return dict.fromkeys(others, f"algorithm.learner is {self.learner}")


class Rows(NamedTuple):
    """Training data of phi, one row for each step [R]."""

    before: Array  # [R, F]
    after: Array  # [R, F]
    skill: Array  # [R, d]  encoded
    valid: Array  # [R]


class Steps(NamedTuple):
    """Steps of phi with the skills that took them, in a loss."""

    moves: Array  # [R, d]  phi(s') - phi(s)
    skill: Array  # [R, d]  encoded
    valid: Array  # [R]
    others: Array  # [M, d]  encoded skills that those are compared with

    @property
    def gain(self) -> Array:
        """Mean of (phi(s') - phi(s)) . z []."""
        return masked_mean(jnp.sum(self.moves * self.skill, axis=-1), self.valid)


class Principle(NamedTuple):
    """How phi is learned."""

    begin: Callable[[Params], Any]  # fresh parameters of phi -> parameters of the loss
    phi: Callable[[Any], Params]  # parameters of the loss -> those of phi
    loss: Callable[[Any, Steps], tuple[Array, Metrics]]  # parameters, steps -> loss [], metrics
    is_vector: bool  # whether critics learn the components of phi(s') - phi(s), or its product with z


class State(NamedTuple):
    """Training state of one seed with soft actor-critic."""

    sac: sac.State
    learned: Learned
    observed: Moments  # of observations [obs_size]
    buffer: replay.Buffer


class Phi(NamedTuple):
    """The representation, bound to its family, and the intrinsic objective that follows from it."""

    config: Config
    family: TaskFamily
    space: Space
    net: networks.Network
    principle: Principle
    feature_size: int

    def init(self, key: Key) -> Learned:
        """A fresh representation."""
        return _on_policy.begin(self.principle.begin(self.net.init(key)), self.feature_size)

    def along(self, learned: Learned, path: Array) -> Array:
        """phi [..., d] of observations [..., obs_size]."""
        return self._of(self.principle.phi(learned.params), learned.observed, self._feature(path))

    def reward(
        self, key: Key, learned: Learned, skills: Array, path: Array, valid: Array
    ) -> tuple[Array, Array]:
        """(phi(s') - phi(s)) . z, or the components phi(s') - phi(s) and their weights z."""
        along = self.along(learned, path)
        moves, encoded = along[:, 1:] - along[:, :-1], self.space.encode(skills)
        if self.principle.is_vector:
            return moves, encoded
        return jnp.sum(moves * encoded[:, None], axis=-1, keepdims=True), jnp.ones((len(path), 1))

    def learn(
        self, key: Key, learned: Learned, skills: Array, path: Array, valid: Array
    ) -> tuple[Learned, Metrics]:
        """Passes over the steps of new episodes."""
        rows = self._rows(skills, path, valid)
        learned = self._absorb(learned, rows.after, rows.valid)
        loss = self._loss(learned.observed, self.space.encode(skills))
        return _on_policy.descend(key, learned, loss, rows, self.config)

    def log_q(self, learned: Learned, path: Array) -> Array:
        """log q(z|s_0,s_t) [..., T, M] over the examples: softmax of (phi(s_t) - phi(s_0)) . z."""
        phi = self.along(learned, path)
        examples = self.space.encode(self.space.examples)
        return jax.nn.log_softmax((phi[..., 1:, :] - phi[..., :1, :]) @ examples.T)

    def toward(self, learned: Learned, obs: Array, goal: Array) -> Array:
        """The skill that leads from an observation to that of a goal, [obs_size] each.

        For vectors (phi(g) - phi(s)) / |phi(g) - phi(s)|, else the skill with the largest product (Park et
        al. 2024).
        """
        way = self.along(learned, goal) - self.along(learned, obs)
        if self.config.skills == "continuous":
            return self.space.encode(way)
        return jnp.argmax(self.space.encode(self.space.examples) @ way)

    def init_replay(self, key: Key, agent: sac.State, buffer: replay.Buffer) -> State:
        """The state of training with replay."""
        return State(agent, self.init(key), moments.initial(self.family.obs_size), buffer)

    def absorb(self, state: State, steps: Stored, valid: Array) -> tuple[State, Metrics]:
        """Moments of new steps [N, T], and their mean reward."""
        seen = self._feature(steps.next_obs)
        learned = self._absorb(state.learned, seen, valid)
        observed = moments.absorb(state.observed, steps.obs, valid, until=self.config.normalize_until)
        phi = [self.along(learned, obs) for obs in (steps.obs, steps.next_obs)]
        gain = jnp.sum((phi[1] - phi[0]) * self.space.encode(steps.skill), axis=-1)
        state = state._replace(learned=learned, observed=observed)
        return state, {"intrinsic_reward": masked_mean(gain, valid)}

    def learn_replayed(self, key: Key, state: State, batch: Stored) -> tuple[State, Reward, Metrics]:
        """One gradient step of phi on replayed steps [B]; their rewards are those of phi after it."""
        path, valid = jnp.stack([batch.obs, batch.next_obs], axis=1), jnp.ones((len(batch.obs), 1))
        others = self.space.encode(self.space.draw(key, len(batch.obs)))
        loss = self._loss(state.learned.observed, others)
        rows = self._rows(batch.skill, path, valid)
        learned, metrics = _on_policy.gradient_step(state.learned, loss, rows, self.config)
        value, weights = self.reward(key, learned, batch.skill, path, valid)
        reward = Reward(value[:, 0], weights) if self.principle.is_vector else Reward(value[:, 0, 0])
        return state._replace(learned=learned), reward, metrics

    def _absorb(self, learned: Learned, seen: Array, valid: Array) -> Learned:
        until = self.config.normalize_until
        return learned._replace(observed=moments.absorb(learned.observed, seen, valid, until=until))

    def _loss(self, observed: Moments, others: Array) -> Callable[[Params, Rows], tuple[Array, Metrics]]:
        """The loss of a minibatch of rows, by the parameters."""

        def loss(params: Any, rows: Rows) -> tuple[Array, Metrics]:
            phi = self.principle.phi(params)
            moves = self._of(phi, observed, rows.after) - self._of(phi, observed, rows.before)
            return self.principle.loss(params, Steps(moves, rows.skill, rows.valid, others))

        return loss

    def _of(self, params: Params, observed: Moments, feature: Array) -> Array:
        """phi [..., d] of features [..., F].

        Normalised features are not clipped, because phi has to tell far places apart.
        """
        mean, std = moments.scale(observed)
        return self.net.apply(params, (feature - mean) / std)

    def _rows(self, skills: Array, path: Array, valid: Array) -> Rows:
        """The steps of episodes as rows [N T, ...]."""
        feature, encoded = self._feature(path), self.space.encode(skills)
        encoded = jnp.broadcast_to(encoded[:, None], (*valid.shape, encoded.shape[-1]))
        rows = Rows(feature[:, :-1], feature[:, 1:], encoded, valid)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows)

    def _feature(self, path: Array) -> Array:
        return self.family.features[self.config.represent](path)


def make(config: Config, family: TaskFamily, principle: Principle) -> SkillLearner:
    """The learner of a principle on a family, plain or lifted.

    Raises:
        ValueError: the family lacks a feature, the minibatches do not divide the steps of an update, or the
            buffer is smaller than one.
    """
    size, dims = feature_size(family, "algorithm.represent", config.represent), config.skill_size
    space = one_of(dims, centred=True) if config.skills == "discrete" else direction(dims)
    phi = Phi(config, family, space, networks.mlp(size, config.hidden, dims), principle, size)
    components = dims if principle.is_vector else 0
    if config.learner == "ppo":
        return _on_policy.make(
            config,
            family,
            _on_policy.Objective(
                space,
                phi.init,
                phi.reward,
                phi.learn,
                phi.log_q,
                num_rewards=components or 1,
                toward=phi.toward,
            ),
        )
    return _off_policy.make(
        config,
        family,
        _off_policy.Objective(
            space,
            phi.init_replay,
            phi.absorb,
            phi.learn_replayed,
            lambda state, path: phi.log_q(state.learned, path),
            num_rewards=components,
            observed=lambda state: state.observed,
            toward=lambda state, obs, goal: phi.toward(state.learned, obs, goal),
        ),
    )
