"""Estimates of the memory, disk space and time of a training, from shapes and earlier runs.

Nothing is compiled.  So memory is a lower bound: activations, gradients and temporary arrays come on top.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hmrl_cli.experiment import Experiment
from hmrl_cli.lazy import jax
from hmrl_cli.runner.assembly import Parts
from hmrl_cli.storage import checkpoints, provenance, speeds
from hmrl_cli.storage.naming import RUNS
from hmrl_cli.types import Continuous

NUMBER = 4  # bytes
KEPT = 8  # numbers that the outer gradient keeps of each unit of a network; 2 were measured on a CPU
SIZES = (  # settings of algorithms that the steps of an update grow with, the usual ones first
    "episodes_per_update",
    "trials_per_update",
    "episodes_per_task",
    "tasks_per_update",
    "episodes_per_trial",
    "batches",
)
SHARE = 0.5  # of a device's memory that activations may take


def memory(experiment: Experiment, parts: Parts, shapes: Any) -> dict[str, int]:
    """Bytes of a training: arrays of all seeds, of the fullest device, and on the disk.

    Args:
        experiment: what to run.
        parts: its parts.
        shapes: what `state_shapes` returns.

    Returns:
        "state_bytes" of parameters, optimizers and buffers, "buffer_bytes" of the replay buffers in it,
        "batch_bytes" of the environment steps of one update, all of all seeds; "devices"; "device_bytes" of
        state and batch on the fullest device, "device_limit_bytes" of its memory; "checkpoint_bytes" of one
        checkpoint, "disk_bytes" of those that exist at one time.
    """
    seeds = experiment.training.num_seeds
    state = sum(map(_size, jax.tree.leaves(shapes)))
    nodes = jax.tree.leaves(shapes, is_leaf=_is_buffer)
    buffers = sum(map(_size, jax.tree.leaves([node for node in nodes if _is_buffer(node)])))
    batch = seeds * parts.steps_per_update // parts.steps_per_decision * _step_bytes(parts)
    count = len(jax.devices())
    return {
        "state_bytes": state,
        "buffer_bytes": buffers,
        "batch_bytes": batch,
        "devices": count,
        "device_bytes": of_device(state + batch, seeds, count),
        "device_limit_bytes": _memory_of_device(),
        "checkpoint_bytes": state,
        "disk_bytes": (checkpoints.KEEP + 1) * state,
    }


def tasks_at_once(experiment: Experiment, parts: Parts) -> int:
    """The number of tasks whose activations fit into a device's memory, at least 1; 0 if all tasks fit.

    Args:
        experiment: of a learner with inner updates.
        parts: its parts.
    """
    algorithm: Any = experiment.algorithm
    seeds, count = experiment.training.num_seeds, len(jax.devices())
    # a device has the tasks of its own seeds, or its share of the tasks of all seeds
    here, share = (seeds // count, 1) if seeds % count == 0 else (seeds, count)
    family = parts.act_on(None)
    steps = (algorithm.inner_steps + 1) * algorithm.episodes_per_task * family.horizon
    of_task = KEPT * NUMBER * steps * (family.obs_size + sum(algorithm.hidden) + 2 * family.action.size)
    fit = int(SHARE * _memory_of_device() / (of_task * here))
    return 0 if fit * share >= algorithm.tasks_per_update else max(fit, 1)


def less_memory(experiment: Experiment, parts: Parts, shapes: Any) -> str:
    """A text on the settings to lower for less memory: at most three, the most effective one first.

    Args:
        experiment: what to run.
        parts: its parts.
        shapes: what `state_shapes` returns.
    """
    needs, algorithm = memory(experiment, parts, shapes), dict(experiment.algorithm)
    if 2 * needs["buffer_bytes"] > needs["state_bytes"] + needs["batch_bytes"]:
        names = ["buffer_capacity", "num_train_tasks", *SIZES]  # PEARL has a buffer of each task
    else:
        names = [*SIZES, "buffer_capacity"]
    sizes = {name: algorithm[name] for name in names if isinstance(algorithm.get(name), int)}
    found = [f"algorithm.{name} below {size}" for name, size in sizes.items() if size > 1]
    if (seeds := experiment.training.num_seeds) > 1:
        found.insert(1, f"training.num_seeds below {seeds}")
    at_once = algorithm.get("tasks_at_once")
    at_once = sizes.get("tasks_per_update", 1) if at_once in (0, "auto") else at_once
    if at_once is not None and at_once > 1:
        found.insert(0, f"algorithm.tasks_at_once = {at_once // 2}")
    *others, last = found[:3] or ["smaller networks"]
    return " or ".join([", ".join(others), last] if others else [last])


def of_device(total: int, seeds: int, count: int) -> int:
    """Bytes on the fullest of `count` devices: its share if seeds divide evenly, else those of all seeds."""
    return total // count if seeds % count == 0 else total


def ram_bytes() -> int:
    """The memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def time(experiment: Experiment, steps: int, path: Path | None) -> dict[str, Any]:
    """The time of a training at the speed of earlier runs of the same learner on this machine.

    Args:
        experiment: what to run.
        steps: environment steps of all seeds.
        path: of the new run, None for one below `runs/`.  Runs there, and those beside the path, may tell.

    Returns:
        "seconds" without compilation, and "steps_per_second"; under "measured" the "run", its "seeds", and
        whether it has the "same_settings".  All are None where no run tells.
    """
    found = speeds.measured(RUNS, experiment, provenance.machine(), path)
    if found is None or not found.steps_per_second:
        return {"seconds": None, "steps_per_second": None, "measured": None}
    measured = {"run": str(found.run), "seeds": found.seeds, "same_settings": found.same}
    speed = found.steps_per_second
    return {"seconds": round(steps / speed, 1), "steps_per_second": speed, "measured": measured}


def _is_buffer(node: Any) -> bool:
    """Whether a node of a state is a `learning.replay.Buffer`."""
    # by its fields, because nothing of `learning` is imported here
    return getattr(node, "_fields", ()) == ("data", "position", "size")


def _size(leaf: Any) -> int:
    return int(leaf.size * leaf.dtype.itemsize)


def _step_bytes(parts: Parts) -> int:
    """Bytes of one `Transition` of the learner: two observations, an action and four numbers."""
    family = parts.act_on(None)
    action = family.action.size if isinstance(family.action, Continuous) else 1
    return NUMBER * (2 * family.obs_size + action + 4)


def _memory_of_device() -> int:
    """The memory of a device; of a CPU, that of the machine."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return int(stats.get("bytes_limit", 0)) or ram_bytes()
