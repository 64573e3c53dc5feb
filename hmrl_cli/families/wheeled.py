"""MAESN's wheeled robot (Gupta et al. 2018, 1802.07245): drive to a goal on a half circle of 2 m.

Brax simulates only x, y and yaw.  The wheels roll without slipping along the heading.  So their forces on
the body, their inertia and their angles follow in closed form from the motion of the body.  Sideways the
tyres hold up to the limit of their grip.  Torques are MAESN's.  The default body is easier to drive than
MAESN's, whose numbers are in the preset wheeled@maesn.  A caster wheel takes the place of MAESN's third
coordinate, the height.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self
from xml.etree import ElementTree

import pydantic

from hmrl_cli.families import _physics, _ring
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import EnvState, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

MAX_TORQUE = 2.0  # N m on each wheel, at an action of 1
CASTER_RADIUS = 0.1  # m
GRAVITY = 9.81  # m / s^2
HEIGHT = 0.2  # m, height of the chassis' centre, as in assets/wheeled.xml
POSITION_NOISE = 0.01  # of positions at the start, as in rllab's MuJoCo environments, which MAESN uses
VELOCITY_NOISE = 0.1  # of velocities at the start


class Config(_ring.RingConfig):
    """A robot with two driven wheels that drives to a goal on a half ring."""

    name: Literal["wheeled"] = pydantic.Field("wheeled", description="MAESN's wheeled robot")
    horizon: int = pydantic.Field(100, gt=0, le=10_000, description="steps of an episode")
    # Not positional: it slows a body on two slides and a hinge down.  The other three agree.
    backend: Literal["spring", "mjx", "generalized"] = pydantic.Field("spring", description="Brax pipeline")
    dt: float = pydantic.Field(0.05, gt=0, le=0.1, description="control step, s")
    substeps: int = pydantic.Field(1, gt=0, le=100, description="physics steps in a control step")
    control_cost: float = pydantic.Field(
        0.05, ge=0, le=10, description="weight of the squared torques, 1/(N m)^2"
    )
    mass: float = pydantic.Field(14.0, gt=0, le=1000, description="mass of the robot with its wheels, kg")
    turning_inertia: float = pydantic.Field(
        14.0 / 3.0 * (0.3**2 + 0.2**2),  # of a box of .6 m x .4 m and 14 kg
        gt=0,
        le=1000,
        description="moment of inertia of the robot with its wheels about the vertical, kg m^2",
    )
    wheel_inertia: float = pydantic.Field(
        0.0, ge=0, le=10, description="moment of inertia of a driven wheel about its axle, kg m^2"
    )
    wheel_radius: float = pydantic.Field(0.2, gt=0, le=1, description="radius of a driven wheel, m")
    half_track: float = pydantic.Field(
        0.25, gt=0, le=1, description="distance from the middle of the robot to a driven wheel, m"
    )
    rolling_drag: float = pydantic.Field(
        4.0, ge=0, le=1000, description="drag against the forward speed, N s/m"
    )
    turning_drag: float = pydantic.Field(1.0, ge=0, le=1000, description="drag against turning, N m s")
    friction: float = pydantic.Field(
        0.8, ge=0, le=10, description="greatest sideways force of the tyres, as a share of the weight"
    )

    @pydantic.model_validator(mode="after")
    def _drag_is_stable(self) -> Self:
        rate = max(self.rolling_drag / self.mass, self.turning_drag / self.turning_inertia)
        _physics.check_drag(rate, self.dt, self.substeps)
        return self


class Body(NamedTuple):
    """State of the wheeled robot's simulation."""

    physics: Any  # state of the Brax pipeline: x, y, yaw
    wheels: Array  # [3] angles of the left, right and caster wheel, rad
    intact: Array  # [] bool  the simulation has not exploded


class Drive(NamedTuple):
    """Parameters of the scripted drive."""

    pace: float  # 1/s, speed per distance ahead
    speed: float  # m/s, greatest speed
    thrust: float  # N s / m, force per error of the speed
    steer: float  # 1/s, angular speed per error of the heading
    twist: float  # N m s, moment per error of the angular speed


# The second was found once by the cross-entropy method, with MAESN's body, on train tasks.
DRIVES = {
    0.2: Drive(pace=1.6, speed=math.inf, thrust=20.0, steer=3.0, twist=4.0),
    0.1: Drive(pace=1.95, speed=2.41, thrust=43.8, steer=2.83, twist=7.15),
}  # by the wheel radius that each was found for


def make(config: Config) -> TaskFamily:
    """Build the family: obs [12], action [2], task [2] goal, m.

    The observation is q [6] and qd [6]: x, y in m, yaw, and the angles of the left, right and caster wheel in
    rad.  Angles are in [-pi, pi).  The action gives the torques a = 2 clip(action) of the left and the right
    wheel, N m.

    Dense r = -||p - g||_2 - 0.05 sum a^2, with the position p and the goal g.  Outside the disc of
    `sparse_radius` the sparse r has ||g||_2 in place of ||p - g||_2.  No early end.  Success: inside the
    disc.  Start: at the origin, facing along x, with a little noise.
    """
    physics = _physics.load(_xml(config), backend=config.backend, dt=config.dt, substeps=config.substeps)
    return _ring.family(
        config,
        physics,
        reset=lambda key, task: _reset(key, physics, config),
        step=lambda state, action, task: _step(state, action, task, physics, config),
        controller=lambda state, task: _drive(state, task, config),
        q_size=6,
        obs_size=12,
        action_size=2,
    )


def _reset(key: Key, physics: _physics.Physics, config: Config) -> EnvState:
    q_key, qd_key = jax.random.split(key)
    q = POSITION_NOISE * jax.random.normal(q_key, (3,))
    qd = VELOCITY_NOISE * jax.random.normal(qd_key, (3,))
    no = jnp.zeros((), bool)
    body = Body(physics.init(q, qd), jnp.zeros(3), ~no)
    return EnvState(body, _observe(body, config), jnp.zeros(()), no, no, no)


def _step(state: EnvState, action: Array, task: Task, physics: _physics.Physics, config: Config) -> EnvState:
    torques = MAX_TORQUE * jnp.clip(action, -1.0, 1.0)
    moved = physics.step(
        state.body.physics, lambda now: _traction(now.q, now.qd, torques, physics.substep_dt, config)
    )
    is_intact = _physics.intact(state.body.physics, moved, range(2), config.dt) & state.body.intact
    wheels = state.body.wheels + config.dt * _wheel_rates(moved.q, moved.qd, config)
    body = Body(moved, wheels, is_intact)
    obs = jnp.where(is_intact, _observe(body, config), state.obs)
    offset = obs[:2] - task
    cost = _ring.goal_cost(offset, task, 2, config) + config.control_cost * jnp.sum(jnp.square(torques))
    success = _ring.in_disc(offset, config) & is_intact
    return EnvState(body, obs, -cost, success, state.reached, state.done)


def _xml(config: Config) -> str:
    """Return MJCF of the robot with the mass and the shape of the settings."""
    root = ElementTree.fromstring(_physics.own_model("wheeled"))
    track, radius = config.half_track, config.wheel_radius
    for inertial in root.iter("inertial"):
        inertial.set("mass", str(config.mass))
        inertial.set("diaginertia", " ".join([str(config.turning_inertia)] * 3))
    looks = {
        "chassis": {"size": f"{1.2 * track} {0.8 * track} 0.08"},
        "left_wheel": {"size": f"{radius} 0.03", "pos": f"0 {track} {radius - HEIGHT}"},
        "right_wheel": {"size": f"{radius} 0.03", "pos": f"0 {-track} {radius - HEIGHT}"},
    }
    for geom in root.iter("geom"):
        geom.attrib |= looks.get(geom.get("name", ""), {})
    return ElementTree.tostring(root, encoding="unicode")


def _directions(yaw: Array) -> tuple[Array, Array]:
    """Return the unit vectors [2] of the heading and of the left-hand side."""
    cos, sin = jnp.cos(yaw), jnp.sin(yaw)
    return jnp.stack([cos, sin]), jnp.stack([-sin, cos])


def _traction(q: Array, qd: Array, torques: Array, dt: float, config: Config) -> Array:
    """Return the force along x and y and the moment about z [3] that the wheels put on the body.

    Part of the torques accelerates the rotation of the wheels instead of the body.
    """
    heading, left = _directions(q[2])
    forces = torques / config.wheel_radius
    forward = jnp.sum(forces) - config.rolling_drag * jnp.dot(qd[:2], heading)
    # The force that stops the sideways motion within one substep, up to the grip of the tyres.
    grip = config.friction * config.mass * GRAVITY
    sideways = jnp.clip(-config.mass * jnp.dot(qd[:2], left) / dt, -grip, grip)
    moment = config.half_track * (forces[1] - forces[0]) - config.turning_drag * qd[2]
    wheels = (
        2.0 * config.wheel_inertia / config.wheel_radius**2
    )  # kg, effective mass that the rotation of both wheels adds
    forward *= config.mass / (config.mass + wheels)
    moment *= config.turning_inertia / (config.turning_inertia + wheels * config.half_track**2)
    return jnp.append(forward * heading + sideways * left, moment)


def _wheel_rates(q: Array, qd: Array, config: Config) -> Array:
    """Return the angular speeds [3] of the left, right and caster wheel, which roll without slipping."""
    speed = jnp.dot(qd[:2], _directions(q[2])[0])
    turn = config.half_track * qd[2]
    radius = config.wheel_radius
    return jnp.stack([(speed - turn) / radius, (speed + turn) / radius, speed / CASTER_RADIUS])


def _observe(body: Body, config: Config) -> Array:
    q, qd = body.physics.q, body.physics.qd
    # Angles are wrapped, because unbounded ones would dominate the input of a network.
    angles = _physics.wrap_angle(jnp.append(q[2], body.wheels))
    return jnp.concatenate([q[:2], angles, qd, _wheel_rates(q, qd, config)])


def _drive(state: EnvState, task: Task, config: Config) -> Array:
    """Return the action that drives to the goal, forward or backward, and stops there.

    The robot turns its front or its back to the goal, whichever is nearer.
    """
    drive = DRIVES[min(DRIVES, key=lambda known: abs(known - config.wheel_radius))]
    q, qd = state.body.physics.q, state.body.physics.qd
    heading, left = _directions(q[2])
    ahead, aside = jnp.dot(task - q[:2], heading), jnp.dot(task - q[:2], left)
    error = jnp.arctan(aside / jnp.where(jnp.abs(ahead) < 1e-3, 1e-3, ahead))
    distance = jnp.hypot(ahead, aside)
    # Near the goal its direction is mostly noise, so the robot stops turning.
    error = error * jnp.clip(distance / 0.2, 0.0, 1.0)
    speed = jnp.dot(qd[:2], heading)
    wanted = jnp.clip(drive.pace * ahead * jnp.cos(error), -drive.speed, drive.speed)
    force = drive.thrust * (wanted - speed) + config.rolling_drag * speed
    moment = drive.twist * (drive.steer * error - qd[2])
    turn = moment / config.half_track
    torques = jnp.stack([force - turn, force + turn]) * config.wheel_radius / 2.0
    return jnp.clip(torques / MAX_TORQUE, -1.0, 1.0)
