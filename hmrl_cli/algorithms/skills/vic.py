"""Variational intrinsic control: skills that differ in where they end (Gregor et al. 2016, 1611.07507).

The reward is log q(z|s_0,s_f) - log p(z) at the last step of an episode.  With `prior = "learned"` p(z) moves
towards exp(E[log q(z|s_0,s_f)]), normalised.  That is the step of Blahut and Arimoto for the capacity of the
channel from z to s_f.  Skills that q recognises early are then drawn more often, and others hardly ever.  So
the number of skills in use shrinks (Eysenbach et al. 2019).  With `prior = "fixed"` p(z) stays uniform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.skills import _on_policy
from hmrl_cli.algorithms.skills._on_policy import Learned, Objective
from hmrl_cli.algorithms.skills._spaces import one_of
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params, SkillLearner, TaskFamily


class Config(_on_policy.Config):
    """Settings of variational intrinsic control."""

    name: Literal["vic"] = "vic"
    num_skills: int = Field(8, ge=2, le=1000, description="number of skills")
    prior: Literal["learned", "fixed"] = Field(
        "learned", description="p(z): uniform at the start and then learned, or fixed"
    )
    prior_rate: float = Field(0.1, gt=0, le=1, description="step size of log p(z) in an update")
    discriminate: str = Field("xy", description="feature of first and last observation that q(z|.) sees")
    hidden: networks.Hidden = Field((128, 128), strict=False, description="units per layer of q")

    def unused(self) -> dict[str, str]:
        """A fixed prior has no step size."""
        return {"prior_rate": "algorithm.prior is fixed"} if self.prior == "fixed" else {}


class State(NamedTuple):
    """What VIC learns in addition to the policy."""

    discriminator: Learned
    log_prior: Array  # [num_skills]


class _Rows(NamedTuple):
    """Training data of q, one row for each episode [N]."""

    seen: Array  # [N, 2 F]
    skill: Array  # [N]


class Vic(NamedTuple):
    """The objective, bound to its family."""

    config: Config
    family: TaskFamily
    mlp: networks.Network
    feature_size: int

    def init(self, key: Key) -> State:
        """A fresh discriminator and a uniform prior."""
        number = self.config.num_skills
        learned = _on_policy.begin(self.mlp.init(key), 2 * self.feature_size)
        return State(learned, jnp.full(number, -jnp.log(number), jnp.float32))

    def draw(self, key: Key, state: State, count: int) -> Array:
        """Skills [count] from p(z); each about equally often if the prior is fixed."""
        if self.config.prior == "fixed":
            return one_of(self.config.num_skills).draw(key, count)
        return jax.random.categorical(key, state.log_prior, shape=(count,)).astype(jnp.int32)

    def reward(self, key: Key, state: State, skills: Array, path: Array, valid: Array) -> tuple[Array, Array]:
        """log q(z|s_0,s_f) - log p(z) at the last valid step, else 0."""
        log_q_of_skill = self._of_skill(self._log_q(state.discriminator, self._ends(path)[:, -1]), skills)
        last = valid - jnp.append(valid[:, 1:], jnp.zeros((len(valid), 1)), axis=1)
        reward = (log_q_of_skill - self._of_skill(state.log_prior, skills))[:, None] * last
        return reward[..., None], jnp.ones((len(path), 1))

    def learn(
        self, key: Key, state: State, skills: Array, path: Array, valid: Array
    ) -> tuple[State, Metrics]:
        """Minimise the cross-entropy of q by gradient steps, and update p(z)."""
        rows = _Rows(self._ends(path)[:, -1], skills)
        observed = moments.absorb(state.discriminator.observed, rows.seen, jnp.ones(len(skills)))
        log_q = self._log_q(state.discriminator, rows.seen)
        log_q_of_skill = self._of_skill(log_q, skills)
        prior = jnp.exp(state.log_prior)
        metrics = {
            "discriminator_accuracy": jnp.mean(log_q.argmax(axis=-1) == skills),
            "mutual_information": jnp.mean(log_q_of_skill - self._of_skill(state.log_prior, skills)),
            "effective_prior": jnp.exp(-jnp.sum(prior * state.log_prior)),
        }

        def cross_entropy(params: Params, minibatch: _Rows) -> tuple[Array, Metrics]:
            learned = Learned(params, None, observed)
            return -self._of_skill(self._log_q(learned, minibatch.seen), minibatch.skill).mean(), {}

        learned, _ = _on_policy.descend(
            key, state.discriminator._replace(observed=observed), cross_entropy, rows, self.config, 1
        )
        return State(learned, self._moved(state.log_prior, skills, log_q_of_skill)), metrics

    def _moved(self, log_prior: Array, skills: Array, log_q_of_skill: Array) -> Array:
        """log p(z) after a step towards E[log q(z|.)]; skills that did not act keep their probability."""
        if self.config.prior == "fixed":
            return log_prior
        which = jax.nn.one_hot(skills, self.config.num_skills)
        count = which.sum(axis=0)
        acted = count > 0
        mean_log_q = log_q_of_skill @ which / jnp.maximum(count, 1.0)
        moved = jnp.where(acted, log_prior + self.config.prior_rate * (mean_log_q - log_prior), -jnp.inf)
        # the skills that acted keep their total probability
        total = jax.nn.logsumexp(jnp.where(acted, log_prior, -jnp.inf))
        return jnp.where(acted, jax.nn.log_softmax(moved) + total, log_prior)

    def log_q(self, state: State, path: Array) -> Array:
        """log q(z|s_0,s_f) [..., T, num_skills], the same at every step, because q sees whole episodes."""
        ends = self._ends(path)
        found = self._log_q(state.discriminator, ends[..., -1, :])
        return jnp.broadcast_to(found[..., None, :], (*ends.shape[:-1], self.config.num_skills))

    def _ends(self, path: Array) -> Array:
        """Features of the first observation and of each later one [..., T, 2 F]."""
        feature = self.family.features[self.config.discriminate](path)
        later = feature[..., 1:, :]
        return jnp.concatenate([jnp.broadcast_to(feature[..., :1, :], later.shape), later], axis=-1)

    def _log_q(self, learned: Learned, seen: Array) -> Array:
        return jax.nn.log_softmax(self.mlp.apply(learned.params, moments.normalize(learned.observed, seen)))

    def _of_skill(self, of_skills: Array, skills: Array) -> Array:
        """Select the entry [...] of the episode's skill from [..., num_skills]."""
        return jnp.sum(of_skills * jax.nn.one_hot(skills, self.config.num_skills), axis=-1)


def make(config: Config, family: TaskFamily) -> SkillLearner:
    """VIC on a family, plain or lifted, on proximal policy optimisation.

    Raises:
        ValueError: the family lacks a feature, or the minibatches do not divide the steps.
    """
    size = feature_size(family, "algorithm.discriminate", config.discriminate)
    vic = Vic(config, family, networks.mlp(2 * size, config.hidden, config.num_skills), size)
    skills = one_of(config.num_skills)
    objective = Objective(skills, vic.init, vic.reward, vic.learn, vic.log_q, draw=vic.draw)
    return _on_policy.make(config, family, objective)
