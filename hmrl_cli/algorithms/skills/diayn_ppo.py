"""DIAYN on proximal policy optimisation, in parallel environments without replay.

The objective is DIAYN's (Eysenbach et al. 2019, 1802.06070).  The discriminator q is a multilayer perceptron,
or has a fixed form with prototypes w_z of unit length: q(z|s) = softmax_z(sharpness (w_z . v - |w_z|^2 / 2)).
Here v is the mean of a feature over the last steps.  Any q gives a lower bound of I(S;Z).  With prototypes
the reward grows from the first step on with the distance that a skill moves in its own direction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

import pydantic
from pydantic import Field

from hmrl_cli.algorithms.skills import _on_policy
from hmrl_cli.algorithms.skills._on_policy import Learned, Objective
from hmrl_cli.algorithms.skills._spaces import one_of
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks
from hmrl_cli.learning.empowerment import lower_bound
from hmrl_cli.learning.returns import masked_mean

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params, SkillLearner, TaskFamily


class Config(_on_policy.Config):
    """Settings of DIAYN with proximal policy optimisation."""

    at_start: ClassVar[frozenset[str]] = frozenset({"sharpness"})
    name: Literal["diayn_ppo"] = "diayn_ppo"
    num_skills: int = Field(8, ge=2, le=1000, description="number of skills; p(z) is uniform")
    discriminate: str = Field("velocity", description="feature of the observation that q(z|.) sees")
    window: int = Field(20, gt=0, le=10_000, description="steps over which q averages that feature")
    discriminator: Literal["prototypes", "mlp"] = Field("prototypes", description="form of q")
    sharpness: float = Field(2.0, gt=0, le=1000, description="sharpness of prototypes at the start")
    stay: bool = Field(
        False, description="whether the last prototype is zero, so that its skill stays in place"
    )
    hidden: networks.Hidden = Field((256, 256), strict=False, description="units per layer of the mlp")

    def unused(self) -> dict[str, str]:
        """Settings of the other form of q."""
        other = "hidden" if self.discriminator == "prototypes" else "sharpness"
        return {other: f"algorithm.discriminator is {self.discriminator}"}

    @pydantic.model_validator(mode="after")
    def _only_prototypes_stay(self) -> Self:
        if self.stay and self.discriminator != "prototypes":
            raise ValueError("stay: found true; must be false where discriminator is mlp")
        return self


class _Rows(NamedTuple):
    """Training data of q, one row for each step [R]."""

    seen: Array  # [R, F]
    skill: Array  # [R]
    valid: Array  # [R]


class _Prototypes(NamedTuple):
    directions: Array  # [movers, F]
    log_sharpness: Array  # []


class Diayn(NamedTuple):
    """The objective, bound to its family."""

    config: Config
    family: TaskFamily
    mlp: networks.Network
    feature_size: int

    def init(self, key: Key) -> Learned:
        """A fresh discriminator."""
        if self.config.discriminator == "mlp":
            return _on_policy.begin(self.mlp.init(key), self.feature_size)
        movers = self.config.num_skills - self.config.stay
        sharpness = jnp.log(jnp.float32(self.config.sharpness))
        params = _Prototypes(_spread(key, movers, self.feature_size), sharpness)
        return _on_policy.begin(params, self.feature_size)

    def reward(
        self, key: Key, state: Learned, skills: Array, path: Array, valid: Array
    ) -> tuple[Array, Array]:
        """log q(z|s') - log p(z)."""
        log_q_of_skill = self._of_skill(self.log_q(state, path), skills[:, None])
        return (log_q_of_skill + jnp.log(self.config.num_skills))[..., None], jnp.ones((len(path), 1))

    def learn(
        self, key: Key, state: Learned, skills: Array, path: Array, valid: Array
    ) -> tuple[Learned, Metrics]:
        """Minimise the cross-entropy of q by gradient steps."""
        log_q = self.log_q(state, path)
        log_q_of_skill = self._of_skill(log_q, skills[:, None])
        correct = log_q.argmax(axis=-1) == skills[:, None]
        metrics = {
            "discriminator_accuracy": masked_mean(correct, valid),
            "mutual_information": lower_bound(log_q_of_skill, -jnp.log(self.config.num_skills), valid),
        }
        seen = self._seen(path)
        state = state._replace(observed=moments.absorb(state.observed, seen, valid))
        rows = _Rows(seen, jnp.broadcast_to(skills[:, None], valid.shape), valid)
        rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows)

        def cross_entropy(params: Params, minibatch: _Rows) -> tuple[Array, Metrics]:
            log_q_of_skill = self._of_skill(
                self._log_q(params, state.observed, minibatch.seen), minibatch.skill
            )
            return -masked_mean(log_q_of_skill, minibatch.valid), {}

        # prototypes take one full-batch gradient step per pass, for they are few parameters
        minibatches = 1 if self.config.discriminator == "prototypes" else None
        state, _ = _on_policy.descend(key, state, cross_entropy, rows, self.config, minibatches)
        return state, metrics

    def log_q(self, state: Learned, path: Array) -> Array:
        """log q(z | s') [..., T, num_skills] along a path [..., T + 1, obs_size]."""
        return self._log_q(state.params, state.observed, self._seen(path))

    def _seen(self, path: Array) -> Array:
        feature = self.family.features[self.config.discriminate](path[..., 1:, :])
        return _trailing_mean(feature, self.config.window)

    def _log_q(self, params: Params, observed: moments.Moments, seen: Array) -> Array:
        if self.config.discriminator == "mlp":
            return jax.nn.log_softmax(self.mlp.apply(params, moments.normalize(observed, seen)))
        unit = params.directions / jnp.linalg.norm(params.directions, axis=-1, keepdims=True)
        logits = seen @ unit.T - 0.5
        if self.config.stay:
            logits = jnp.concatenate([logits, jnp.zeros_like(logits[..., :1])], axis=-1)
        return jax.nn.log_softmax(jnp.exp(params.log_sharpness) * logits)

    def _of_skill(self, log_q: Array, skills: Array) -> Array:
        """Select log q [...] of the episode's skill from log q [..., num_skills]."""
        return jnp.sum(log_q * jax.nn.one_hot(skills, self.config.num_skills), axis=-1)


def _spread(key: Key, count: int, size: int) -> Array:
    """Unit vectors [count, size]: +1 and -1 on a line, equally spaced on a circle, else random."""
    if size == 1:
        return jnp.array([[1.0], [-1.0]])[:count]
    if size == 2:
        angle = 2 * jnp.pi * jnp.arange(count, dtype=jnp.float32) / count
        return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    vectors = jax.random.normal(key, (count, size))
    return vectors / jnp.linalg.norm(vectors, axis=-1, keepdims=True)


def _trailing_mean(x: Array, window: int) -> Array:
    """Mean of x [..., T, F] over the last `window` steps, or over all steps so far if they are fewer."""
    total = jnp.cumsum(x, axis=-2)
    steps = x.shape[-2]
    before = jnp.concatenate([jnp.zeros_like(total[..., :window, :]), total[..., :-window, :]], axis=-2)
    return (total - before[..., :steps, :]) / jnp.minimum(jnp.arange(steps) + 1.0, window)[:, None]


def make(config: Config, family: TaskFamily) -> SkillLearner:
    """DIAYN on a family, plain or lifted, on proximal policy optimisation.

    Raises:
        ValueError: the family lacks a feature, there are more prototypes than directions on a line, or the
            minibatches do not divide the steps.
    """
    size = feature_size(family, "algorithm.discriminate", config.discriminate)
    if size == 1 and config.discriminator == "prototypes" and config.num_skills > 2 + config.stay:
        raise ValueError(
            f"algorithm.num_skills: found {config.num_skills}; {config.discriminate!r} of {family.name} "
            f"is one number, by which prototypes tell {2 + config.stay} skills apart\n"
            "must be as few, or algorithm.discriminator mlp"
        )
    diayn = Diayn(config, family, networks.mlp(size, config.hidden, config.num_skills), size)
    objective = Objective(one_of(config.num_skills), diayn.init, diayn.reward, diayn.learn, diayn.log_q)
    return _on_policy.make(config, family, objective)
