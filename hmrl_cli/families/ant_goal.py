"""MAESN's ant (Gupta et al. 2018, 1802.07245): walk to a goal on a ring of 2 m."""

from __future__ import annotations

import math
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from xml.etree import ElementTree

import pydantic

from hmrl_cli.families import _physics, _ring
from hmrl_cli.families._goals import half_circle
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import Continuous, EnvState, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

Q_SIZE = 15  # x, y, z, quaternion, then hip and ankle of four legs
QD_SIZE = 14
HEALTHY = (0.2, 1.0)  # heights of the torso, m
ALIVE = 4.05  # keeps the reward of a living ant positive
RESET_NOISE = 0.1  # as brax's ant
LEG_ANGLES = (0.25 * math.pi, 0.75 * math.pi, 1.25 * math.pi, 1.75 * math.pi)  # of legs 1 .. 4
ANKLE_SIGNS = (1.0, -1.0, -1.0, 1.0)  # of the joint angle that lowers the foot


MOTOR_JOINTS = (6, 7, 0, 1, 2, 3, 4, 5)  # the joint of each motor in brax's ant.xml


class Gait(NamedTuple):
    """The numbers of the scripted trot."""

    frequency: float  # rad/s
    hip: tuple[float, float]  # rad, of the cosine and sine of the phase, as lift and reach
    crouch: float  # rad
    lean: float  # rad
    lift: tuple[float, float]
    reach: tuple[float, float]
    stiffness: float  # N m / rad
    damping: float  # N m s / rad


# Found once by the cross-entropy method, in the default setting, for goals all around the ant.
GAIT = Gait(
    frequency=9.71,
    hip=(0.525, -0.29),
    crouch=0.689,
    lean=-0.204,
    lift=(-0.144, 0.22),
    reach=(-0.314, 0.272),
    stiffness=246.0,
    damping=12.1,
)


class Config(_ring.RingConfig):
    """An ant that walks to a goal on a half ring."""

    name: Literal["ant_goal"] = pydantic.Field("ant_goal", description="MAESN's ant")
    horizon: int = pydantic.Field(100, gt=0, le=10_000, description="steps of an episode")
    backend: Literal["spring", "mjx", "positional", "generalized"] = pydantic.Field(
        "spring", description="Brax pipeline"
    )
    dt: float = pydantic.Field(0.05, gt=0, le=0.1, description="control step, s")
    # 1024 ants under random bang-bang torques stay finite at dt / 6 and finer; at dt / 5 spring explodes.
    substeps: int = pydantic.Field(6, gt=0, le=100, description="physics steps in a control step")
    gear: float = pydantic.Field(150.0, gt=0, le=1000, description="torque of an action of 1")
    control_cost: float = pydantic.Field(0.005, ge=0, le=10, description="weight of the squared action")


class Body(NamedTuple):
    """What an ant needs to go on."""

    physics: Any  # state of the Brax pipeline
    time: Array  # [] s since the reset: the phase of the scripted gait


def make(config: Config) -> TaskFamily:
    """Build the family: obs [29] = q [15], qd [14] of brax's ant, action [8] motors, task [2] goal, m.

    Dense r = 4.05 - |c - g|_1 - 0.005 sum a^2, with the torso at c and a = clip(action); sparse r has |g|_1
    in place of |c - g|_1 outside the disc.  MAESN's contact cost is 0, because no Brax backend reports the
    contact forces it is made of.  Ends early with the torso below .2 m or above 1 m.  Success: inside the
    disc and on its feet.  Start: brax's standing pose with brax's noise.

    Of MAESN's body, the armature and the damping of the joints are in brax's ant.xml; the backends mjx
    and generalized use them, spring and positional have no such terms.  An exploded simulation is
    observed as zeros, and so ends the episode.
    """
    physics = _physics.load(_xml(config.gear), backend=config.backend, dt=config.dt, substeps=config.substeps)

    def reset(key: Key, task: Task) -> EnvState:
        q_key, qd_key = jax.random.split(key)
        q = physics.init_q + jax.random.uniform(q_key, (Q_SIZE,), minval=-RESET_NOISE, maxval=RESET_NOISE)
        q = q.at[3:7].divide(jnp.linalg.norm(q[3:7]))
        body = Body(physics.init(q, RESET_NOISE * jax.random.normal(qd_key, (QD_SIZE,))), jnp.zeros(()))
        no = jnp.zeros((), bool)
        return EnvState(body, _observe(body), jnp.zeros(()), no, no, no)

    def step(state: EnvState, action: Array, task: Task) -> EnvState:
        action = jnp.clip(action, -1.0, 1.0)
        body = Body(physics.step(state.body.physics, lambda _: action), state.body.time + config.dt)
        obs = _observe(body)
        healthy = (obs[2] >= HEALTHY[0]) & (obs[2] <= HEALTHY[1])
        offset = obs[:2] - task
        cost = _ring.goal_cost(offset, task, 1, config) + config.control_cost * jnp.sum(jnp.square(action))
        success = _ring.in_disc(offset, config) & healthy
        return EnvState(body, obs, ALIVE - cost, success, state.reached, ~healthy)

    return TaskFamily(
        name=config.name,
        sample=lambda key, split: half_circle(key, split, config.goal_radius),
        reset=reset,
        step=step,
        controller=lambda state, task: _walk(state, task, config.gear),
        features=_ring.features(Q_SIZE),
        obs_size=Q_SIZE + QD_SIZE,
        task_size=2,
        action=Continuous(8),
        horizon=config.horizon,
        terminates=True,
    )


def _xml(gear: float) -> str:
    """Return brax's ant with motors of the given gear."""
    with _physics.quiet():
        text = (resources.files("brax") / "envs/assets/ant.xml").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    for motor in root.iter("motor"):
        motor.set("gear", str(gear))
    return ElementTree.tostring(root, encoding="unicode")


def _observe(body: Body) -> Array:
    obs = jnp.concatenate([body.physics.q, body.physics.qd])
    return jnp.nan_to_num(obs, nan=0.0, posinf=0.0, neginf=0.0)


def _walk(state: EnvState, task: Task, gear: float) -> Array:
    """Trot to the goal: legs 1 and 3 half a cycle ahead of legs 2 and 4, the torso may face anywhere.

    Each leg is told the direction of the goal relative to its own: hips swing with its sine, ankles
    with its cosine, and both follow their targets with a proportional-derivative law.
    """
    obs = state.obs
    w, x, y, z = obs[3:7]
    yaw = jnp.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    goal = task - obs[:2]
    direction = jnp.arctan2(goal[1], goal[0]) - yaw - jnp.array(LEG_ANGLES)  # [4]
    aside, ahead = jnp.sin(direction), jnp.cos(direction)
    stride = jnp.clip((jnp.linalg.norm(goal) - 0.15) / 0.35, 0.0, 1.0)  # stand still at the goal
    phase = GAIT.frequency * state.body.time + jnp.array([0.0, math.pi, 0.0, math.pi])
    swing = stride * jnp.stack([jnp.cos(phase), jnp.sin(phase)])  # [2, 4]
    hip = aside * (jnp.array(GAIT.hip) @ swing)
    ankle = GAIT.crouch + GAIT.lean * stride * ahead
    ankle += jnp.array(GAIT.lift) @ swing + ahead * (jnp.array(GAIT.reach) @ swing)
    target = jnp.stack([hip, jnp.array(ANKLE_SIGNS) * ankle], axis=1).reshape(8)  # [8], as the joints of q
    torque = GAIT.stiffness * (target - obs[7:15]) - GAIT.damping * obs[21:29]
    return jnp.clip(torque / gear, -1.0, 1.0)[jnp.array(MOTOR_JOINTS)]
