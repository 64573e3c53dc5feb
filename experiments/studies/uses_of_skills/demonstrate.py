"""Write eight walks of the ant's scripted controller, in eight directions, as FOLDER/DEGREES.npz.

python experiments/studies/uses_of_skills/demonstrate.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from hmrl_cli import config
from hmrl_cli.lazy import jax, jnp, np
from hmrl_cli.runner import assembly, startup

AWAY = 50.0  # m; so far that the ant never arrives


def main(folder: Path) -> None:
    """Write the files."""
    startup.prepare()
    family = assembly.make_family(config.family_of("ant_goal"), "sparse")
    controller = family.controller

    def walk(key: jax.Array, goal: jax.Array) -> jax.Array:
        def step(state: object, _: None) -> tuple[object, jax.Array]:
            state = family.step(state, controller(state, goal), goal)
            return state, state.obs

        start = family.reset(key, goal)
        _, obs = jax.lax.scan(step, start, None, family.horizon)
        return jnp.concatenate([start.obs[None], obs])

    degrees = np.arange(0, 360, 45)
    angles = np.radians(degrees)
    goals = AWAY * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-1)
    walks = jax.jit(jax.vmap(walk))(jax.random.split(jax.random.key(0), len(goals)), goals)
    for angle, obs in zip(degrees, np.asarray(walks), strict=True):
        np.savez(folder / f"{angle:03d}.npz", obs=obs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
