"""MAESN's pusher (Gupta et al. 2018, 1802.07245): push one of five blocks to its goal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pydantic

from hmrl_cli.config import Strict
from hmrl_cli.families import _physics
from hmrl_cli.families._goals import split_key, uniform
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import Continuous, EnvState, Reward, Scene, Split, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

BLOCKS = 5
MAX_FORCE = 2.0  # N, and N m about z, at an action of 1
MASS, INERTIA = 0.25, 0.04  # of the gripper, kg and kg m^2, as in assets/pusher.xml
DAMPING = (0.8, 0.8, 0.5) + 2 * BLOCKS * (1.5,)  # N s / m, and N m s for the angle of the gripper
BLOCK_RADIUS = 0.05  # m, as in assets/pusher.xml
REST = 0.2  # m, block b is at (REST (b + 1), 0) where its joints are at 0
LANE = 0.2  # m, the width of a lane; lane i reaches up from y = LOWEST + LANE i
LOWEST = -0.5
MARGIN = 0.06  # m, from the middle of a block to the border of its lane: neighbours start apart
START_X, GOAL_X = (0.35, 0.65), (0.75, 0.95)  # m
WEIGHT = 5.0  # of the distance in the reward
NOISE = 0.01  # of the start of the gripper, m and rad


class Skill(NamedTuple):
    """The numbers of the scripted push."""

    standoff: float  # m
    approach: float  # 1/s
    tolerance: float  # m
    clearance: float  # m
    own_clearance: float  # m
    centring: float  # 1/s
    speed: float  # m/s
    gain: float  # 1/s
    stop: float  # m
    turn: float  # 1/s


SKILL = Skill(0.13, 8.0, 0.06, 0.15, 0.12, 6.0, 1.0, 4.0, 0.03, 6.0)


class Config(Strict):
    """A gripper that pushes one of five blocks to a goal."""

    name: Literal["pusher"] = pydantic.Field("pusher", description="MAESN's pusher")
    reward: Reward = pydantic.Field("dense", description="dense, or flat outside the disc around the goal")
    horizon: int = pydantic.Field(50, gt=0, le=10_000, description="steps of an episode")
    backend: Literal["spring", "mjx", "positional", "generalized"] = pydantic.Field("spring", description="Brax pipeline")
    dt: float = pydantic.Field(0.05, gt=0, le=0.1, description="control step, s")
    substeps: int = pydantic.Field(3, gt=0, le=100, description="physics steps in a control step")
    sparse_radius: float = pydantic.Field(
        0.2, gt=0, le=100, description="success, and all of the sparse signal, is this near to the goal, m"
    )


def make(config: Config) -> TaskFamily:
    physics = _physics.load(
        _physics.own_model("pusher"), backend=config.backend, dt=config.dt, substeps=config.substeps
    )

    def reset(key: Key, task: Task) -> EnvState:
        noise = NOISE * jax.random.normal(key, (3,))
        state = physics.init(task[3:].at[:3].add(noise), jnp.zeros(physics.qd_size))
        no = jnp.zeros((), bool)
        return EnvState(state, _observe(state), jnp.zeros(()), no, no, no)

    def step(state: EnvState, action: Array, task: Task) -> EnvState:
        force = jnp.zeros(physics.num_motors).at[:3].set(MAX_FORCE * jnp.clip(action, -1.0, 1.0))
        moved = physics.step(state.body, lambda now: force - jnp.array(DAMPING) * now.qd)
        obs = _observe(moved)
        goal = task[1:3]
        distance = jnp.linalg.norm(_block(obs, task) - goal)
        inside = distance <= config.sparse_radius
        cost = distance if config.reward == "dense" else jnp.where(inside, distance, jnp.linalg.norm(goal))
        return EnvState(moved, obs, -WEIGHT * cost, inside, state.reached, state.done)

    return TaskFamily(
        name=config.name,
        sample=_sample,
        reset=reset,
        step=step,
        controller=lambda state, task: _push(state.obs, task, config.dt, SKILL),
        features={**_physics.features(q_size=13), "blocks": lambda obs: obs[..., 3:13]},
        obs_size=26,
        task_size=16,
        action=Continuous(3),
        horizon=config.horizon,
        terminates=False,
        scene=Scene(
            physics.shapes,
            lambda state: physics.poses(state.body),
            lambda state, task: jnp.array([[0.0, 0.0, 0.0, config.sparse_radius]]).at[0, :2].set(task[1:3]),
            config.dt,
            flat=False,
        ),
    )


def _rest() -> Array:
    """Return where the joints of the blocks are at 0 [5, 2]."""
    return jnp.stack([REST * jnp.arange(1.0, BLOCKS + 1), jnp.zeros(BLOCKS)], axis=1)


def _sample(key: Key, split: Split) -> Task:
    place_key, lane_key, block_key, other_key = jax.random.split(key, 4)
    unit = uniform(place_key, split, (2, BLOCKS + 1))  # x and y of the blocks and of the goal
    lanes = jax.random.permutation(split_key(lane_key, split), BLOCKS)
    block = jax.random.randint(split_key(block_key, split), (), 0, BLOCKS)
    lane = lanes[block]
    if split == "hidden":
        lane = (lane + jax.random.randint(other_key, (), 1, BLOCKS)) % BLOCKS
    y = LOWEST + LANE * jnp.append(lanes, lane) + MARGIN + (LANE - 2.0 * MARGIN) * unit[1]
    x = START_X[0] + (START_X[1] - START_X[0]) * unit[0, :BLOCKS]
    goal_x = GOAL_X[0] + (GOAL_X[1] - GOAL_X[0]) * unit[0, BLOCKS]
    start = jnp.stack([x, y[:BLOCKS]], axis=1) - _rest()
    goal = jnp.stack([goal_x, y[BLOCKS]])
    return jnp.concatenate([block[None].astype(float), goal, jnp.zeros(3), start.reshape(-1)])


def _observe(state: Any) -> Array:
    q = state.q.at[2].set(_physics.wrap_angle(state.q[2])).at[3:].add(_rest().reshape(-1))
    return jnp.concatenate([q, state.qd])


def _block(obs: Array, task: Task) -> Array:
    """Return where the block of the task is [2]."""
    return obs[3:13].reshape(BLOCKS, 2)[task[0].astype(int)]


def _push(obs: Array, task: Task, dt: float, skill: Skill) -> Array:
    """Go behind the block, seen from the goal, glide around the others on the way, and push."""
    blocks = obs[3:13].reshape(BLOCKS, 2)
    mine = jnp.arange(BLOCKS) == task[0]
    block = _block(obs, task)
    way = task[1:3] - block
    distance = jnp.linalg.norm(way)
    ahead = way / jnp.maximum(distance, 1e-3)
    aside = jnp.stack([-ahead[1], ahead[0]])
    behind = jnp.dot(block - obs[:2], ahead)
    off = jnp.dot(obs[:2] - block, aside)
    lined_up = jnp.where(behind > 0.0, jnp.clip(2.0 - jnp.abs(off) / skill.tolerance, 0.0, 1.0), 0.0)

    go = skill.approach * (block - skill.standoff * ahead - obs[:2])
    pushing = jnp.minimum(skill.gain * distance, skill.speed) * ahead - skill.centring * off * aside
    wanted = lined_up * pushing + (1.0 - lined_up) * go
    for near, clearance in ((~mine, skill.clearance), (mine, jnp.where(lined_up > 0, 0.0, skill.own_clearance))):
        wanted = _glide(wanted, obs[:2], blocks, jnp.where(near, clearance, 0.0))
    wanted = jnp.where(distance < skill.stop, 0.0, wanted)

    turn = 0.5 * _physics.wrap_angle(2.0 * (jnp.arctan2(ahead[1], ahead[0]) - obs[2]))
    wanted = jnp.append(wanted, skill.turn * turn)
    inertia = jnp.array([MASS, MASS, INERTIA])
    damping = jnp.array(DAMPING[:3])
    decay = jnp.exp(-damping * dt / inertia)
    force = damping * (wanted - decay * obs[13:16]) / (1.0 - decay)
    force += jnp.append(lined_up * 1.5 * wanted[:2], 0.0)
    return jnp.clip(force / MAX_FORCE, -1.0, 1.0)


def _glide(wanted: Array, place: Array, blocks: Array, clearance: Array) -> Array:
    """Take away what leads nearer to a block that is nearer than its clearance [5]."""
    away = place - blocks
    gap = jnp.maximum(jnp.linalg.norm(away, axis=1), 1e-6)
    away = away / gap[:, None]
    for i in range(BLOCKS):
        inward = jnp.minimum(jnp.dot(wanted, away[i]), 0.0)
        weight = jnp.clip((clearance[i] - gap[i]) / 0.04, 0.0, 1.0)
        wanted = wanted - weight * inward * away[i]
    return wanted
