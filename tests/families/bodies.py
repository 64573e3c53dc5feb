"""Bodies that jump anywhere, in place of the physics."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco

from hmrl_cli.families import _physics


class Jumping(NamedTuple):
    q: jax.Array
    qd: jax.Array


def jumping(reach: float) -> Any:
    """Stands for the physics: a step takes a body `reach` times as far as the noise of the reset did."""

    def load(xml, *, backend, dt, substeps):
        model = mujoco.MjModel.from_xml_string(xml)
        rest = jnp.asarray(model.qpos0, jnp.float32)

        def step(state, control):
            return state._replace(q=state.q.at[:2].add((reach - 1.0) * (state.q - rest)[:2]))

        return _physics.Physics(Jumping, step, rest, model.nv, model.nu, dt, (), lambda state: state.q)

    return load
