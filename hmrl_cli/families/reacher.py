"""Gym's reacher (Brockman et al. 2016, 1606.01540): the tip of an arm of two links reaches a goal in a plane.

These are the differences:

* The arm does not observe the goal.  Goals lie on a ring or in a disc around the shoulder.
* It starts folded, with its tip at the shoulder, so that no direction is nearer than others.  So both links
  have 0.1 m, where Gym's tip is 0.11 m from the elbow.
* Motors have a tenth of Gym's torque, an episode lasts 2.5 s instead of 1 s, and actions cost less.  To reach
  a goal at 0.18 m takes the scripted controller half a second.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pydantic

from hmrl_cli.families import _physics, _ring
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import EnvState, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

LINK = 0.1  # m, length of a link, as in assets/reacher.xml
MAX_TORQUE = 20.0  # N m of a motor, at an action of 1
DRAG = 1.0  # N m s of a joint
FOLDED = (0.0, math.pi)  # rad, of shoulder and elbow at the start
START_NOISE = 0.01  # rad, and rad / s
STIFFNESS, DAMPING = 100.0, 20.0  # N m / rad and N m s / rad of the scripted controller, critically damped


class Config(_ring.RingConfig):
    """An arm of two links that reaches for a goal."""

    name: Literal["reacher"] = pydantic.Field("reacher", description="Gym's reacher, with a hidden goal")
    horizon: int = pydantic.Field(50, gt=0, le=10_000, description="steps of an episode")
    # Neither spring nor positional: both ignore the armature of joints.
    backend: Literal["generalized", "mjx"] = pydantic.Field("generalized", description="Brax pipeline")
    dt: float = pydantic.Field(0.05, gt=0, le=0.1, description="control step, s")
    substeps: int = pydantic.Field(1, gt=0, le=100, description="physics steps in a control step")
    control_cost: float = pydantic.Field(0.01, ge=0, le=10, description="weight of the squared actions")
    goal_radius: float = pydantic.Field(
        0.18,
        gt=0,
        le=2 * LINK,
        description="distance of the goals from the shoulder, of an arena the largest, m",
    )
    sparse_radius: float = pydantic.Field(
        0.04,
        gt=0,
        le=2 * LINK,
        description="radius of the disc of success, outside of which the sparse reward is constant, m",
    )


class Body(NamedTuple):
    """State of the arm's simulation."""

    physics: Any  # state of the Brax pipeline: shoulder and elbow
    intact: Array  # [] bool  the simulation has not exploded


def make(config: Config) -> TaskFamily:
    """Build the family: obs [10], action [2], task [2] goal, m.

    The observation is x, y of the tip in m, cosines and sines of shoulder and elbow, the tip's velocity in
    m/s, and the speeds of both joints in rad/s.  The action gives the torques 20 clip(action), N m.

    Dense r = -||p - g||_2 - 0.01 sum a^2, with the tip at p, the goal g and a = clip(action).  Outside the
    disc of `sparse_radius` the sparse r has ||g||_2 in place of ||p - g||_2.  No early end.  Success: the tip
    inside the disc.  Start: folded, at rest, with a little noise.
    """
    xml = _physics.own_model("reacher")
    physics = _physics.load(xml, backend=config.backend, dt=config.dt, substeps=config.substeps)
    return _ring.family(
        config,
        physics,
        reset=lambda key, task: _reset(key, physics),
        step=lambda state, action, task: _step(state, action, task, physics, config),
        controller=lambda state, task: _reach(state, task),
        q_size=6,
        obs_size=10,
        action_size=2,
    )


def _reset(key: Key, physics: _physics.Physics) -> EnvState:
    q, qd = jnp.array([FOLDED, (0.0, 0.0)]) + START_NOISE * jax.random.normal(key, (2, 2))
    no = jnp.zeros((), bool)
    state = physics.init(q, qd)
    return EnvState(Body(state, ~no), _observe(state), jnp.zeros(()), no, no, no)


def _step(state: EnvState, action: Array, task: Task, physics: _physics.Physics, config: Config) -> EnvState:
    action = jnp.clip(action, -1.0, 1.0)
    moved = physics.step(state.body.physics, lambda now: MAX_TORQUE * action - DRAG * now.qd)
    # The limit of lengths serves for the angles: drag keeps the joints below 20 rad / s.
    is_intact = _physics.intact(state.body.physics, moved, range(2), config.dt) & state.body.intact
    obs = jnp.where(is_intact, _observe(moved), state.obs)
    offset = obs[:2] - task
    cost = _ring.goal_cost(offset, task, 2, config) + config.control_cost * jnp.sum(jnp.square(action))
    success = _ring.in_disc(offset, config) & is_intact
    return EnvState(Body(moved, is_intact), obs, -cost, success, state.reached, state.done)


def _observe(state: Any) -> Array:
    angles, rates = jnp.cumsum(state.q), jnp.cumsum(state.qd)  # of the links, against the x axis
    tip = LINK * jnp.stack([jnp.cos(angles).sum(), jnp.sin(angles).sum()])
    velocity = LINK * jnp.stack([-(rates * jnp.sin(angles)).sum(), (rates * jnp.cos(angles)).sum()])
    return jnp.concatenate([tip, jnp.cos(state.q), jnp.sin(state.q), velocity, state.qd])


def _reach(state: EnvState, task: Task) -> Array:
    """Return the action that turns both joints to where the tip is at the goal, and stops there."""
    q, qd = state.body.physics.q, state.body.physics.qd
    elbow = 2.0 * jnp.arccos(jnp.clip(jnp.linalg.norm(task) / (2.0 * LINK), 0.0, 1.0))
    shoulder = jnp.arctan2(task[1], task[0]) - elbow / 2.0
    error = _physics.wrap_angle(jnp.stack([shoulder, elbow]) - q)
    return jnp.clip((STIFFNESS * error - DAMPING * qd) / MAX_TORQUE, -1.0, 1.0)
