"""Skills as directions of a learned representation phi(s): what METRA and CSF share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.skills import _on_policy
from hmrl_cli.algorithms.skills._spaces import Space, direction, one_of
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Params, TaskFamily


class Config(_on_policy.Config):
    """Settings that METRA and CSF share."""

    metric: ClassVar[str] = "gain"
    skills: Literal["continuous", "discrete"] = Field(
        "continuous", description="unit vectors, or N discrete skills"
    )
    skill_size: int = Field(2, ge=2, le=1000, description="dimensions of a skill, or N; also of phi")
    represent: str = Field("identity", description="feature of the observation that phi sees")
    hidden: networks.Hidden = Field((256, 256), strict=False, description="units per layer of phi")


class Rows(NamedTuple):
    """Training data of phi, one row for each step [R]."""

    before: Array  # [R, F]
    after: Array  # [R, F]
    skill: Array  # [R, d]  encoded
    valid: Array  # [R]


class Phi(NamedTuple):
    """The representation, bound to its family."""

    config: Config
    family: TaskFamily
    space: Space
    net: networks.Network
    feature_size: int

    def init(self, key: Key) -> Params:
        """Fresh parameters."""
        return self.net.init(key)

    def __call__(self, params: Params, observed: moments.Moments, feature: Array) -> Array:
        """phi [..., d] of features [..., F]."""
        return self.net.apply(params, moments.normalize(observed, feature))

    def along(self, params: Params, observed: moments.Moments, path: Array) -> Array:
        """phi [..., d] of observations [..., obs_size]."""
        return self(params, observed, self._feature(path))

    def moves(self, params: Params, observed: moments.Moments, rows: Rows) -> Array:
        """phi(s') - phi(s) [R, d]."""
        return self(params, observed, rows.after) - self(params, observed, rows.before)

    def rows(self, skills: Array, path: Array, valid: Array) -> Rows:
        """The steps of episodes as rows [N T, ...]."""
        feature, encoded = self._feature(path), self.space.encode(skills)
        encoded = jnp.broadcast_to(encoded[:, None], (*valid.shape, encoded.shape[-1]))
        rows = Rows(feature[:, :-1], feature[:, 1:], encoded, valid)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows)

    def log_q(self, params: Params, observed: moments.Moments, path: Array) -> Array:
        """log q(z|s_0,s_t) [..., T, M] over the examples: softmax of (phi(s_t) - phi(s_0)) . z."""
        phi = self.along(params, observed, path)
        examples = self.space.encode(self.space.examples)
        return jax.nn.log_softmax((phi[..., 1:, :] - phi[..., :1, :]) @ examples.T)

    def _feature(self, path: Array) -> Array:
        return self.family.features[self.config.represent](path)


def make(config: Config, family: TaskFamily) -> Phi:
    """The representation of a configuration.

    Raises:
        ValueError: the family lacks the feature.
    """
    size = feature_size(family, "algorithm.represent", config.represent)
    discrete = config.skills == "discrete"
    space = one_of(config.skill_size, centred=True) if discrete else direction(config.skill_size)
    return Phi(config, family, space, networks.mlp(size, config.hidden, config.skill_size), size)
