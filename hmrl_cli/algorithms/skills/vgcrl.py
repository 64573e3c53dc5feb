"""VGCRL: skills that are places (variational goal-conditioned RL; Choi et al. 2021, 2106.01404).

A skill z in [-1, 1]^n is drawn evenly.  q(z|s) is a Laplace distribution about the place where s is, in units
of the reach: log q(z|s) = -|z - m(s)|_1 / sigma - n log(2 sigma), with m(s) = (feature(s) - center) / reach.
E[log q(z|s) - log p(z)] is a lower bound of I(S;Z), which skills maximise by going to their places.
The slope of a Gaussian's log q would vanish near the place and grow with the distance from it.
With q learned, m is a perceptron's answer, fitted to the skills that led there, and shapes the space itself.

The reward of a step is the increase of log q.  Its level would have the same optimum: discounted sums of the
two differ by a factor 1 - gamma, a constant and the end of the episode.  But levels of far places would swamp
those of near ones in the critic.  An early end costs a price.
An episode draws its skill anew now and then, so that skills work from anywhere.
The policy sees the way to its place, z - m(s), in place of z.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from hmrl_cli.algorithms.skills import _on_policy
from hmrl_cli.algorithms.skills._on_policy import Learned, Objective, Place
from hmrl_cli.algorithms.skills._spaces import box, places
from hmrl_cli.environment.features import feature_size
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.learning import moments, networks
from hmrl_cli.learning.empowerment import lower_bound
from hmrl_cli.learning.returns import masked_mean

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Metrics, Params, SkillLearner, TaskFamily

FAR = 5.0  # spreads of q that the policy sees as a way of length 1
REACH_RATE = 0.05  # of the log of a reach that adapts, in each update


class Config(_on_policy.Config):
    """Settings of skills that are places."""

    name: Literal["vgcrl"] = "vgcrl"
    discriminate: str = Field("xy", description="feature of the observation whose values are the places")
    center: tuple[float, ...] = Field(
        (), strict=False, description="value of the feature where z is 0; empty: zeros"
    )
    reach: float = Field(
        3.0, gt=0, le=1e6, description="how far from the center z = 1 is, in the feature's units"
    )
    arrivals: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of episodes that end at their place, to which the reach adapts; none: it stays",
    )
    spread: float = Field(
        0.6, gt=0, le=1e6, description="scale of q(z|s), and what counts as near, in the feature's units"
    )
    q: Literal["fixed", "learned"] = Field(
        "fixed", description="whether q is given by the feature, or learned"
    )
    redraw: float = Field(
        0.01, ge=0, lt=1, description="chance before each step that the skill is drawn anew"
    )
    fall_price: float = Field(2.0, ge=0, le=1e6, description="what an early end costs")
    hidden: networks.Hidden = Field((128, 128), strict=False, description="units per layer of a learned q")
    observe: str = Field("body", description="feature of the observation that the policy sees beside the way")

    def unused(self) -> dict[str, str]:
        """What one form of q has and the other lacks."""
        if self.q == "fixed":
            return dict.fromkeys(("hidden", "learning_rate"), "algorithm.q is fixed")
        return dict.fromkeys(("center", "arrivals"), "algorithm.q is learned")


class State(NamedTuple):
    """What is learned beside the policy."""

    net: Learned | None  # of a learned q
    reach: Array  # []


class _Rows(NamedTuple):
    """What a learned q sees, of each step [R]."""

    seen: Array  # [R, F]
    skill: Array  # [R, F]
    valid: Array  # [R]


class Vgcrl(NamedTuple):
    """The objective, bound to its family."""

    config: Config
    family: TaskFamily
    net: networks.Network | None
    size: int  # of the feature, and so of a skill

    @property
    def examples(self) -> Array:
        """Skills [M, size] to measure."""
        return places(self.size)

    def init(self, key: Key) -> State:
        """The whole reach, and a fresh network."""
        net = None if self.net is None else _on_policy.begin(self.net.init(key), self.size)
        return State(net, jnp.float32(self.config.reach))

    def reward(self, key: Key, state: State, skills: Array, path: Array, valid: Array) -> tuple[Array, Array]:
        """log q(z|s') - log q(z|s), less the price of an early end."""
        skills = self._of_steps(skills, valid)
        params = self.freeze(state)
        before, after = (self._density(params, path[:, part], skills) for part in (slice(-1), slice(1, None)))
        ended = valid - jnp.concatenate([valid[:, 1:], valid[:, -1:]], axis=1)
        return (after - before - self.config.fall_price * ended)[..., None], jnp.ones((len(path), 1))

    def learn(
        self, key: Key, state: State, skills: Array, path: Array, valid: Array
    ) -> tuple[State, Metrics]:
        """Fit a learned q to the skills that led to the states; let a reach adapt."""
        skills = self._of_steps(skills, valid)
        params = self.freeze(state)
        bound = self._density(params, path[:, 1:], skills) + self.size * math.log(2)
        distance = jnp.linalg.norm(skills - self.locate(params, path[:, 1:]), axis=-1) * state.reach
        near = distance < self.config.spread
        arrivals = jnp.mean(near[:, -1] * valid[:, -1])
        metrics = {
            "mutual_information": lower_bound(bound, 0.0, valid),
            "near": masked_mean(near, valid),
            "arrivals": arrivals,
            "reach": state.reach,
        }
        if self.config.arrivals is not None and self.net is None:
            reach = state.reach * jnp.exp(REACH_RATE * (arrivals - self.config.arrivals))
            # below the spread every place is near every other
            state = state._replace(reach=jnp.maximum(reach, self.config.spread))
        if state.net is None or self.net is None:
            return state, metrics
        seen = self.family.features[self.config.discriminate](path[:, 1:])
        net = state.net._replace(observed=moments.absorb(state.net.observed, seen, valid))
        rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), _Rows(seen, skills, valid))

        def loss(params: Params, minibatch: _Rows) -> tuple[Array, Metrics]:
            answer = self._answer(params, net.observed, minibatch.seen)
            return masked_mean(jnp.abs(minibatch.skill - answer).sum(axis=-1), minibatch.valid), {}

        net, _ = _on_policy.descend(key, net, loss, rows, self.config)
        return state._replace(net=net), metrics

    def log_q(self, state: State, path: Array) -> Array:
        """Log share of each example in q(. | s') [..., T, M] along a path [..., T + 1, obs_size]."""
        of_example = self._density(self.freeze(state), path[..., 1:, None, :], self.examples)
        return jax.nn.log_softmax(of_example)

    def freeze(self, state: State) -> Params:
        """What it takes to locate."""
        frozen = {"reach": state.reach}
        return (
            frozen
            if state.net is None
            else frozen | {"net": state.net.params, "observed": state.net.observed}
        )

    def locate(self, params: Params, obs: Array) -> Array:
        """The mode m(s) of q(z|s) [..., size]."""
        seen = self.family.features[self.config.discriminate](obs)
        if self.net is not None:
            return self._answer(params["net"], params["observed"], seen)
        return (seen - jnp.array(self.config.center or (0.0,) * self.size)) / params["reach"]

    def way(self, params: Params, obs: Array, skill: Array) -> Array:
        """z - m(s), in units that do not change with the reach."""
        return (skill - self.locate(params, obs)) * params["reach"] / (FAR * self.config.spread)

    def _answer(self, params: Params, observed: moments.Moments, seen: Array) -> Array:
        assert self.net is not None
        return jnp.tanh(self.net.apply(params, moments.normalize(observed, seen)))

    def _density(self, params: Params, obs: Array, skills: Array) -> Array:
        """log q(z|s) [...] of skills [..., size] at observations [..., obs_size]."""
        scale = self.config.spread / params["reach"]
        distance = jnp.abs(skills - self.locate(params, obs)).sum(axis=-1)
        return -distance / scale - self.size * jnp.log(2 * scale)

    def _of_steps(self, skills: Array, valid: Array) -> Array:
        """The skill of every step [N, T, size]."""
        skills = skills if self.config.redraw else skills[:, None]
        return jnp.broadcast_to(skills, (*valid.shape, self.size))


def make(config: Config, family: TaskFamily) -> SkillLearner:
    """Skills that are places, on a family, plain or lifted.

    Raises ValueError for a feature that the family does not have, for a center of another size, and for steps
    that make no whole minibatch.
    """
    size = feature_size(family, "algorithm.discriminate", config.discriminate)
    if config.center and len(config.center) != size:
        raise ValueError(
            f"algorithm.center: found {len(config.center)} numbers; must be {size}, "
            f"as {config.discriminate!r} of {family.name} has"
        )
    net = networks.mlp(size, config.hidden, size) if config.q == "learned" else None
    goal = Vgcrl(config, family, net, size)
    objective = Objective(
        box(size)._replace(examples=goal.examples),
        goal.init,
        goal.reward,
        goal.learn,
        goal.log_q,
        redraw=config.redraw,
        place=Place(goal.freeze, goal.locate, goal.way, is_affine=net is None),
    )
    return _on_policy.make(config, family, objective)
