"""MAESN's wheeled robot (Gupta et al. 2018, 1802.07245): drive to a goal on a ring of 2 m."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self
from xml.etree import ElementTree

import pydantic

from hmrl_cli.families import _physics, _ring
from hmrl_cli.families._goals import disc, half_circle
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import Continuous, EnvState, Scene, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

MAX_TORQUE = 2.0  # N m on each wheel, at an action of 1
CASTER_RADIUS = 0.1  # m
GRAVITY = 9.81  # m / s^2
HEIGHT = 0.2  # m, of the middle of the chassis, as in assets/wheeled.xml
POSITION_NOISE = 0.01  # of the start, as the MuJoCo environments of rllab, in which MAESN was run
VELOCITY_NOISE = 0.1


class Config(_ring.RingConfig):
    """A robot with two driven wheels that drives to a goal on a half ring."""

    name: Literal["wheeled"] = pydantic.Field("wheeled", description="MAESN's wheeled robot")
    horizon: int = pydantic.Field(100, gt=0, le=10_000, description="steps of an episode")
    # Not positional: it slows a body on two slides and a hinge down, the other three agree.
    backend: Literal["spring", "mjx", "generalized"] = pydantic.Field("spring", description="Brax pipeline")
    dt: float = pydantic.Field(0.05, gt=0, le=0.1, description="control step, s")
    substeps: int = pydantic.Field(1, gt=0, le=100, description="physics steps in a control step")
    control_cost: float = pydantic.Field(
        0.05, ge=0, le=10, description="weight of the squared torques, 1/(N m)^2"
    )
    mass: float = pydantic.Field(14.0, gt=0, le=1000, description="of the robot with its wheels, kg")
    turning_inertia: float = pydantic.Field(
        14.0 / 3.0 * (0.3**2 + 0.2**2),  # of a box of .6 m x .4 m
        gt=0,
        le=1000,
        description="of the robot with its wheels about the vertical, kg m^2",
    )
    wheel_inertia: float = pydantic.Field(
        0.0, ge=0, le=10, description="of a driven wheel about its axle, kg m^2"
    )
    wheel_radius: float = pydantic.Field(0.2, gt=0, le=1, description="of a driven wheel, m")
    half_track: float = pydantic.Field(
        0.25, gt=0, le=1, description="from the middle of the robot to a driven wheel, m"
    )
    rolling_drag: float = pydantic.Field(4.0, ge=0, le=1000, description="against the speed, N s/m")
    turning_drag: float = pydantic.Field(1.0, ge=0, le=1000, description="against turning, N m s")
    friction: float = pydantic.Field(
        0.8, ge=0, le=10, description="what the tyres hold sideways, in shares of the weight"
    )

    @pydantic.model_validator(mode="after")
    def _drag_is_stable(self) -> Self:
        rate = max(self.rolling_drag / self.mass, self.turning_drag / self.turning_inertia)
        _physics.check_drag(rate, self.dt, self.substeps)
        return self


class Body(NamedTuple):
    """What a wheeled robot needs to go on."""

    physics: Any  # state of the Brax pipeline: x, y, yaw
    wheels: Array  # [3] angles of the left, right and caster wheel, rad
    intact: Array  # [] bool  the simulation has not exploded


class Drive(NamedTuple):
    """The numbers of the scripted drive."""

    pace: float  # 1/s, from the distance ahead to a speed
    speed: float  # m/s, at most
    thrust: float  # N s / m
    steer: float  # 1/s, from the error of the heading to a rate of turning
    twist: float  # N m s


# The second was found once by the cross-entropy method, in MAESN's setting, on tasks of train.
DRIVES = {
    0.2: Drive(pace=1.6, speed=math.inf, thrust=20.0, steer=3.0, twist=4.0),
    0.1: Drive(pace=1.95, speed=2.41, thrust=43.8, steer=2.83, twist=7.15),
}  # by the radius of the wheels that they were found for


def make(config: Config) -> TaskFamily:
    """Build the family: obs [12] = q, qd of x, y, yaw and three wheels, action [2] torques, task [2] goal.

    Dense r = -||p - g||_2 - 0.05 sum a^2, with the torques a = 2 clip(action); sparse r has -||g||_2 in
    place of -||p - g||_2 outside the disc.  Success: inside the disc.  Never an early end.  Start: at the
    origin, looking along x, with a little noise.

    Only x, y and yaw are simulated by Brax.  The wheels roll without slipping along the heading, so their
    forces on the body, their inertia and, from its motion, their angles follow in closed form.  Sideways the
    tyres hold until their grip is exceeded.  Torques are MAESN's.  The default body is easier to drive than
    MAESN's, whose numbers are in the preset wheeled@maesn.  A caster takes the place of MAESN's third
    coordinate, the height.  Angles are observed in [-pi, pi).
    """
    physics = _physics.load(_xml(config), backend=config.backend, dt=config.dt, substeps=config.substeps)

    def reset(key: Key, task: Task) -> EnvState:
        q_key, qd_key = jax.random.split(key)
        q = POSITION_NOISE * jax.random.normal(q_key, (3,))
        qd = VELOCITY_NOISE * jax.random.normal(qd_key, (3,))
        no = jnp.zeros((), bool)
        body = Body(physics.init(q, qd), jnp.zeros(3), ~no)
        return EnvState(body, _observe(body, config), jnp.zeros(()), no, no, no)

    def step(state: EnvState, action: Array, task: Task) -> EnvState:
        torques = MAX_TORQUE * jnp.clip(action, -1.0, 1.0)
        moved = physics.step(
            state.body.physics, lambda now: _traction(now.q, now.qd, torques, physics.substep_dt, config)
        )
        is_intact = _physics.intact(state.body.physics, moved, range(2), config.dt) & state.body.intact
        body = Body(moved, state.body.wheels + config.dt * _wheel_rates(moved.q, moved.qd, config), is_intact)
        obs = jnp.where(is_intact, _observe(body, config), state.obs)
        offset = obs[:2] - task
        cost = _ring.goal_cost(offset, task, 2, config) + config.control_cost * jnp.sum(jnp.square(torques))
        success = _ring.in_disc(offset, config) & is_intact
        return EnvState(body, obs, -cost, success, state.reached, state.done)

    return TaskFamily(
        name=config.name,
        sample=lambda key, split: half_circle(key, split, config.goal_radius),
        reset=reset,
        step=step,
        controller=lambda state, task: _drive(state, task, config),
        features=_physics.features(q_size=6),
        obs_size=12,
        task_size=2,
        action=Continuous(2),
        horizon=config.horizon,
        terminates=False,
        scene=Scene(
            physics.shapes,
            lambda state: physics.poses(state.body.physics),
            lambda state, task: disc(task, config.sparse_radius),
            config.dt,
            flat=False,
        ),
    )


def _xml(config: Config) -> str:
    """Return the model with the mass and the shape of the settings."""
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

    What it takes to spin the wheels up is their share of the torques.
    """
    heading, left = _directions(q[2])
    forces = torques / config.wheel_radius
    forward = jnp.sum(forces) - config.rolling_drag * jnp.dot(qd[:2], heading)
    # The force that ends the sideways slip within one substep, unless the tyres lose their grip.
    grip = config.friction * config.mass * GRAVITY
    sideways = jnp.clip(-config.mass * jnp.dot(qd[:2], left) / dt, -grip, grip)
    moment = config.half_track * (forces[1] - forces[0]) - config.turning_drag * qd[2]
    wheels = 2.0 * config.wheel_inertia / config.wheel_radius**2  # kg, what both add to the mass
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
    # Only the phase of an angle means anything; unbounded it would swamp a network.
    angles = _physics.wrap_angle(jnp.append(q[2], body.wheels))
    return jnp.concatenate([q[:2], angles, qd, _wheel_rates(q, qd, config)])


def _drive(state: EnvState, task: Task, config: Config) -> Array:
    """Turn to the goal, or the back to it, whichever is nearer, and brake in time to stop there."""
    drive = DRIVES[min(DRIVES, key=lambda known: abs(known - config.wheel_radius))]
    q, qd = state.body.physics.q, state.body.physics.qd
    heading, left = _directions(q[2])
    ahead, aside = jnp.dot(task - q[:2], heading), jnp.dot(task - q[:2], left)
    error = jnp.arctan(aside / jnp.where(jnp.abs(ahead) < 1e-3, 1e-3, ahead))
    distance = jnp.hypot(ahead, aside)
    # On the spot the direction to the goal is all noise: stop turning.
    error = error * jnp.clip(distance / 0.2, 0.0, 1.0)
    speed = jnp.dot(qd[:2], heading)
    wanted = jnp.clip(drive.pace * ahead * jnp.cos(error), -drive.speed, drive.speed)
    force = drive.thrust * (wanted - speed) + config.rolling_drag * speed
    moment = drive.twist * (drive.steer * error - qd[2])
    turn = moment / config.half_track
    torques = jnp.stack([force - turn, force + turn]) * config.wheel_radius / 2.0
    return jnp.clip(torques / MAX_TORQUE, -1.0, 1.0)
