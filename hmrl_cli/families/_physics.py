"""Brax behind two functions, imported without a word.

Importing brax prints about warp, loading a model warns, and some models make MuJoCo write a log file
into the working directory: all of it is kept away from the user here, and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from hmrl_cli.lazy import jax, jnp

if TYPE_CHECKING:
    from hmrl_cli.types import Array


class Physics(NamedTuple):
    """A body under one backend; a physics state has the fields q [q_size] and qd [qd_size]."""

    init: Callable[[Array, Array], Any]  # q, qd -> physics state
    step: Callable[
        [Any, Callable[[Any], Array]], Any
    ]  # state, control(state) [num_motors] -> state one dt on
    init_q: Array  # [q_size]
    qd_size: int
    substep_dt: float  # s


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what brax and MuJoCo say while they are imported or load a model."""
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
    """Let brax use the deprecated names of mjx and jaxopt that it is built on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def load(xml: str, *, backend: str, dt: float, substeps: int) -> Physics:
    """Load an MJCF text; one `step` is `substeps` substeps of dt / substeps seconds.

    `control` is asked before every substep, so that a force that depends on the state stays stable.
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

    return Physics(init, step, system.init_q, system.qd_size(), dt / substeps)


def _mjx_solver() -> dict[str, Any]:
    """Return the solver that brax's own environments use with mjx: one Newton step, explicit damping."""
    import mujoco

    return {
        "opt.solver": mujoco.mjtSolver.mjSOL_NEWTON,
        "opt.disableflags": mujoco.mjtDisableBit.mjDSBL_EULERDAMP,
        "opt.iterations": 1,
        "opt.ls_iterations": 4,
    }


def wrap_angle(angle: Array) -> Array:
    """Bring an angle into [-pi, pi)."""
    return jnp.mod(angle + math.pi, 2.0 * math.pi) - math.pi
