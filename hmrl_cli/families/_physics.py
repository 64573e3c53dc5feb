"""Brax behind a few functions, imported without output.

The import of brax prints about warp, and loading a model warns.  Some models make MuJoCo write a log file
into the working directory.  This module suppresses all three.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from xml.etree import ElementTree

from hmrl_cli.environment import brax_env
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.types import Shape

if TYPE_CHECKING:
    from hmrl_cli.types import Array

Backend = Literal["spring", "mjx", "positional", "generalized"]
# Above these speeds a simulation counts as exploded.  Random torques reach at most 17 m/s and 86 rad/s.
FASTEST = 100.0  # m/s
FASTEST_TURN = 1000.0  # rad/s


class Physics(NamedTuple):
    """A body under one backend.  A physics state has the fields q [q_size] and qd [qd_size]."""

    init: Callable[[Array, Array], Any]  # q, qd -> physics state
    # physics state, control(physics state) [num_motors] -> physics state after one control step
    step: Callable[[Any, Callable[[Any], Array]], Any]
    init_q: Array  # [q_size]  of the model
    qd_size: int
    num_motors: int
    substep_dt: float  # s
    shapes: tuple[Shape, ...]  # for the viewer
    poses: Callable[[Any], Array]  # physics state -> [num_links, 7], as Scene.poses


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the output of brax and MuJoCo while they are imported or load a model."""
    with _old_names(), contextlib.redirect_stdout(io.StringIO()):
        warnings.filterwarnings("ignore", message="Brax System", category=UserWarning)
        import mujoco

        if hasattr(mujoco, "MjLogConfig"):  # older versions have no such setting
            log = mujoco.MjLogConfig.get()
            log.logto_file = log.logto_console = False
            log.set()
        yield


@contextlib.contextmanager
def _old_names() -> Iterator[None]:
    """Suppress warnings about the deprecated names of mjx and jaxopt that brax uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def own_model(name: str) -> str:
    """Return the MJCF text of a model of this package."""
    return (resources.files("hmrl_cli.families") / "assets" / f"{name}.xml").read_text(encoding="utf-8")


def brax_model(name: str) -> str:
    """Return the MJCF text of a model that comes with brax."""
    with quiet():
        return (resources.files("brax") / "envs/assets" / f"{name}.xml").read_text(encoding="utf-8")


def load(xml: str, *, backend: str, dt: float, substeps: int) -> Physics:
    """Load a model into a physics backend.

    Every substep calls `control` anew, so that forces that depend on the state stay stable.

    Args:
        xml: MJCF text.
        backend: name of a Brax pipeline.
        dt: control step, s.
        substeps: physics steps in a control step, each of dt / substeps seconds.
    """
    with quiet():
        mjcf = importlib.import_module("brax.io.mjcf")
        pipeline = importlib.import_module(f"brax.{backend}.pipeline")
        system = mjcf.loads(xml).tree_replace({"opt.timestep": jnp.float32(dt / substeps)})
        if backend == "mjx":
            system = system.tree_replace(_mjx_solver())

    def init(q: Array, qd: Array) -> Any:
        with _old_names():
            return pipeline.init(system, q, qd)

    def step(state: Any, control: Callable[[Any], Array]) -> Any:
        def substep(state: Any, _: None) -> tuple[Any, None]:
            return pipeline.step(system, state, control(state)), None

        with _old_names():
            return jax.lax.scan(substep, state, None, substeps)[0]

    return Physics(
        init=init,
        step=step,
        init_q=system.init_q,
        qd_size=system.qd_size(),
        num_motors=system.act_size(),
        substep_dt=dt / substeps,
        shapes=brax_env.shapes(system.mj_model),
        poses=brax_env.poses,
    )


def check_drag(rate: float, dt: float, substeps: int) -> None:
    """Raise ValueError for a drag that is unstable under explicit integration.

    Args:
        rate: drag over inertia, 1/s.
        dt: control step, s.
        substeps: physics steps in a control step.
    """
    if rate * dt / substeps >= 2.0:
        least = math.floor(rate * dt / 2.0) + 1
        raise ValueError(
            f"substeps: found {substeps} for a dt of {dt:g}; must be at least {least}, "
            "or the drag makes the simulation explode"
        )


def intact(before: Any, after: Any, places: Sequence[int], dt: float) -> Array:
    """Return whether the simulation stayed finite and below the speed limits in one step [] bool.

    Args:
        before: physics state.
        after: physics state one control step later.
        places: indices of the coordinates of q and qd that are lengths; the others are angles.
        dt: control step, s.
    """
    lengths = jnp.array(places)
    speeds = jnp.stack([after.qd[lengths], (after.q - before.q)[lengths] / dt])
    within = jnp.all(jnp.isfinite(after.q)) & jnp.all(jnp.abs(after.qd) < FASTEST_TURN)
    return within & jnp.all(jnp.abs(speeds) < FASTEST)


def _mjx_solver() -> dict[str, Any]:
    """Return solver options with which bodies move as under MuJoCo itself.

    Brax's environments take one Newton step and explicit damping.  The half-cheetah's gaits then run at other
    speeds than in Gym, by up to a half.  With these options they run at Gym's.
    """
    import mujoco

    return {"opt.solver": mujoco.mjtSolver.mjSOL_NEWTON, "opt.iterations": 4, "opt.ls_iterations": 8}


def add_scenery(root: ElementTree.Element, scenery: str) -> None:
    """Add fixed geoms, in MJCF, to the world of a model."""
    world = root.find("worldbody")
    assert world is not None
    world.extend(ElementTree.fromstring(f"<scenery>{scenery}</scenery>"))


def wrap_angle(angle: Array) -> Array:
    """Bring an angle into [-pi, pi)."""
    return jnp.mod(angle + math.pi, 2.0 * math.pi) - math.pi


def features(q_size: int, position: int = 2) -> Mapping[str, Callable[[Array], Array]]:
    """Return the features of an observation (q [q_size], qd) that begins with `position` coordinates.

    `xy` is the position in the plane of motion.  For a body in the x-z plane it is (x, z).
    A body in the x-z plane also has `speed`, its velocity along x.
    """
    along = {"speed": lambda obs: obs[..., q_size : q_size + 1]} if position == 1 else {}
    return {
        **along,
        "identity": lambda obs: obs,
        "xy": lambda obs: obs[..., :2],
        "body": lambda obs: obs[..., position:],
        "velocity": lambda obs: obs[..., q_size : q_size + position],
    }
