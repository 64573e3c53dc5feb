"""How much of the bare physics' rate a training reaches, everything included."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import beside
import families

from hmrl_cli.compute.devices import mesh_for
from hmrl_cli.lazy import jax

ENVIRONMENTS = (16, 32, 64, 128, 256)


def bare(physics: Any, start: Any, num_envs: int, spread: bool) -> Callable[[], float]:
    """Returns a function that measures steps per second under random actions, on one device or all."""
    keys = jax.random.split(jax.random.key(0), num_envs)
    run = jax.vmap(families.physics_steps(physics, start))
    mesh = mesh_for(num_envs) if spread else None
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
    alone = {
        f"{number} {name}": bare(physics, start, number, spread)
        for number in ENVIRONMENTS
        for name, spread in (("in one batch", False), ("over the devices", True))
    }
    rows = []
    for _ in range(repeats + 1):
        row = {"training": side.steps / side.epoch()[0]}
        rows.append(row | {name: rate() for name, rate in alone.items()})
    rows = rows[1:]
    side.close()
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}

    def best(name: str) -> str:
        return max((key for key in alone if key.endswith(name)), key=lambda key: medians[key])

    return {
        "preset": side.preset,
        "set": side.sets,
        "compile_s": side.compile_s,
        "steps_per_s": medians,
        "share": {
            key: beside.spread([row["training"] / row[key] for row in rows])
            for key in ("64 in one batch", best("in one batch"), best("over the devices"))
        },
        "repetitions": rows,
    }


def lines(document: dict[str, Any]) -> list[str]:
    """What `measure` found, to print."""
    rates, seconds = document["steps_per_s"], document["compile_s"]
    return [
        f"{document['preset']:28} {rates['training']:9.0f} steps/s in training, compiled in {seconds:.0f} s",
        *(
            f"  bare, {name:20} {rates[name]:9.0f} steps/s: {share['median']:.0%}"
            for name, share in document["share"].items()
        ),
    ]
