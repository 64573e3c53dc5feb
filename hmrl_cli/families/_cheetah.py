"""Brax's half-cheetah with cheaper physics, and its scripted gaits."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple
from xml.etree import ElementTree

import pydantic

from hmrl_cli.families import _physics
from hmrl_cli.families._walkers import Walker, WalkerConfig
from hmrl_cli.lazy import jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array, EnvState

Q_SIZE = 9  # x, z, pitch, then thigh, shin and foot of the back leg and of the front leg
# N m at an action of 1, as in brax's half-cheetah under spring and positional; mjx uses the model's gears.
GEARS = (120, 90, 60, 120, 100, 100)
# Geoms that collide with the floor.  Shins cost time under spring.  Under mjx they do too, as in Gym.
SOLID = ("torso", "head", "bthigh", "bfoot", "fthigh", "ffoot")
LEGS = ("bshin", "bfoot", "fshin", "ffoot")  # geoms that collide with scenery of conaffinity OBSTACLE
FLOOR, OBSTACLE = 1, 2  # MuJoCo's collision bits
# Brax's own values 20000, 10000 and 0.8 are unstable at fewer than 16 substeps.  These softer joints are
# stable at 4 substeps and three times as fast.  A scale of 1 gives every link moments of inertia of 1 kg m^2.
SPRINGS = {
    "constraint_stiffness": "4000",
    "constraint_limit_stiffness": "2000",
    "spring_inertia_scale": "1",
}


class CheetahConfig(WalkerConfig):
    """Settings of every half-cheetah."""

    # s.  1024 cheetahs under random bang-bang torques stay finite for 1000 steps; at .05 / 3 spring diverges.
    # At .05 / 16, FORWARD and LEAP run about as far.
    longest_substep: ClassVar[float] = 0.05 / 4

    # Not generalized: there the gaits throw the body 2.6 m high, at a quarter of the speed of mjx.  Gaits of
    # spring are slower under positional and stumble under mjx, which has its own but for hurdles.
    backend: Literal["spring", "mjx", "positional"] = pydantic.Field("spring", description="Brax pipeline")
    substeps: int = pydantic.Field(4, gt=0, le=100, description="physics steps in a control step")
    control_cost: float = pydantic.Field(0.05, ge=0, le=10, description="weight of the squared action")


class Gait(NamedTuple):
    """Parameters of a scripted gait; the six joints are in the order of q."""

    frequency: float  # rad/s
    rest: tuple[float, ...]  # rad, around which the joints swing
    cosine: tuple[float, ...]  # rad, coefficients of the cosine of the phase
    sine: tuple[float, ...]  # rad, of the sine
    stiffness: float  # 1/rad, as a share of the greatest torque
    damping: float  # s/rad, likewise


class Pace(NamedTuple):
    """A gait for all speeds, and the stride that a speed needs."""

    gait: Gait
    per_speed: float  # s/m
    per_lag: float  # 1/m, of the distance by which the body lags behind


# Found once by the cross-entropy method, with the default settings, or on Gym's body under MuJoCo (mjx, 5
# substeps, speeds of 0 to 3 m/s).  Small even steps for all speeds:
STEADY = Gait(
    frequency=27.4,
    rest=(0.249, -0.564, 0.417, -0.0795, -0.144, 0.267),
    cosine=(0.965, 0.512, 0.728, 0.0412, 0.433, 0.49),
    sine=(1.19, 0.0487, 0.569, 0.565, 0.0843, 0.553),
    stiffness=1.41,
    damping=0.0655,
)
PACES = {
    "spring": Pace(STEADY, per_speed=0.135, per_lag=0.251),
    "positional": Pace(STEADY, per_speed=0.135, per_lag=0.251),
    "mjx": Pace(
        Gait(
            frequency=29.1,
            rest=(0.181, -0.405, -0.0814, 0.353, -0.267, 0.231),
            cosine=(-0.00176, 0.862, -0.723, 0.282, 0.328, 0.885),
            sine=(0.404, 0.361, 0.675, -0.615, -0.868, -0.412),
            stiffness=0.413,
            damping=0.00688,
        ),
        per_speed=0.543,
        per_lag=0.648,
    ),
}
# As fast as possible forward and backward:
FORWARD = Gait(
    frequency=28.8,
    rest=(0.238, -0.401, 0.0673, 0.456, -0.203, -0.0633),
    cosine=(1.51, -1.29, 0.737, 0.637, 0.0594, 0.604),
    sine=(-0.806, 0.574, -0.0146, 0.349, -0.52, -0.808),
    stiffness=1.03,
    damping=0.0561,
)
BACKWARD = Gait(
    frequency=29.1,
    rest=(0.416, -0.29, 0.0212, 0.0531, -0.251, -0.144),
    cosine=(0.591, -1.03, -0.819, -0.899, 0.762, 0.643),
    sine=(0.059, -0.507, 0.253, -0.57, 0.582, 0.282),
    stiffness=1.26,
    damping=0.0556,
)
SPRINTS = {  # backend -> gaits forward and backward
    "spring": (FORWARD, BACKWARD),
    "positional": (FORWARD, BACKWARD),
    "mjx": (
        Gait(
            frequency=31.0,
            rest=(0.956, 0.535, -0.137, -0.435, -0.753, -0.475),
            cosine=(0.978, -1.25, 0.532, 0.988, 0.443, 0.606),
            sine=(-0.421, 0.0931, 0.377, -0.217, -0.836, -0.861),
            stiffness=1.13,
            damping=0.0249,
        ),
        Gait(
            frequency=30.5,
            rest=(0.496, 0.0507, -0.0275, 0.0253, -0.699, -0.468),
            cosine=(-0.047, -0.897, -0.67, -0.894, 0.711, 0.285),
            sine=(-0.318, -0.342, 0.3, -0.867, 0.874, 0.332),
            stiffness=1.25,
            damping=0.0183,
        ),
    ),
}
# High and fast, over hurdles at any distance:
LEAP = Gait(
    frequency=28.3,
    rest=(0.418, -0.229, 0.113, 0.573, 0.189, 0.196),
    cosine=(2.01, -1.51, 0.492, 1.47, -0.265, 0.382),
    sine=(-0.837, -0.116, -0.0382, -0.206, -1.48, -0.444),
    stiffness=1.13,
    damping=0.0689,
)


def cheetah(config: CheetahConfig, scenery: str = "") -> Walker:
    """Return brax's half-cheetah: obs [18] = q [9], qd [9]; action [6] of motors.

    No state of a half-cheetah counts as a fall.  `scenery` is MJCF of fixed geoms.
    """
    physics = _physics.load(
        _xml(scenery, config.backend), backend=config.backend, dt=config.dt, substeps=config.substeps
    )
    return Walker(
        physics=physics,
        normalize=lambda q: q,
        position=2,
        healthy=None,
        features=_physics.features(Q_SIZE, position=1),
        dt=config.dt,
    )


def _xml(scenery: str, backend: str) -> str:
    """Return MJCF of brax's half-cheetah with the constants above, and the scenery."""
    root = ElementTree.fromstring(_physics.brax_model("half_cheetah"))
    if backend != "mjx":
        for motor, gear in zip(root.findall("actuator/motor"), GEARS, strict=True):
            motor.set("gear", str(gear))
    for number in root.findall("custom/numeric"):
        number.set("data", SPRINGS.get(number.get("name", ""), number.get("data", "")))
    for geom in root.findall(".//body/geom"):
        name = geom.get("name")
        on_floor = name in SOLID or backend == "mjx"
        geom.set("contype", str(FLOOR * on_floor + OBSTACLE * (name in LEGS)))
    _physics.add_scenery(root, scenery)
    return ElementTree.tostring(root, encoding="unicode")


def run(state: EnvState, gait: Gait, stride: float | Array = 1.0) -> Array:
    """Return the action that swings the joints along their sinusoids, scaled by `stride`."""
    phase = gait.frequency * state.body.time
    swing = jnp.cos(phase) * jnp.array(gait.cosine) + jnp.sin(phase) * jnp.array(gait.sine)
    target = jnp.array(gait.rest) + stride * swing
    q, qd = state.obs[3:Q_SIZE], state.obs[Q_SIZE + 3 :]
    return jnp.clip(gait.stiffness * (target - q) - gait.damping * qd, -1.0, 1.0)


def keep_pace(state: EnvState, speed: Array, backend: str) -> Array:
    """Return the action of a run whose mean speed since the start is `speed`, m/s."""
    pace, behind = PACES[backend], speed * state.body.time - state.obs[0]
    return run(state, pace.gait, jnp.clip(pace.per_speed * speed + pace.per_lag * behind, 0.0, 2.0))


def sprint(state: EnvState, direction: Array, backend: str) -> Array:
    """Return the action of the fastest run forward, direction [] of 1, or backward, -1."""
    forward, backward = (run(state, gait) for gait in SPRINTS[backend])
    return jnp.where(direction > 0, forward, backward)
