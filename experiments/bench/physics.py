"""How much of the bare physics' rate a training reaches, everything included."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import beside
import families

from hmrl_cli.devices import mesh_for
from hmrl_cli.lazy import jax

ENVIRONMENTS = (16, 32, 64, 128, 256)


def bare(physics: Any, start: Any, num_envs: int) -> Callable[[], float]:
    """Returns a function that measures steps per second under random actions, spread over the devices."""
    keys = jax.random.split(jax.random.key(0), num_envs)
    run = jax.vmap(families.physics_steps(physics, start))
    mesh = mesh_for(num_envs)
    if mesh is not None:
        apart = jax.sharding.PartitionSpec(*mesh.axis_names)
        run = jax.shard_map(run, mesh=mesh, in_specs=apart, out_specs=apart, check_vma=False)
        keys = jax.device_put(keys, jax.sharding.NamedSharding(mesh, apart))
    compiled = jax.jit(run).lower(keys).compile()

    def measure() -> float:
        began = time.perf_counter()
        jax.block_until_ready(compiled(keys))
        return num_envs * families.STEPS / (time.perf_counter() - began)

    return measure


def measure(side: beside.Trained, repeats: int) -> dict[str, Any]:
    """Steps per second of training a preset, and of its physics alone for several numbers of environments."""
    settings = {name: value for name, value in side.experiment.family.model_dump().items() if name != "name"}
    family, physics = families.make(side.experiment.family.name, **settings)
    reset = family.reset(jax.random.key(1), family.sample(jax.random.key(0), "train"))
    start = families.physics_state(reset.body)
    alone = {number: bare(physics, start, number) for number in ENVIRONMENTS}
    rows = []
    for _ in range(repeats + 1):
        row = {"training": side.steps / side.epoch()[0]}
        rows.append(row | {str(number): rate() for number, rate in alone.items()})
    rows = rows[1:]
    side.close()
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    best = max(map(str, ENVIRONMENTS), key=lambda name: medians[name])
    shares = {
        name: beside.spread([row["training"] / row[key] for row in rows])
        for name, key in (("of_64", "64"), ("of_best", best))
    }
    return {
        "preset": side.preset,
        "set": side.sets,
        "compile_s": side.compile_s,
        "steps_per_s": medians,
        "best": int(best),
        "share": shares,
        "repetitions": rows,
    }


def lines(document: dict[str, Any]) -> list[str]:
    """What `measure` found, to print."""
    rates, share, best = (document[name] for name in ("steps_per_s", "share", "best"))
    rate, seconds = rates["training"], document["compile_s"]
    return [
        f"{document['preset']:28} {rate:9.0f} steps/s in training, compiled in {seconds:.0f} s",
        f"  {'of the bare physics':26} {share['of_64']['median']:.0%} at 64 environments, "
        f"{share['of_best']['median']:.0%} at {best}, its best",
    ]
