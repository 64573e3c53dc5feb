"""How time, memory, and bytes between devices grow with seeds, tasks, episodes and environments.

    python experiments/bench/growth.py [-o FILE.json] [--repeats N]

Every size of every axis is compiled as its command compiles it.  All sizes of an axis take turns.  The
exponent is the slope of the logarithm over that of the size, by least squares.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import beside

from hmrl_cli import config
from hmrl_cli.compute import epochs, processes
from hmrl_cli.lazy import jax, np
from hmrl_cli.runner import assembly, startup

BYTES = {"f32": 4, "s32": 4, "u32": 4, "pred": 1, "u8": 1}
EXCHANGES = re.compile(r"= (.+?) (?:all-reduce|all-gather|collective-permute|all-to-all)(?:-start)?\(")


class Axis(NamedTuple):
    """A size that grows, on a preset."""

    command: str
    preset: str
    key: str
    sizes: Sequence[int]
    sets: Sequence[str] = ()


AXES = {
    "seeds": Axis("meta-train", "wheeled/explore", "training.num_seeds", (2, 4, 8, 16)),
    "tasks": Axis("meta-train", "wheeled/explore", "algorithm.tasks_per_update", (10, 20, 40, 80)),
    "episodes": Axis("meta-train", "wheeled/explore", "algorithm.episodes_per_task", (10, 20, 40, 80)),
    "environments": Axis(
        "pretrain-skills", "ant_goal/vgcrl", "algorithm.episodes_per_update", (32, 64, 128, 256)
    ),
}


class Program:
    """One epoch of an update, compiled for one size of an axis."""

    def __init__(self, axis: Axis, size: int) -> None:
        """Compile."""
        sets = [*axis.sets, f"{axis.key}={size}", *minibatches(axis, size)]
        experiment = config.resolve(axis.command, axis.preset, sets).experiment
        learner = assembly.assemble(experiment).make_learner(None)
        seeds = experiment.training.num_seeds
        streams, sharding = epochs.streams(range(seeds)), epochs.sharding_of(seeds)
        self.state = processes.placed(jax.jit(jax.vmap(learner.init))(streams.init), sharding)
        self.keys = processes.placed(streams.train, sharding)
        epoch = epochs.make_epoch(lambda key, state, _: learner.step(key, state), 1, seeds)
        self.compiled = epoch.lower(self.keys, self.state, None).compile()

    def seconds(self) -> float:
        """Of one update."""
        began = time.perf_counter()
        self.state = jax.block_until_ready(self.compiled(self.keys, self.state, None))[0]
        return time.perf_counter() - began

    def memory(self) -> int:
        """Bytes of arguments and of everything temporary."""
        found = self.compiled.memory_analysis()
        return int(found.argument_size_in_bytes + found.temp_size_in_bytes)


def minibatches(axis: Axis, size: int) -> list[str]:
    """Minibatches of one size, whatever the number of episodes: more episodes are more gradient steps."""
    if axis.key != "algorithm.episodes_per_update":
        return []
    return [f"algorithm.ppo.minibatches={8 * size // axis.sizes[0]}"]


def exchanged(program: str) -> int:
    """Bytes that a device gives to others in one run of a compiled program, as its text tells.

    Loops count as often as they run.
    """
    own: dict[str, int] = {}
    calls: dict[str, list[tuple[str, int]]] = {}
    name = entry = ""
    for line in program.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.\-]+) .*-> .*\{$", line):
            name = head[2]
            entry = name if head[1] else entry
            own[name], calls[name] = 0, []
        elif not name:
            continue
        if found := EXCHANGES.search(line):
            own[name] += sum(map(size_of, re.findall(r"(\w+)\[([\d,]*)\]", found[1])))
        trips = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
        for kind, callee in re.findall(r"(body|condition|to_apply|calls)=%?([\w.\-]+)", line):
            calls[name].append((callee, int(trips[1]) if trips and kind == "body" else 1))
        for branches in re.findall(r"branch_computations=\{([^}]*)\}", line):
            calls[name] += [(one.strip().lstrip("%"), 1) for one in branches.split(",")]

    def total(computation: str) -> int:
        return own.get(computation, 0) + sum(n * total(one) for one, n in calls.get(computation, ()))

    return total(entry)


def size_of(array: tuple[str, str]) -> int:
    """Bytes of an array of a type and a shape, such as ("f32", "3,4")."""
    kind, shape = array
    return BYTES.get(kind, 0) * int(np.prod([int(x) for x in shape.split(",") if x], dtype=np.int64))


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Slope of log(value) over log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def grown(axis: Axis, repeats: int) -> dict[str, Any]:
    """Times, memory and bytes of every size, and their exponents."""
    programs = {size: Program(axis, size) for size in axis.sizes}
    rows = [{size: one.seconds() for size, one in programs.items()} for _ in range(repeats + 1)][1:]
    seconds = [statistics.median(row[size] for row in rows) for size in axis.sizes]
    memory = [one.memory() for one in programs.values()]
    moved = [exchanged(one.compiled.as_text()) for one in programs.values()]
    return {
        "preset": axis.preset,
        "key": axis.key,
        "sizes": list(axis.sizes),
        "seconds": seconds,
        "memory_bytes": memory,
        "exchanged_bytes": moved,
        "exponents": {
            "seconds": exponent(axis.sizes, seconds),
            "memory_bytes": exponent(axis.sizes, memory),
            "exchanged_bytes": exponent(axis.sizes, moved) if min(moved) > 0 else 0.0,
        },
        "repetitions": rows,
    }


def figure(found: Mapping[str, Any], path: Path) -> None:
    """Seconds of an update and memory against the size, over the smallest, for every axis."""
    import matplotlib.pyplot as plt

    from hmrl_cli.report.drawing import looks, marked

    drawn, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    of_axes = looks(list(found))
    titles = {"seconds": "seconds of an update", "memory_bytes": "bytes of memory"}
    for panel, (key, title) in zip(axes, titles.items(), strict=True):
        for name, one in found.items():
            x, y = np.array(one["sizes"]) / one["sizes"][0], np.array(one[key]) / one[key][0]
            panel.plot(x, y, label=f"{name}: {one['exponents'][key]:.2f}", **marked(len(x)), **of_axes[name])
        panel.plot([1, 8], [1, 8], color="0.5", ls=":", lw=1, label="in proportion: 1.00")
        panel.set(xscale="log", yscale="log", xlabel="size, over the smallest")
        panel.set_ylabel(f"{title}, over the smallest's")
        panel.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        panel.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
        panel.minorticks_off()
        panel.legend(fontsize="small")
    drawn.savefig(path)


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, help="JSON file to write, and an SVG beside it")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    startup.start()
    found = {name: grown(axis, asked.repeats) for name, axis in AXES.items()}
    libraries = {name: beside.version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")}
    document = {"devices": len(jax.devices()), "axes": found}
    document["provenance"] = beside.provenance("growth.py", libraries)
    for name, one in found.items():
        told = ", ".join(f"{key} {value:.2f}" for key, value in one["exponents"].items())
        print(f"{name:13} {told}")
    if asked.o:
        asked.o.write_text(json.dumps(document, indent=1) + "\n")
        figure(found, asked.o.with_suffix(".svg"))


if __name__ == "__main__":
    main()
