"""DADS: skills whose effects are predictable (Sharma et al. 2020, 1907.01657).

A model q(s'|s,z) of the skills' dynamics is learned.  The reward is log q(s'|s,z) - log mean_i q(s'|s,z_i),
with z_i from p(z).  Its expectation approximates I(S';Z|s) if p(z|s) = p(z).  The model predicts the change
of one feature, normalised by running moments, with a normal distribution of unit variance.  Its input is that
feature alone, as in the authors' code.  Velocities in the input would predict the next position without
the skill, so the reward would be 0.  The policy learns by PPO, where the paper uses soft actor-critic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.skills import _on_policy
from hmrl_cli.algorithms.skills._on_policy import Learned, Objective
from hmrl_cli.algorithms.skills._spaces import Space, box, one_of
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks
from hmrl_cli.learning.moments import Moments
from hmrl_cli.learning.returns import masked_mean

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params, SkillLearner, TaskFamily

LOG_RATIO_LIMIT = 50.0  # bound of |log q(s'|s,z_i) - log q(s'|s,z)|
CHANGE_FLOOR = 1e-12  # least variance of the change in one step, which is small in any unit


class Config(_on_policy.Config):
    """Settings of DADS."""

    metric: ClassVar[str] = "intrinsic_reward"
    name: Literal["dads"] = "dads"
    skills: Literal["continuous", "discrete"] = Field(
        "continuous", description="points of [-1, 1]^n, or n discrete skills"
    )
    skill_size: int = Field(2, ge=2, le=1000, description="n, dimensions of a skill, or number of skills")
    samples: int = Field(20, gt=0, le=10_000, description="number of skills z_i, if continuous")
    predict: str = Field("xy", description="feature whose change q predicts")
    condition: str = Field("xy", description="feature that q sees; it should exclude velocities")
    hidden: networks.Hidden = Field((128, 128), strict=False, description="units per layer of q")

    def unused(self) -> dict[str, str]:
        """With discrete skills the mean is over all of them, without samples."""
        return {"samples": "algorithm.skills is discrete"} if self.skills == "discrete" else {}


class State(NamedTuple):
    """What DADS learns beside the policy."""

    dynamics: Learned  # the model q; its moments are those of the inputs
    changed: Moments  # of the change that q predicts


class _Rows(NamedTuple):
    """Training data of q, one row for each step [..., R]."""

    seen: Array  # [R, F]
    change: Array  # [R, P]
    skill: Array  # [R, E]  encoded
    valid: Array  # [R]


class Dads(NamedTuple):
    """The objective, bound to its family."""

    config: Config
    family: TaskFamily
    space: Space
    net: networks.Network
    seen_size: int
    change_size: int

    def init(self, key: Key) -> State:
        """A fresh model."""
        learned = _on_policy.begin(self.net.init(key), self.seen_size)
        return State(learned, moments.initial(self.change_size))

    def reward(self, key: Key, state: State, skills: Array, path: Array, valid: Array) -> tuple[Array, Array]:
        """log(L + 1) - log(1 + sum_i exp(log q(s'|s,z_i) - log q(s'|s,z))), z_i drawn from p(z).

        L is the number of samples.  With discrete skills the mean is over all of them.
        """
        steps = self._steps(skills, path, valid)
        log_likelihood = self._log_likelihood(state.dynamics.params, state, steps)
        if self.config.skills == "discrete":
            ratio = (
                self._against(state, steps, self.space.encode(self.space.examples))
                - log_likelihood[..., None]
            )
        else:
            others = self.space.draw(key, self.config.samples)
            ratio = self._against(state, steps, self.space.encode(others)) - log_likelihood[..., None]
            ratio = jnp.concatenate([jnp.zeros_like(log_likelihood)[..., None], ratio], axis=-1)
        ratio = jnp.clip(ratio, -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
        reward = jnp.log(ratio.shape[-1]) - jax.nn.logsumexp(ratio, axis=-1)
        return reward[..., None], jnp.ones((len(path), 1))

    def learn(
        self, key: Key, state: State, skills: Array, path: Array, valid: Array
    ) -> tuple[State, Metrics]:
        """Maximise the likelihood of the observed changes."""
        steps = self._steps(skills, path, valid)
        observed = moments.absorb(state.dynamics.observed, steps.seen, valid)
        changed = moments.absorb(state.changed, steps.change, valid)
        state = State(state.dynamics._replace(observed=observed), changed)
        rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), steps)

        def loss(params: Params, minibatch: _Rows) -> tuple[Array, Metrics]:
            likelihood = self._log_likelihood(params, state, minibatch)
            loss = -masked_mean(likelihood, minibatch.valid)
            return loss, {"model_loss": loss}

        dynamics, metrics = _on_policy.descend(key, state.dynamics, loss, rows, self.config)
        return State(dynamics, changed), metrics

    def log_q(self, state: State, path: Array) -> Array:
        """log q(z|s,s') [..., T, M] by Bayes' rule, over examples that are equally likely."""
        nothing = jnp.zeros(())
        steps = _Rows(*self._seen(path), nothing, nothing)
        return jax.nn.log_softmax(self._against(state, steps, self.space.encode(self.space.examples)))

    def _steps(self, skills: Array, path: Array, valid: Array) -> _Rows:
        encoded = self.space.encode(skills)
        encoded = jnp.broadcast_to(encoded[:, None], (*valid.shape, encoded.shape[-1]))
        return _Rows(*self._seen(path), encoded, valid)

    def _seen(self, path: Array) -> tuple[Array, Array]:
        """Inputs of q [..., T, F], and the changes that it predicts [..., T, P]."""
        feature = self.family.features
        seen, predicted = feature[self.config.condition](path), feature[self.config.predict](path)
        return seen[..., :-1, :], jnp.diff(predicted, axis=-2)

    def _against(self, state: State, steps: _Rows, skills: Array) -> Array:
        """log q(s'|s,z_i) [..., L] of the steps [...] for each of the skills [L, E]."""

        def of_skill(skill: Array) -> Array:
            skill = jnp.broadcast_to(skill, (*steps.seen.shape[:-1], skill.shape[-1]))
            return self._log_likelihood(state.dynamics.params, state, steps._replace(skill=skill))

        return jnp.moveaxis(jax.lax.map(of_skill, skills), 0, -1)

    def _log_likelihood(self, params: Params, state: State, steps: _Rows) -> Array:
        """log q(s'|s,z) [...], up to a constant."""
        seen = moments.normalize(state.dynamics.observed, steps.seen)
        predicted = self.net.apply(params, jnp.concatenate([seen, steps.skill], axis=-1))
        mean, std = moments.scale(state.changed, CHANGE_FLOOR)
        change = (steps.change - mean) / std  # not clipped: the way to a goal keeps its direction
        return -0.5 * jnp.sum((change - predicted) ** 2, axis=-1)


def make(config: Config, family: TaskFamily) -> SkillLearner:
    """DADS on a family, plain or lifted.

    Raises:
        ValueError: the family lacks a feature, or the minibatches do not divide the steps.
    """
    seen = feature_size(family, "algorithm.condition", config.condition)
    change = feature_size(family, "algorithm.predict", config.predict)
    space = one_of(config.skill_size) if config.skills == "discrete" else box(config.skill_size)
    net = networks.mlp(seen + config.skill_size, config.hidden, change)
    dads = Dads(config, family, space, net, seen, change)
    objective = Objective(space, dads.init, dads.reward, dads.learn, dads.log_q)
    return _on_policy.make(config, family, objective)
