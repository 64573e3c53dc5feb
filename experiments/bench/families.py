"""Every family: its reference lines, and its steps per second against the bare physics of the same model.

    python experiments/bench/families.py [NAME...] [-o FILE.json] [--envs N]    # NAME of a family or preset
    python experiments/bench/families.py --table FILE.json PAGE.md    # put the table into that page

Bare physics is the Brax pipeline of the same model alone, under random actions; the family adds reset,
observation, reward, success and early ends.  The two are timed in turn, in one process, and their medians
compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hmrl_cli import config
from hmrl_cli.config import plugins, presets
from hmrl_cli.environment.rollout import advance
from hmrl_cli.evaluation import adaptation
from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.families import _physics
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.runner import assembly, startup
from hmrl_cli.types import TaskFamily

CALLS = 7
STEPS = 50
TASKS = 40
MARKS = ("<!-- families -->", "<!-- end of families -->")


def make(name: str, **settings: Any) -> tuple[TaskFamily, _physics.Physics | None]:
    """A family with its physics, None where it is kinematic."""
    loaded: list[_physics.Physics] = []
    load = _physics.load

    def remember(*args: Any, **kwargs: Any) -> _physics.Physics:
        loaded.append(load(*args, **kwargs))
        return loaded[-1]

    _physics.load = remember
    try:
        module = plugins.load("families", name)
        return module.make(module.Config(**settings)), loaded[0] if loaded else None
    finally:
        _physics.load = load


def noise(key: Any, t: Any, size: int) -> Any:
    """A random action."""
    return jax.random.uniform(jax.random.fold_in(key, t), (size,), minval=-1.0)


def family_steps(family: TaskFamily) -> Callable[[Any], Any]:
    """Steps of one environment; returns what must not be optimised away."""

    def run(key: Any) -> Any:
        reset_key, act_key, task_key = jax.random.split(key, 3)
        task = family.sample(task_key, "train")

        def step(state: Any, t: Any) -> Any:
            state = advance(family, state, noise(act_key, t, family.action.size), task)
            return state, (state.obs, state.reward, state.done)

        return jax.lax.scan(step, family.reset(reset_key, task), jnp.arange(STEPS))[1]

    return run


def physics_steps(physics: _physics.Physics, start: Any) -> Callable[[Any], Any]:
    """Steps of the bare pipeline, from a physics state of the family's."""

    def run(key: Any) -> Any:
        def step(state: Any, t: Any) -> Any:
            force = noise(key, t, physics.num_motors)
            state = physics.step(state, lambda _: force)
            return state, (state.q, state.qd)

        return jax.lax.scan(step, start, jnp.arange(STEPS))[1]

    return run


def rates(runs: dict[str, Callable[[Any], Any]], num_envs: int) -> dict[str, float]:
    """Median steps per second of each, timed in turn."""
    keys = jax.random.split(jax.random.key(0), num_envs)
    compiled = {name: jax.jit(jax.vmap(run)).lower(keys).compile() for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for call in range(CALLS + 1):
        for name, run in compiled.items():
            began = time.perf_counter()
            jax.block_until_ready(run(keys))
            if call:  # the first one warms up
                seconds[name].append(time.perf_counter() - began)
    return {name: num_envs * STEPS / statistics.median(times) for name, times in seconds.items()}


def physics_state(state: Any) -> Any:
    """The Brax state inside a family's."""
    return state if hasattr(state, "qd") else state.physics


def measure(name: str, backend: str | None, num_envs: int) -> dict[str, Any]:
    """Speeds of one family on one backend."""
    settings = {} if backend is None else {"backend": backend}
    family, physics = make(name, **settings)
    runs = {"family": family_steps(family)}
    if physics:
        task = family.sample(jax.random.key(0), "train")
        runs["physics"] = physics_steps(physics, physics_state(family.reset(jax.random.key(1), task).body))
    found = rates(runs, num_envs)
    share = 1.0 - found["family"] / found["physics"] if physics else None
    return {"name": name, "backend": backend, **found, "task_logic": share}


def reference(name: str) -> dict[str, Any]:
    """Reference lines on the test split, with the settings of a family's default or of a preset."""
    lines: dict[str, Any] = {"name": name}
    for reward in ("dense", "sparse"):
        family = assembly.make_family(config.family_of(name), reward)
        tasks = sample_tasks(family, "test", TASKS)
        found = adaptation.reference_lines(family, tasks)
        lines[reward] = {key: found[key] for key in ("flat", "feasible")}
        lines |= {"success": found["feasible_success"], "flat_success": found["flat_success"]}
    return lines | {"horizon": family.horizon, "obs_size": family.obs_size, "action_size": family.action.size}


def table(document: dict[str, Any]) -> str:
    """The table of the guide, in Markdown."""
    lines = [
        "| family | what | dense | sparse | solved | steps/s |",
        "|---|---|---|---|---|---|",
    ]
    for row in document["reference"]:
        name = row["name"]
        what = config.family_of(name).__doc__.rstrip(".")
        speed = next((speed for speed in document["speed"] if speed["name"] == name), None)
        dense, sparse = (f"{row[r]['flat']:z.1f} .. {row[r]['feasible']:z.1f}" for r in ("dense", "sparse"))
        solved = f"{row['success']:.0%}"
        if row.get("flat_success"):
            solved += f", by doing nothing {row['flat_success']:.0%}"
        rate = rate_of(speed) if speed else ""
        lines.append(f"| `{name}` | {what} | {dense} | {sparse} | {solved} | {rate} |")
    return "\n".join(lines)


def rate_of(speed: dict[str, Any]) -> str:
    """Steps per second, of those of the bare physics where there is physics."""
    bare = f" of {speed['physics']:,.0f}" if "physics" in speed else ""
    return f"{speed['family']:,.0f}{bare}"


def put_into(page: Path, lines: str) -> None:
    """Replace the table between the two marks."""
    before, _, rest = page.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    page.write_text(f"{before}{MARKS[0]}\n{lines}\n{MARKS[1]}{after}")


def backends(name: str) -> tuple[str | None, ...]:
    """The backends of a family, its default first; none for a preset, whose physics is that of its family."""
    if name not in plugins.names("families"):
        return ()
    field = plugins.load("families", name).Config.model_fields.get("backend")
    return typing.get_args(field.annotation) if field else (None,)


def everything() -> list[str]:
    """The families, then the presets that are a published setting of one."""
    return [*plugins.names("families"), *(name for name in presets.files() if "@" in name)]


def new_document(num_envs: int) -> dict[str, Any]:
    """Where and how it was measured, and nothing measured yet."""
    return {
        "command": "python experiments/bench/families.py",
        "machine": {"cores": os.cpu_count(), "platform": platform.platform(), "jax": jax.__version__},
        "environments": num_envs,
        "tasks": TASKS,
        "reference": [],
        "speed": [],
    }


def without(document: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The document without the rows of these."""
    kept = {
        part: [row for row in document[part] if row["name"] not in names] for part in ("reference", "speed")
    }
    return document | kept


def main() -> None:
    """Measure what is asked for, print a line for each, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", help="families and presets, all by default; with --table the page"
    )
    parser.add_argument("-o", type=Path, help="JSON file to write; with names, only their rows")
    parser.add_argument("--envs", type=int, default=64, help="environments side by side")
    parser.add_argument("--table", type=Path, help="write the table of this JSON file")
    asked = parser.parse_args()
    if asked.table:
        put_into(Path(asked.names[0]), table(json.loads(asked.table.read_text())))
        return
    startup.prepare()
    document = new_document(asked.envs)
    if asked.names and asked.o and asked.o.exists():
        document = without(json.loads(asked.o.read_text()), asked.names)
    for name in asked.names or everything():
        document["reference"].append(reference(name))
        for backend in backends(name):
            row = measure(name, backend, asked.envs)
            document["speed"].append(row)
            logic = "" if row["task_logic"] is None else f"  task logic {row['task_logic']:.0%}"
            print(f"{name:18} {backend or 'kinematic':12} {row['family']:12,.0f} steps/s{logic}")
            sys.stdout.flush()
        if asked.o:
            order = {name: i for i, name in enumerate(everything())}
            document["reference"].sort(key=lambda row: order.get(row["name"], len(order)))
            asked.o.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
