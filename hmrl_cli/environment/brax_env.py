"""Environments of Brax as families: one environment, and what a task changes in it.

Nothing here imports Brax.  Whoever makes a family hands over a function that makes the environment.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from hmrl_cli.lazy import jax, jnp, np, root_key
from hmrl_cli.types import Continuous, EnvState, Scene, Shape, Split, TaskFamily

if TYPE_CHECKING:
    from hmrl_cli.types import Array, Key, Task

KINDS: dict[int, Literal["sphere", "capsule", "cylinder", "box"]] = {
    2: "sphere",
    3: "capsule",
    5: "cylinder",
    6: "box",
}  # by MuJoCo's number of a geom type; the viewer draws its own floor in place of planes
SIZES = {"sphere": 1, "capsule": 2, "cylinder": 2, "box": 3}  # how many numbers give the size


def family_of(
    make_env: Callable[[], Any],
    *,
    name: str,
    horizon: int,
    sample: Callable[[Key, Split], Task],
    begin: Callable[[Any, Any, Task], Any],
    observe: Callable[[Any], Array],
    score: Callable[[Any, Task], tuple[Array, Array]],
    xy: Callable[[Array], Array],
    goals: Callable[[EnvState, Task], Array] | None = None,
    controller: Callable[[EnvState, Task], Array] | None = None,
    terminates: bool = False,
) -> TaskFamily:
    """The family of an environment of Brax.  `EnvState.body` is the state that Brax has.

    Args:
        make_env: makes the environment, such as `lambda: envs.get_environment("reacher")`.
        name: of the family.
        horizon: steps of an episode.
        sample: draws a task [task_size].
        begin: environment, its state after a reset, task -> the first state of an episode of the task.
        observe: state of the environment -> observation [obs_size], which must not show the task.
        score: state of the environment after a step, task -> reward [], and whether the goal is reached [].
        xy: observations [..., obs_size] -> positions in the plane of motion [..., 2].
        goals: see `Scene.goals`; None draws none.
        controller: a scripted solution; None: the family has no feasible line.
        terminates: whether an episode ends where the environment says that it is done.
    """
    with quiet():
        env = make_env()

    def enter(state: Any, reward: Array, success: Array) -> EnvState:
        flag, done = jnp.asarray(success, bool), jnp.asarray(state.done > 0) & terminates
        return EnvState(state, observe(state), jnp.float32(reward), flag, flag, done)

    def reset(key: Key, task: Task) -> EnvState:
        with quiet():
            state = begin(env, env.reset(key), task)
        return enter(state, jnp.zeros(()), score(state, task)[1])

    def step(state: EnvState, action: Array, task: Task) -> EnvState:
        copy = jax.tree.map(lambda x: x, state.body)  # Brax writes into the dicts of the state it gets
        with quiet():
            after = env.step(copy, jnp.clip(action, -1.0, 1.0))
        return enter(after, *score(after, task))

    key = jax.eval_shape(lambda: root_key(0))
    task = jax.eval_shape(lambda key: sample(key, "train"), key)
    first = jax.eval_shape(reset, key, task)
    return TaskFamily(
        name=name,
        sample=sample,
        reset=reset,
        step=step,
        controller=controller,
        features={"identity": lambda obs: obs, "xy": xy},
        obs_size=first.obs.size,
        task_size=task.size,
        action=Continuous(env.action_size),
        horizon=horizon,
        terminates=terminates,
        scene=Scene(
            shapes=shapes(env.sys.mj_model),
            poses=lambda state: poses(state.body.pipeline_state),
            goals=goals or (lambda state, task: jnp.zeros((0, 4))),
            dt=float(env.dt),
            flat=False,
        ),
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress what Brax prints when it is imported, and its warnings of deprecated and slow parts."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", message="Brax System", category=UserWarning)
        yield


def shapes(model: Any) -> tuple[Shape, ...]:
    """The geoms of a MuJoCo model.  Link i of Brax is body i + 1, because body 0 is the world."""
    return tuple(
        Shape(
            kind=KINDS[kind],
            size=tuple(np.asarray(model.geom_size[i][: SIZES[KINDS[kind]]]).tolist()),
            body=int(model.geom_bodyid[i]) - 1,
            position=tuple(model.geom_pos[i].tolist()),
            rotation=tuple(model.geom_quat[i].tolist()),
            color=tuple(model.geom_rgba[i][:3].tolist()),
        )
        for i, kind in enumerate(map(int, model.geom_type))
        if kind in KINDS
    )


def poses(physics: Any) -> Array:
    """Place and rotation of every link of a physics state of Brax [num_links, 7], as `Scene.poses`."""
    return jnp.concatenate([physics.x.pos, physics.x.rot], axis=-1)
