"""Environment steps per second of every family, and of whole meta-updates.

    python experiments/bench/throughput.py [-o FILE.json]

Prints one line per measurement; medians of five timed calls after one that compiles.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hmrl_cli.config import plugins
from hmrl_cli.environment.rollout import advance
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.runner import startup
from hmrl_cli.runner.assembly import make_family

CALLS = 5
META = {"tasks_per_update": 20, "episodes_per_task": 10, "hidden": (64, 64)}


def timed(function: Callable[..., Any], *args: Any) -> tuple[float, float]:
    """Seconds to compile and median seconds of a call."""
    began = time.perf_counter()
    jax.block_until_ready(function(*args))
    first = time.perf_counter() - began
    seconds = []
    for _ in range(CALLS):
        began = time.perf_counter()
        jax.block_until_ready(function(*args))
        seconds.append(time.perf_counter() - began)
    return first - statistics.median(seconds), statistics.median(seconds)


def rollouts(family: Any, num_envs: int) -> tuple[Callable[..., Any], Any]:
    """Random actions in `num_envs` environments for one horizon; returns what must not be optimised away."""

    def episode(key: Any) -> Any:
        reset_key, act_key, task_key = jax.random.split(key, 3)
        task = family.sample(task_key, "train")

        def step(state: Any, t: Any) -> Any:
            noise = jax.random.uniform(jax.random.fold_in(act_key, t), (family.action.size,), minval=-1)
            state = advance(family, state, noise, task)
            return state, (state.obs, state.reward)

        return jax.lax.scan(step, family.reset(reset_key, task), jnp.arange(family.horizon))[1]

    return jax.jit(jax.vmap(episode)), jax.random.split(jax.random.key(0), num_envs)


def measure_family(name: str, num_envs: int) -> dict[str, Any]:
    """Environment steps per second."""
    family = make_family(plugins.load("families", name).Config())
    compile_seconds, seconds = timed(*rollouts(family, num_envs))
    rate = num_envs * family.horizon / seconds
    return {"what": f"{name}, {num_envs} environments", "steps_per_s": rate, "compile_s": compile_seconds}


def measure_update(family_name: str, algorithm: str) -> dict[str, Any]:
    """One outer update of a meta-learner, sampling included."""
    family = make_family(plugins.load("families", family_name).Config())
    module = plugins.load("algorithms", algorithm)
    learner = module.make(module.Config(**META), family)
    state = jax.jit(learner.init)(jax.random.key(0))
    compile_seconds, seconds = timed(jax.jit(learner.step), jax.random.key(1), state)
    return {
        "what": f"{algorithm} on {family_name}, one update",
        "seconds": seconds,
        "steps_per_s": learner.steps_per_update / seconds,
        "compile_s": compile_seconds,
    }


def main() -> None:
    """Measure everything, print it, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, help="JSON file to write")
    out = parser.parse_args().o
    startup.prepare()
    jax.config.update("jax_enable_compilation_cache", False)
    jobs: list[tuple[Callable[..., dict[str, Any]], tuple[Any, ...]]] = []
    jobs += [(measure_family, (name, n)) for name in plugins.names("families") for n in (64, 256)]
    jobs += [(measure_update, ("point", name)) for name in ("maml", "maesn")]
    rows = []
    for function, args in jobs:
        rows.append(function(*args))
        print("  ".join(f"{k} {v:,.4g}" if isinstance(v, float) else f"{v:34}" for k, v in rows[-1].items()))
        sys.stdout.flush()
    if out:
        machine = {"cores": os.cpu_count(), "platform": platform.platform(), "jax": jax.__version__}
        out.write_text(json.dumps({"machine": machine, "settings": META, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
