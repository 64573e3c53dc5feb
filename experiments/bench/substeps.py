"""How few physics steps a body needs in a control step: finite, under control, and how fast.

    python experiments/bench/substeps.py [-o FILE.json]

For one family of each body, in its default setting but for the substeps: environment steps per second, the
share of environments that random bang-bang torques leave intact, and how often the scripted controller
ends in success.  The smallest number that passes both is the default.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from hmrl_cli.config import plugins
from hmrl_cli.evaluation import adaptation
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.runner import startup
from hmrl_cli.types import TaskFamily

TRIED = {
    "wheeled": (1, 2, 4),
    "pusher": (1, 2, 3, 5),
    "ant_goal": (4, 5, 6, 8, 10),
    "half_cheetah_vel": (3, 4, 6, 16),
}
ENVIRONMENTS = 256
STEPS = 400
HELD = 5  # steps that a random torque is held: long enough to throw a body over
INTACT = 1e3  # no coordinate of a simulation that has not exploded is this large


def with_substeps(name: str, substeps: int) -> TaskFamily:
    """The family, even where its configuration would refuse so few."""
    module = plugins.load("families", name)
    return module.make(module.Config().model_copy(update={"substeps": substeps}))


def thrown_about(family: TaskFamily) -> tuple[float, float]:
    """Share of environments that stay intact, and steps per second."""

    def episode(key: Any) -> Any:
        reset_key, task_key, act_key = jax.random.split(key, 3)
        task = family.sample(task_key, "train")

        def step(now: Any, t: Any) -> Any:
            state, worst = now
            signs = jax.random.rademacher(
                jax.random.fold_in(act_key, t // HELD), (family.action.size,), jnp.float32
            )
            state = family.step(state, signs, task)
            parts = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(state.body) if leaf.ndim])
            return (state, jnp.maximum(worst, jnp.nan_to_num(jnp.abs(parts), nan=jnp.inf).max())), None

        start = family.reset(reset_key, task), jnp.float32(0.0)
        return jax.lax.scan(step, start, jnp.arange(STEPS))[0][1]

    keys = jax.random.split(jax.random.key(0), ENVIRONMENTS)
    run = jax.jit(jax.vmap(episode)).lower(keys).compile()
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        worst = jax.block_until_ready(run(keys))
        seconds.append(time.perf_counter() - began)
    return float((worst < INTACT).mean()), ENVIRONMENTS * STEPS / sorted(seconds)[1]


def main() -> None:
    """Try every number, print a line for each, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, help="JSON file to write")
    out = parser.parse_args().o
    startup.prepare()
    rows = []
    for name, numbers in TRIED.items():
        for substeps in numbers:
            family = with_substeps(name, substeps)
            intact, rate = thrown_about(family)
            tasks = sample_tasks(family, "test", 20)
            success = adaptation.reference_lines(family, tasks)["feasible_success"]
            rows.append(
                {
                    "family": name,
                    "substeps": substeps,
                    "intact": intact,
                    "success": success,
                    "steps_per_s": rate,
                }
            )
            print(
                f"{name:18} {substeps:3}  {intact:6.1%} intact  {success:4.0%} solved  {rate:10,.0f} steps/s"
            )
            sys.stdout.flush()
    if out:
        machine = {"cores": os.cpu_count(), "platform": platform.platform(), "jax": jax.__version__}
        out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
