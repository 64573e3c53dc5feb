"""MAESN's wheeled robot (Gupta et al. 2018, 1802.07245): drive to a goal on a ring of 2 m."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pydantic

from hmrl_cli.families import _physics, _ring
from hmrl_cli.families._goals import disc, half_circle
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import Continuous, EnvState, Scene, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

MAX_TORQUE = 2.0  # N m on each wheel, at an action of 1
MASS = 14.0  # kg, as in assets/wheeled.xml
WHEEL_RADIUS = 0.2  # m
CASTER_RADIUS = 0.1  # m
HALF_TRACK = 0.25  # m, from the middle of the body to a driven wheel
ROLLING_DRAG = 4.0  # N s / m
TURNING_DRAG = 1.0  # N m s
GRIP = 0.8 * MASS * 9.81  # N, the most that the tyres hold sideways
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


class Body(NamedTuple):
    """What a wheeled robot needs to go on."""

    physics: Any  # state of the Brax pipeline: x, y, yaw
    wheels: Array  # [3] angles of the left, right and caster wheel, rad


def make(config: Config) -> TaskFamily:
    """Build the family: obs [12] = q, qd of x, y, yaw and three wheels, action [2] torques, task [2] goal.

    Dense r = -||p - g||_2 - 0.05 sum a^2, with the torques a = 2 clip(action); sparse r has -||g||_2 in
    place of -||p - g||_2 outside the disc.  Success: inside the disc.  Never an early end.  Start: at the
    origin, looking along x, with a little noise.

    Only x, y and yaw are simulated by Brax.  The wheels roll without slipping along the heading, so their
    forces on the body and, from its motion, their angles follow in closed form; sideways the tyres hold
    until their grip is exceeded.  Mass and torques are MAESN's; the other numbers are chosen here, so
    that the ring is within reach in 2 s.  Angles are observed in [-pi, pi).
    """
    physics = _physics.load(
        _physics.own_model("wheeled"), backend=config.backend, dt=config.dt, substeps=config.substeps
    )

    def reset(key: Key, task: Task) -> EnvState:
        q_key, qd_key = jax.random.split(key)
        q = POSITION_NOISE * jax.random.normal(q_key, (3,))
        qd = VELOCITY_NOISE * jax.random.normal(qd_key, (3,))
        body = Body(physics.init(q, qd), jnp.zeros(3))
        no = jnp.zeros((), bool)
        return EnvState(body, _observe(body), jnp.zeros(()), no, no, no)

    def step(state: EnvState, action: Array, task: Task) -> EnvState:
        torques = MAX_TORQUE * jnp.clip(action, -1.0, 1.0)
        moved = physics.step(
            state.body.physics, lambda now: _traction(now.q, now.qd, torques, physics.substep_dt)
        )
        body = Body(moved, state.body.wheels + config.dt * _wheel_rates(moved.q, moved.qd))
        obs = _observe(body)
        offset = obs[:2] - task
        cost = _ring.goal_cost(offset, task, 2, config) + config.control_cost * jnp.sum(jnp.square(torques))
        return EnvState(body, obs, -cost, _ring.in_disc(offset, config), state.reached, state.done)

    return TaskFamily(
        name=config.name,
        sample=lambda key, split: half_circle(key, split, config.goal_radius),
        reset=reset,
        step=step,
        controller=_drive,
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


def _directions(yaw: Array) -> tuple[Array, Array]:
    """Return the unit vectors [2] of the heading and of the left-hand side."""
    cos, sin = jnp.cos(yaw), jnp.sin(yaw)
    return jnp.stack([cos, sin]), jnp.stack([-sin, cos])


def _traction(q: Array, qd: Array, torques: Array, dt: float) -> Array:
    """Return the force along x and y and the moment about z [3] that the wheels put on the body."""
    heading, left = _directions(q[2])
    forces = torques / WHEEL_RADIUS
    forward = jnp.sum(forces) - ROLLING_DRAG * jnp.dot(qd[:2], heading)
    # The force that ends the sideways slip within one substep, unless the tyres lose their grip.
    sideways = jnp.clip(-MASS * jnp.dot(qd[:2], left) / dt, -GRIP, GRIP)
    moment = HALF_TRACK * (forces[1] - forces[0]) - TURNING_DRAG * qd[2]
    return jnp.append(forward * heading + sideways * left, moment)


def _wheel_rates(q: Array, qd: Array) -> Array:
    """Return the angular speeds [3] of the left, right and caster wheel, which roll without slipping."""
    speed = jnp.dot(qd[:2], _directions(q[2])[0])
    turn = HALF_TRACK * qd[2]
    return jnp.stack([(speed - turn) / WHEEL_RADIUS, (speed + turn) / WHEEL_RADIUS, speed / CASTER_RADIUS])


def _observe(body: Body) -> Array:
    q, qd = body.physics.q, body.physics.qd
    # Only the phase of an angle means anything; unbounded it would swamp a network.
    angles = _physics.wrap_angle(jnp.append(q[2], body.wheels))
    return jnp.concatenate([q[:2], angles, qd, _wheel_rates(q, qd)])


def _drive(state: EnvState, task: Task) -> Array:
    """Turn to the goal, or the back to it, whichever is nearer, and brake in time to stop there."""
    q, qd = state.body.physics.q, state.body.physics.qd
    heading, left = _directions(q[2])
    ahead, aside = jnp.dot(task - q[:2], heading), jnp.dot(task - q[:2], left)
    error = jnp.arctan(aside / jnp.where(jnp.abs(ahead) < 1e-3, 1e-3, ahead))
    distance = jnp.hypot(ahead, aside)
    # On the spot the direction to the goal is all noise: stop turning.
    error = error * jnp.clip(distance / 0.2, 0.0, 1.0)
    speed = jnp.dot(qd[:2], heading)
    wanted = 1.6 * ahead * jnp.cos(error)
    force = 20.0 * (wanted - speed) + ROLLING_DRAG * speed
    moment = 4.0 * (3.0 * error - qd[2])
    turn = moment / HALF_TRACK
    return jnp.clip(jnp.stack([force - turn, force + turn]) * WHEEL_RADIUS / (2.0 * MAX_TORQUE), -1.0, 1.0)
