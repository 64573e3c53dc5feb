"""Families of walkers: a legged body under Brax combined with a task specification.

The ants and the half-cheetahs share this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import pydantic

from hmrl_cli.families._physics import Backend, Physics, intact
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.schema import Strict
from hmrl_cli.types import Continuous, EnvState, Scene, Split, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

RESET_NOISE = 0.1  # of positions and velocities at a reset, as in brax's environments


class WalkerConfig(Strict):
    """Settings of every walker."""

    longest_substep: ClassVar[float]  # s, longest physics step at which the body is stable under spring

    backend: Backend = pydantic.Field("spring", description="Brax pipeline")
    dt: float = pydantic.Field(0.05, gt=0, le=0.1, description="control step, s")
    substeps: int = pydantic.Field(gt=0, le=100, description="physics steps in a control step")
    control_cost: float = pydantic.Field(ge=0, le=10, description="weight of the squared action")

    @pydantic.model_validator(mode="after")
    def _stays_finite(self) -> Self:
        if self.backend == "spring" and self.dt / self.substeps > 1.001 * self.longest_substep:
            raise ValueError(
                f"substeps: found {self.substeps} for a dt of {self.dt:g}; must be at least "
                f"{math.ceil(self.dt / self.longest_substep - 1e-3)}, or spring explodes"
            )
        return self


class Body(NamedTuple):
    """State of a walker's simulation."""

    physics: Any  # state of the Brax pipeline
    time: Array  # []  s since the reset; gives the phase of a scripted gait
    carry: Any  # what the task specification carries from step to step
    intact: Array  # [] bool  the simulation has not exploded


class Walker(NamedTuple):
    """A body, without a task.  The observation is (q, qd) and begins with the position."""

    physics: Physics
    normalize: Callable[[Array], Array]  # q with noise -> a valid q
    position: int  # number of leading coordinates of q, and of qd, that are lengths
    healthy: Callable[[Array], Array] | None  # obs -> [] bool, false after a fall; None: falls do not matter
    features: Mapping[str, Callable[[Array], Array]]
    dt: float  # control step, s


class StepResult(NamedTuple):
    """Result of one step of a task."""

    reward: Array  # []
    success: Array  # [] bool
    carry: Any = ()  # for the next step


class TaskSpec(NamedTuple):
    """Tasks for a walker: their distribution, reward and success."""

    sample: Callable[[Key, Split], Task]
    task_size: int
    # observation before, observation after, clipped action, task, carry -> StepResult
    score: Callable[[Array, Array, Array, Task, Any], StepResult]
    controller: Callable[[EnvState, Task], Array]
    goals: Callable[[EnvState, Task], Array]  # as `Scene.goals`
    init_carry: Callable[[Task], Any] = lambda task: ()  # carry after a reset
    origin: Callable[[Task], Array | float] = lambda task: 0.0  # x of the start in the world, m
    is_task: Callable[[Task], Array] | None = None  # as `TaskFamily.is_task`


def walker_family(name: str, horizon: int, walker: Walker, spec: TaskSpec) -> TaskFamily:
    """Return the family of a walker with a task specification.

    A fall ends the episode, and its step is no success.  Observed positions are relative to the start of the
    episode.  After an explosion of the simulation the observation stays as it was before, without success.
    If falls end episodes, an explosion counts as a fall.

    Args:
        name: of the family.
        horizon: steps of an episode.
        walker: the body.
        spec: the tasks.
    """
    physics = walker.physics
    return TaskFamily(
        name=name,
        sample=spec.sample,
        reset=lambda key, task: _reset(key, task, walker, spec),
        step=lambda state, action, task: _step(state, action, task, walker, spec),
        controller=spec.controller,
        features=walker.features,
        obs_size=len(physics.init_q) + physics.qd_size,
        task_size=spec.task_size,
        action=Continuous(physics.num_motors),
        horizon=horizon,
        terminates=walker.healthy is not None,
        scene=Scene(
            physics.shapes, lambda state: physics.poses(state.body.physics), spec.goals, walker.dt, flat=False
        ),
        is_task=spec.is_task,
        upright=walker.position == 2,
    )


def _reset(key: Key, task: Task, walker: Walker, spec: TaskSpec) -> EnvState:
    physics, no = walker.physics, jnp.zeros((), bool)
    q_key, qd_key = jax.random.split(key)
    noise = jax.random.uniform(q_key, physics.init_q.shape, minval=-RESET_NOISE, maxval=RESET_NOISE)
    qd = RESET_NOISE * jax.random.normal(qd_key, (physics.qd_size,))
    q = walker.normalize(physics.init_q + noise).at[0].add(spec.origin(task))
    state = physics.init(q, qd)
    body = Body(state, jnp.zeros(()), spec.init_carry(task), ~no)
    return EnvState(body, _observe(state, task, spec), jnp.zeros(()), no, no, no)


def _step(state: EnvState, action: Array, task: Task, walker: Walker, spec: TaskSpec) -> EnvState:
    action = jnp.clip(action, -1.0, 1.0)
    moved = walker.physics.step(state.body.physics, lambda _: action)
    is_intact = intact(state.body.physics, moved, range(walker.position), walker.dt) & state.body.intact
    obs = jnp.where(is_intact, _observe(moved, task, spec), state.obs)
    result = spec.score(state.obs, obs, action, task, state.body.carry)
    healthy = is_intact & walker.healthy(obs) if walker.healthy else is_intact
    body = Body(moved, state.body.time + walker.dt, result.carry, is_intact)
    done = ~healthy if walker.healthy else jnp.zeros((), bool)
    return EnvState(body, obs, result.reward, result.success & healthy, state.reached, done)


def _observe(state: Any, task: Task, spec: TaskSpec) -> Array:
    """Return q and qd of a physics state, with x relative to the start of the episode."""
    return jnp.concatenate([state.q, state.qd]).at[0].add(-spec.origin(task))
