"""Brax's ant, and its scripted gaits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from xml.etree import ElementTree

import pydantic

from hmrl_cli.families import _physics
from hmrl_cli.families._walkers import Walker, WalkerConfig
from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array, EnvState

Q_SIZE = 15  # x, y, z, quaternion, then hip and ankle angles of four legs
HEALTHY = (0.2, 1.0)  # heights of the torso, m
LEG_ANGLES = (
    0.25 * math.pi,
    0.75 * math.pi,
    1.25 * math.pi,
    1.75 * math.pi,
)  # rad, directions of legs 1 .. 4 from the torso
ANKLE_SIGNS = (1.0, -1.0, -1.0, 1.0)  # sign of the ankle angle that lowers the foot
SCENERY = 2  # contact bit of the scenery; the floor has bit 1
SOLID = ("torso_geom", "left_foot_geom", "right_foot_geom", "third_foot_geom", "fourth_foot_geom")
MOTOR_JOINTS = (6, 7, 0, 1, 2, 3, 4, 5)  # joint of each motor in brax's ant.xml


class AntConfig(WalkerConfig):
    """Settings of every ant."""

    # s.  1024 ants under random bang-bang torques stay finite; at .05 / 5 spring diverges.
    longest_substep: ClassVar[float] = 0.05 / 6

    substeps: int = pydantic.Field(6, gt=0, le=100, description="physics steps in a control step")
    gear: float = pydantic.Field(150.0, gt=0, le=1000, description="torque of an action of 1, N m")
    control_cost: float = pydantic.Field(0.005, ge=0, le=10, description="weight of the squared action")
    ends_when_fallen: bool = pydantic.Field(
        True,
        description="whether a torso below .2 m or above 1 m ends the episode; true in MAESN, false in METRA",
    )


class Gait(NamedTuple):
    """Parameters of a scripted gait."""

    frequency: Any  # rad/s
    hip: Any  # [2] rad, coefficients of cosine and sine of the phase
    crouch: Any  # rad
    lean: Any  # rad
    lift: Any  # [2] rad, likewise
    reach: Any  # [2] rad, likewise
    stiffness: Any  # N m / rad
    damping: Any  # N m s / rad
    phases: Any  # [3] rad, of legs 2, 3 and 4 relative to leg 1


# Found once by the cross-entropy method, for goals in all directions: with the default settings, and for weak
# motors at 100 Hz for 2 s.
DIAGONAL = (math.pi, 0.0, math.pi)
PACED = (3.32, 0.131, 3.21)
TROTS = {
    150.0: Gait(9.71, (0.525, -0.29), 0.689, -0.204, (-0.144, 0.22), (-0.314, 0.272), 246.0, 12.1, DIAGONAL),
    30.0: Gait(6.36, (-0.027, -1.04), 1.05, 0.005, (-0.081, 0.846), (-0.391, 0.873), 252.0, 11.8, PACED),
}  # by the gear that each was found for


class Run(NamedTuple):
    """Parameters of the scripted run: a gait that is linear in the pace."""

    rest: Gait  # at a pace of 0
    slope: Gait  # per m/s of pace
    pace: float  # pace for a wanted speed of 1 m/s, m/s
    catch_up: float  # pace for each metre behind the wanted position, 1/s
    aim: float  # gain of the steering back to the line y = 0


# Found once by the cross-entropy method, with the default settings, for speeds from .2 to 3.2 m/s.
RUN = Run(
    rest=Gait(
        frequency=6.7,
        hip=(-0.0847, 0.15),
        crouch=0.637,
        lean=-0.0103,
        lift=(0.0013, -0.0249),
        reach=(0.0351, -0.0451),
        stiffness=182.0,
        damping=9.97,
        phases=(3.06, 0.435, 3.05),
    ),
    slope=Gait(
        frequency=-1.11,
        hip=(0.186, -0.266),
        crouch=-0.136,
        lean=-0.194,
        lift=(-0.0972, 0.0669),
        reach=(-0.151, 0.0829),
        stiffness=-4.37,
        damping=2.64,
        phases=(0.255, 0.106, -0.0113),
    ),
    pace=0.561,
    catch_up=0.599,
    aim=0.906,
)
MAX_PACE = 4.5  # m/s


def ant(config: AntConfig, scenery: str = "") -> Walker:
    """Return brax's ant: obs [29] = q [15], qd [14]; action [8] of motors.

    With `ends_when_fallen`, a torso below .2 m or above 1 m has fallen.  A fall ends the episode without
    success.  Brax's ant.xml has the armature and the damping of MAESN's joints.  The backends mjx and
    generalized use both; spring and positional have no such terms.

    Args:
        config: settings of the body.
        scenery: MJCF of fixed geoms; torso and feet collide with those of conaffinity SCENERY.
    """
    physics = _physics.load(
        _xml(config.gear, scenery), backend=config.backend, dt=config.dt, substeps=config.substeps
    )
    return Walker(
        physics=physics,
        normalize=lambda q: q.at[3:7].divide(jnp.linalg.norm(q[3:7])),
        position=3,
        healthy=_stands if config.ends_when_fallen else None,
        features=_physics.features(Q_SIZE),
        dt=config.dt,
    )


def _stands(obs: Array) -> Array:
    return (obs[2] >= HEALTHY[0]) & (obs[2] <= HEALTHY[1])


def _xml(gear: float, scenery: str) -> str:
    """Return MJCF of brax's ant with motors of the given gear, and the scenery."""
    root = ElementTree.fromstring(_physics.brax_model("ant"))
    for motor in root.iter("motor"):
        motor.set("gear", str(gear))
    if scenery:
        for geom in root.iter("geom"):
            if geom.get("name") in SOLID:
                geom.set("contype", str(int(geom.get("contype", "0")) | SCENERY))
        _physics.add_scenery(root, scenery)
    return ElementTree.tostring(root, encoding="unicode")


def walk_to(state: EnvState, place: Array, gear: float) -> Array:
    """Return the action that trots to a place [2], m, and stands still there."""
    way = place - state.obs[:2]
    return trot(state, way, jnp.clip((jnp.linalg.norm(way) - 0.15) / 0.35, 0.0, 1.0), gear)


def trot(state: EnvState, way: Array, stride: Array, gear: float) -> Array:
    """Return the action of a trot along the direction `way` [2], for any heading of the torso.

    `stride` [] from 0 to 1 scales the steps.
    """
    gait = TROTS[min(TROTS, key=lambda known: abs(known - gear))]
    hip, lift, reach = (stride * jnp.array(swing) for swing in (gait.hip, gait.lift, gait.reach))
    gait = gait._replace(hip=hip, lean=stride * gait.lean, lift=lift, reach=reach)
    return _move_legs(state, way, gait, gear)


def run_at(state: EnvState, speed: Array, gear: float) -> Array:
    """Return the action of a run along x whose mean speed since the start is `speed`, m/s."""
    behind = jnp.clip(speed * state.body.time - state.obs[0], -1.0, 1.0)
    pace = jnp.clip(RUN.pace * speed + RUN.catch_up * behind, 0.0, MAX_PACE)
    gait = jax.tree.map(lambda rest, slope: rest + pace * slope, RUN.rest, RUN.slope)
    way = jnp.stack([jnp.float32(4.0), -RUN.aim * state.obs[1]])
    return _move_legs(state, way, gait, gear)


def _move_legs(state: EnvState, way: Array, gait: Gait, gear: float) -> Array:
    """Return the action of a gait along the direction `way` [2].

    Each leg has an angle between the leg and `way`.  The leg's hip swings with the sine of this angle, its
    ankle with the cosine.  A proportional-derivative controller follows the joint targets.
    """
    obs = state.obs
    w, x, y, z = obs[3:7]
    yaw = jnp.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    direction = jnp.arctan2(way[1], way[0]) - yaw - jnp.array(LEG_ANGLES)  # [4]
    aside, ahead = jnp.sin(direction), jnp.cos(direction)
    phase = gait.frequency * state.body.time + jnp.append(0.0, jnp.array(gait.phases))
    swing = jnp.stack([jnp.cos(phase), jnp.sin(phase)])  # [2, 4]
    hip = aside * (jnp.array(gait.hip) @ swing)
    ankle = gait.crouch + gait.lean * ahead
    ankle += jnp.array(gait.lift) @ swing + ahead * (jnp.array(gait.reach) @ swing)
    target = jnp.stack([hip, jnp.array(ANKLE_SIGNS) * ankle], axis=1).reshape(8)  # [8], in the order of q
    torque = gait.stiffness * (target - obs[7:15]) - gait.damping * obs[21:29]
    return jnp.clip(torque / gear, -1.0, 1.0)[jnp.array(MOTOR_JOINTS)]
