"""VGCRL: skills that are places (variational goal-conditioned RL; Choi et al. 2021, 2106.01404).

A skill z in [-1, 1]^n is drawn uniformly.  q(z|s) is a Laplace distribution with its mode at m(s), the place
of s in units of the reach: m(s) = (feature(s) - center) / reach, log q(z|s) = -|z - m(s)|_1 / sigma - n log(2
sigma).  E[log q(z|s) - log p(z)] is a lower bound of I(S;Z).  Skills maximise it by going to their places.
The gradient of a Gaussian's log q would vanish near the place and grow with the distance from it.  With heavy
tails, log q(z|s) = -(n + 1) log(1 + |z - m(s)|_2 / sigma) - constant.  Then a detour around a wall costs
little, far from the place.  If q is learned, m is a multilayer perceptron that is fitted to the skills that
led to s.

The reward of a step is the increase of log q.  The reward log q itself has the same optimum: discounted sums
of the two differ by a factor 1 - gamma, a constant, the end of the episode and a term for each new skill,
which is rare.  Log q of far places dominates the critic's loss, and places were learned faster by the
increase.  In a trial, speeds, which swing in every stride, were learned faster by log q itself.  An early end
has a penalty.  Episodes redraw their skill at random steps, so that skills work from any state.  The policy
sees z - m(s), the displacement to its place, instead of z.

The policy learns by PPO, or by soft actor-critic from replayed steps.  Then a share of the replayed steps is
relabelled: its skill is a place that the episode met later (Andrychowicz et al. 2017, 1707.01495).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from hmrl_cli.algorithms.skills import _off_policy, _on_policy
from hmrl_cli.algorithms.skills._off_policy import OF_SAC, Reward, Stored
from hmrl_cli.algorithms.skills._on_policy import Learned
from hmrl_cli.algorithms.skills._spaces import Place, Space, box, places
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.learning import moments, networks, replay, sac
from hmrl_cli.learning.empowerment import lower_bound
from hmrl_cli.learning.returns import masked_mean

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params, SkillLearner, TaskFamily

UNIT = 5.0  # displacement that the policy sees as 1, or under PPO as `SKILL_SCALE`, in spreads of q
REACH_RATE = 0.05  # step size of the log of an adaptive reach, in each update


Extent = Annotated[float, Field(gt=0, le=1e6)]


class Config(_on_policy.Config, _off_policy.Config):
    """Settings of skills that are places."""

    metric: ClassVar[str] = "arrivals"
    at_start: ClassVar[frozenset[str]] = frozenset({"reach"})
    name: Literal["vgcrl"] = "vgcrl"
    learner: Literal["ppo", "sac"] = Field("ppo", description="what trains the policy")
    hindsight: float = Field(
        0.5, ge=0, le=1, description="share of replayed steps whose skill is a place that was met later"
    )
    discriminate: str = Field("xy", description="feature of the observation whose values are the places")
    center: tuple[float, ...] = Field(
        (), strict=False, description="value of the feature where z is 0; empty: zeros"
    )
    reach: Extent | Annotated[tuple[Extent, ...], Field(strict=False)] = Field(
        3.0,
        description="how far from the center z = 1 is, in the feature's units; of several, one for each "
        "axis, the largest, and the box of skills is narrower along the others",
    )
    arrivals: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of episodes that end at their place, to which the reach adapts; none: it stays",
    )
    spread: float = Field(
        0.6,
        gt=0,
        le=1e6,
        description="scale of q(z|s), and distance that counts as near, in the feature's units",
    )
    q: Literal["fixed", "learned"] = Field(
        "fixed", description="whether q follows from the feature, or is learned"
    )
    tails: Literal["light", "heavy"] = Field(
        "light",
        description="whether q(z|s) falls exponentially with the distance from its mode, or as a power",
    )
    reward: Literal["increase", "density"] = Field(
        "increase",
        description="whether a step earns the increase of log q, or log q itself",
    )
    redraw: float = Field(
        0.01, ge=0, lt=1, description="probability before each step that the skill is drawn anew"
    )
    fall_price: float = Field(2.0, ge=0, le=1e6, description="penalty of an early end, in nats")
    hidden: networks.Hidden = Field((128, 128), strict=False, description="units per layer of a learned q")
    observe: str = Field("body", description="feature that the policy sees beside the displacement")

    @model_validator(mode="after")
    def _fits_the_learner(self) -> Self:
        if self.learner == "sac" and self.q == "learned":
            raise ValueError("q: found 'learned' with learner 'sac'; must be 'fixed', or learner 'ppo'")
        if self.learner == "sac" and self.arrivals is not None:
            raise ValueError(
                f"arrivals: found {self.arrivals} with learner 'sac'; must be left out, or learner 'ppo'"
            )
        if self.reward == "density" and getattr(self, self.learner).discount == 1:
            raise ValueError(
                f"{self.learner}.discount: found 1 with reward 'density', which would be 0; must be below 1"
            )
        return self

    def unused(self) -> dict[str, str]:
        """Settings of the other form of q, and of the other learner."""
        others = ("ppo",) if self.learner == "sac" else (*OF_SAC, "hindsight")
        of_learner = dict.fromkeys(others, f"algorithm.learner is {self.learner}")
        if self.q == "fixed":
            return of_learner | dict.fromkeys(("hidden", "learning_rate"), "algorithm.q is fixed")
        return of_learner | dict.fromkeys(("center", "arrivals", "tails"), "algorithm.q is learned")


class State(NamedTuple):
    """What VGCRL learns in addition to the policy."""

    net: Learned | None  # None if q is fixed
    reach: Array  # []


class Replayed(NamedTuple):
    """Training state of one seed with soft actor-critic."""

    sac: sac.State
    goal: State
    observed: moments.Moments  # of observations [obs_size]
    buffer: replay.Buffer


class _Rows(NamedTuple):
    """Training data of a learned q, one row for each step [R]."""

    seen: Array  # [R, F]
    skill: Array  # [R, F]
    valid: Array  # [R]


class Vgcrl(NamedTuple):
    """The objective, bound to its family."""

    config: Config
    family: TaskFamily
    net: networks.Network | None
    size: int  # of the feature, and so of a skill
    half: tuple[float, ...]  # half the sides of the box of skills [size]

    @property
    def examples(self) -> Array:
        """Skills [M, size] to measure."""
        return places(self.size) * np.array(self.half, np.float32)

    def init(self, key: Key) -> State:
        """The configured reach, and a fresh network."""
        net = None if self.net is None else _on_policy.begin(self.net.init(key), self.size)
        return State(net, jnp.float32(np.max(self.config.reach)))

    def reward(self, key: Key, state: State, skills: Array, path: Array, valid: Array) -> tuple[Array, Array]:
        """log q(z|s') - log q(z|s)."""
        skills = self._of_steps(skills, valid)
        params = self.freeze(state)
        before, after = (self._density(params, path[:, part], skills) for part in (slice(-1), slice(1, None)))
        reward = self._reward(before, after, self.config.ppo.discount)
        return reward[..., None], jnp.ones((len(path), 1))

    def learn(
        self, key: Key, state: State, skills: Array, path: Array, valid: Array
    ) -> tuple[State, Metrics]:
        """Fit a learned q to the skills that led to the states, and adapt the reach."""
        skills = self._of_steps(skills, valid)
        metrics = self._metrics(state, skills, path[:, 1:], valid)
        if self.config.arrivals is not None and self.net is None:
            reach = state.reach * jnp.exp(REACH_RATE * (metrics["arrivals"] - self.config.arrivals))
            # with a reach below the spread all places would be near each other
            state = state._replace(reach=jnp.maximum(reach, self.config.spread))
        if state.net is None or self.net is None:
            return state, metrics
        seen = self.family.features[self.config.discriminate](path[:, 1:])
        net = state.net._replace(observed=moments.absorb(state.net.observed, seen, valid))
        rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), _Rows(seen, skills, valid))

        def loss(params: Params, minibatch: _Rows) -> tuple[Array, Metrics]:
            located = self._net_mode(params, net.observed, minibatch.seen)
            return masked_mean(jnp.abs(minibatch.skill - located).sum(axis=-1), minibatch.valid), {}

        net, _ = _on_policy.descend(key, net, loss, rows, self.config)
        return state._replace(net=net), metrics

    def init_replay(self, key: Key, agent: sac.State, buffer: replay.Buffer) -> Replayed:
        """The state of training with replay."""
        return Replayed(agent, self.init(key), moments.initial(self.family.obs_size), buffer)

    def absorb(self, state: Replayed, steps: Stored, valid: Array) -> tuple[Replayed, Metrics]:
        """Update the moments with new steps [N, T], and measure how well the skills did."""
        observed = moments.absorb(state.observed, steps.obs, valid)
        metrics = self._metrics(state.goal, steps.skill, steps.next_obs, valid)
        return state._replace(observed=observed), metrics

    def learn_replayed(self, key: Key, state: Replayed, batch: Stored) -> tuple[Replayed, Reward, Metrics]:
        """The rewards of replayed steps [B]; a fixed q learns nothing."""
        params = self.freeze(state.goal)
        before, after = (self._density(params, obs, batch.skill) for obs in (batch.obs, batch.next_obs))
        reward = self._reward(before, after, self.config.sac.discount)
        return state, Reward(reward - self.config.fall_price * (1.0 - batch.discount)), {}

    def _metrics(self, state: State, skills: Array, obs: Array, valid: Array) -> Metrics:
        """Metrics of observations [N, T, obs_size] after the steps of skills [N, T, size].

        An early end at the last step is not seen, and may count as an arrival.
        """
        params = self.freeze(state)
        bound = self._density(params, obs, skills) + self._log_box
        near = jnp.linalg.norm(skills - self.locate(params, obs), axis=-1) * state.reach < self.config.spread
        return {
            "mutual_information": lower_bound(bound, 0.0, valid),
            "near": masked_mean(near, valid),
            "arrivals": jnp.mean(near[:, -1] * valid[:, -1]),
            "reach": state.reach,
        }

    def log_q(self, state: State, path: Array) -> Array:
        """log q(z|s'), normalised over the examples [..., T, M], along a path [..., T + 1, obs_size]."""
        of_example = self._density(self.freeze(state), path[..., 1:, None, :], self.examples)
        return jax.nn.log_softmax(of_example)

    def freeze(self, state: State) -> Params:
        """The parameters that `locate` needs."""
        frozen: Params = {"reach": state.reach}
        if state.net is not None:
            frozen |= {"net": state.net.params, "observed": state.net.observed}
        return frozen

    def locate(self, params: Params, obs: Array) -> Array:
        """The mode m(s) of q(z|s) [..., size]."""
        seen = self.family.features[self.config.discriminate](obs)
        if self.net is not None:
            return self._net_mode(params["net"], params["observed"], seen)
        return (seen - jnp.array(self.config.center or (0.0,) * self.size)) / params["reach"]

    def way(self, params: Params, obs: Array, skill: Array) -> Array:
        """z - m(s) [..., size], in units that do not depend on the reach."""
        return (skill - self.locate(params, obs)) * params["reach"] / (UNIT * self.config.spread)

    def _net_mode(self, params: Params, observed: moments.Moments, seen: Array) -> Array:
        assert self.net is not None
        return jnp.tanh(self.net.apply(params, moments.normalize(observed, seen)))

    def _reward(self, before: Array, after: Array, discount: float) -> Array:
        """The reward of steps, given log q(z|s) before and after them [...].

        log q itself comes less log p(z), and times 1 - gamma.  So returns are of the same size in both forms.
        """
        if self.config.reward == "increase":
            return after - before
        return (1.0 - discount) * (after + self._log_box)

    @property
    def _log_box(self) -> float:
        """-log p(z), the log of the volume of the box of skills."""
        return sum(math.log(2 * half) for half in self.half)

    def _density(self, params: Params, obs: Array, skills: Array) -> Array:
        """log q(z|s) [...] of skills [..., size] at observations [..., obs_size]."""
        scale = self.config.spread / params["reach"]
        offset = skills - self.locate(params, obs)
        if self.config.tails == "light" or self.net is not None:  # which the fit of a learned q assumes
            return -jnp.abs(offset).sum(axis=-1) / scale - self.size * jnp.log(2 * scale)
        n = self.size
        log_ball = 0.5 * n * math.log(math.pi) - math.lgamma(0.5 * n + 1)  # volume of the unit ball
        # the norm has no gradient at 0; nothing differentiates the density
        fall = -(n + 1) * jnp.log1p(jnp.linalg.norm(offset, axis=-1) / scale)
        return fall - log_ball - n * jnp.log(scale)

    def _of_steps(self, skills: Array, valid: Array) -> Array:
        """The skill of every step [N, T, size]."""
        skills = skills if self.config.redraw else skills[:, None]
        return jnp.broadcast_to(skills, (*valid.shape, self.size))


def make(config: Config, family: TaskFamily) -> SkillLearner:
    """Skills that are places, on a family, plain or lifted.

    Raises:
        ValueError: the family lacks a feature, the center has another size, the minibatches do not divide
            the steps, or the buffer is smaller than one update.
    """
    size = feature_size(family, "algorithm.discriminate", config.discriminate)
    for name, numbers in (("center", config.center or None), ("reach", config.reach)):
        if isinstance(numbers, tuple) and len(numbers) != size:
            raise ValueError(
                f"algorithm.{name}: found {len(numbers)} numbers; must be {size}, "
                f"as {config.discriminate!r} of {family.name} has"
            )
    net = networks.mlp(size, config.hidden, size) if config.q == "learned" else None
    reach = config.reach if isinstance(config.reach, tuple) else (config.reach,) * size
    half = tuple(extent / max(reach) for extent in reach)
    vgcrl = Vgcrl(config, family, net, size, half)
    space = box(size, half)._replace(examples=vgcrl.examples)
    return (_with_replay if config.learner == "sac" else _without_replay)(vgcrl, space)


def _without_replay(vgcrl: Vgcrl, space: Space) -> SkillLearner:
    objective = _on_policy.Objective(
        space,
        vgcrl.init,
        vgcrl.reward,
        vgcrl.learn,
        vgcrl.log_q,
        redraw=vgcrl.config.redraw,
        fall_price=vgcrl.config.fall_price,
        place=Place(vgcrl.freeze, vgcrl.locate, vgcrl.way, is_affine=vgcrl.net is None),
    )
    return _on_policy.make(vgcrl.config, vgcrl.family, objective)


def _with_replay(vgcrl: Vgcrl, space: Space) -> SkillLearner:
    objective = _off_policy.Objective(
        space,
        vgcrl.init_replay,
        vgcrl.absorb,
        vgcrl.learn_replayed,
        lambda state, path: vgcrl.log_q(state.goal, path),
        observed=lambda state: state.observed,
        redraw=vgcrl.config.redraw,
        place=Place(lambda state: vgcrl.freeze(state.goal), vgcrl.locate, vgcrl.way, is_affine=True),
        hindsight=vgcrl.config.hindsight,
    )
    return _off_policy.make(vgcrl.config, vgcrl.family, objective)
