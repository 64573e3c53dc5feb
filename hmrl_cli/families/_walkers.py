"""A body on legs under Brax, and the jobs that it can be given: what the ants and the cheetahs share."""

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

RESET_NOISE = 0.1  # of joint positions and velocities, as brax's environments


class WalkerConfig(Strict):
    """The settings that every walker has."""

    longest_substep: ClassVar[float]  # s, of physics under which its body stays finite with spring

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
    """What a walker needs to go on."""

    physics: Any  # state of the Brax pipeline
    time: Array  # [] s since the reset: the phase of a scripted gait
    carry: Any  # what its job remembers of the episode, () for nothing
    intact: Array  # [] bool  the simulation has not exploded


class Walker(NamedTuple):
    """A body; the observation is q, then qd, and starts with the position."""

    physics: Physics
    normalize: Callable[[Array], Array]  # q with noise on it -> a valid q
    position: int  # how many coordinates of q and qd come first that are lengths
    healthy: Callable[[Array], Array] | None  # obs -> [] bool; None: no fall ends an episode
    features: Mapping[str, Callable[[Array], Array]]
    dt: float  # s, of a control step


class StepResult(NamedTuple):
    """How one step went."""

    reward: Array  # []
    success: Array  # [] bool
    carry: Any = ()


class TaskSpec(NamedTuple):
    """What is asked of a walker."""

    sample: Callable[[Key, Split], Task]
    task_size: int
    # observation before and after, clipped action, task, carry -> StepResult
    score: Callable[[Array, Array, Array, Task, Any], StepResult]
    controller: Callable[[EnvState, Task], Array]
    goals: Callable[[EnvState, Task], Array]  # as Scene.goals
    init_carry: Callable[[Task], Any] = lambda task: ()  # after a reset
    origin: Callable[[Task], Array | float] = lambda task: 0.0  # x of the start in the world, m
    is_task: Callable[[Task], Array] | None = None  # as TaskFamily.is_task


def walker_family(name: str, horizon: int, walker: Walker, spec: TaskSpec) -> TaskFamily:
    """Return the family of a walker with a spec.

    A step that ends with the walker fallen ends the episode and is no success.  Places are observed from
    where the episode starts.  A simulation that explodes is observed as it last was from then on, is never a
    success, and where a fall ends the episode it has fallen.
    """
    physics = walker.physics
    no = jnp.zeros((), bool)

    def observe(state: Any, task: Task) -> Array:
        return jnp.concatenate([state.q, state.qd]).at[0].add(-spec.origin(task))

    def reset(key: Key, task: Task) -> EnvState:
        q_key, qd_key = jax.random.split(key)
        noise = jax.random.uniform(q_key, physics.init_q.shape, minval=-RESET_NOISE, maxval=RESET_NOISE)
        qd = RESET_NOISE * jax.random.normal(qd_key, (physics.qd_size,))
        q = walker.normalize(physics.init_q + noise).at[0].add(spec.origin(task))
        state = physics.init(q, qd)
        body = Body(state, jnp.zeros(()), spec.init_carry(task), ~no)
        return EnvState(body, observe(state, task), jnp.zeros(()), no, no, no)

    def step(state: EnvState, action: Array, task: Task) -> EnvState:
        action = jnp.clip(action, -1.0, 1.0)
        moved = physics.step(state.body.physics, lambda _: action)
        is_intact = intact(state.body.physics, moved, range(walker.position), walker.dt) & state.body.intact
        obs = jnp.where(is_intact, observe(moved, task), state.obs)
        result = spec.score(state.obs, obs, action, task, state.body.carry)
        healthy = is_intact & walker.healthy(obs) if walker.healthy else is_intact
        body = Body(moved, state.body.time + walker.dt, result.carry, is_intact)
        done = ~healthy if walker.healthy else no
        return EnvState(body, obs, result.reward, result.success & healthy, state.reached, done)

    return TaskFamily(
        name=name,
        sample=spec.sample,
        reset=reset,
        step=step,
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
    )
