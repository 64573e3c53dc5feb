"""What the benchmarks beside other implementations share: the two sides, the ceiling, the provenance."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hmrl_cli import config
from hmrl_cli.compute import epochs
from hmrl_cli.lazy import jax, jnp
from hmrl_cli.runner import assembly

ROOT = Path(__file__).parent.parent.parent
PEERS = Path(__file__).parent / "peers"
MATRICES = (256, 512, 1024)


def version(name: str) -> str:
    """The installed version of a package."""
    return importlib.metadata.version(name)


def environment(name: str, requirements: Sequence[str]) -> Path:
    """The interpreter of an environment with these requirements, made where it is missing."""
    folder = ROOT / ".bench" / name
    python, mark = folder / "bin/python", folder / "installed"
    pins = "\n".join(requirements)
    if not mark.exists() or mark.read_text() != pins:
        print(f"installing into {folder.relative_to(ROOT)}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        mark.write_text(pins)
    return python


class Peer:
    """Another implementation in a process of its own, idle unless asked."""

    def __init__(
        self, python: Path, script: Path, settings: dict[str, Any], variables: Mapping[str, str] | None = None
    ) -> None:
        """Start it, with some variables of its environment, and wait until it has compiled."""
        self.script = script
        self.process = subprocess.Popen(
            [python, script, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict(variables or {}),
        )
        first = self._read()
        self.compile_s, self.versions = first["compile_s"], first.get("versions", {})

    def _read(self) -> dict[str, Any]:
        """The next line of JSON; libraries print other lines."""
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(
            f"{self.script.name} ended with status {self.process.wait()}; what it said is above"
        )

    def ask(self, command: str) -> dict[str, Any]:
        """Have it do something."""
        assert self.process.stdin
        print(command, file=self.process.stdin, flush=True)
        return self._read()

    def start(self, seed: int) -> None:
        """Begin again, with another seed."""
        self.ask(f"start {seed}")

    def close(self) -> None:
        """End its process."""
        self.process.communicate()


class Trained:
    """A preset of this project, trained as its command trains it."""

    def __init__(self, command: str, preset: str, sets: Sequence[str] = ()) -> None:
        """Compile."""
        self.preset, self.sets = preset, list(sets)
        self.experiment = config.resolve(command, preset, sets).experiment
        self.parts = assembly.assemble(self.experiment)
        self.learner = self.parts.make_learner(None)
        self.calls = self.experiment.training.updates_per_epoch
        self.steps = self.parts.steps_per_update * self.calls
        self._init = jax.jit(jax.vmap(self.learner.init))
        epoch = epochs.make_epoch(lambda key, state, _: self.learner.step(key, state), self.calls)
        began = time.perf_counter()
        self.start(0)
        self._epoch = epoch.lower(self._keys(), self.state, None).compile()
        self.compile_s = time.perf_counter() - began

    def _keys(self) -> Any:
        return jax.vmap(lambda key: jax.random.fold_in(key, self.epochs))(self.streams.train)

    def start(self, seed: int) -> None:
        """Begin again, with another seed."""
        self.epochs, self.state = 0, None  # frees the replay before the next one is made
        self.streams = epochs.streams([seed])
        self.state = jax.block_until_ready(self._init(self.streams.init))

    def epoch(self) -> tuple[float, dict[str, float]]:
        """Seconds of one epoch, and its metrics."""
        began = time.perf_counter()
        self.state, metrics, finite = self._epoch(self._keys(), self.state, None)
        assert finite
        seconds = time.perf_counter() - began
        self.epochs += 1
        return seconds, {name: float(value[0]) for name, value in metrics.items()}

    def close(self) -> None:
        """Let go of the replay."""
        self.state = None


def products(batch: int, sizes: Sequence[int], passes: str) -> float:
    """FLOP of a network's matrix products: f forward, w to its weights, x to its input."""
    layers = [2.0 * batch * a * b for a, b in itertools.pairwise(sizes)]
    backward = sum(layers[1:]) if {"w", "x"} & set(passes) else 0.0  # from layer to layer
    return (
        passes.count("f") * sum(layers)
        + ("w" in passes) * sum(layers)
        + backward
        + ("x" in passes) * layers[0]
    )


def matrix_ceiling() -> Callable[[], float]:
    """Returns a function that measures the float32 FLOP per second of the fastest of some square products."""
    count = 40

    def power(x: Any) -> Any:
        return jax.lax.scan(lambda y, _: (y @ x * (1.0 / len(x)), None), x, None, count)[0]

    inputs = [jnp.ones((size, size)) for size in MATRICES]
    compiled = [(jax.jit(power).lower(x).compile(), x) for x in inputs]

    def measure() -> float:
        rates = []
        for run, x in compiled:
            began = time.perf_counter()
            jax.block_until_ready(run(x))
            rates.append(2.0 * count * len(x) ** 3 / (time.perf_counter() - began))
        return max(rates)

    return measure


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def quality_ratio(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, Any]:
    """Their seconds over ours, each the median over seeds; a bound where they were cut off."""
    seconds = [statistics.median(run["seconds"] for run in runs) for runs in (ours, theirs)]
    return {
        "ratio": seconds[1] / seconds[0],
        "is_lower_bound": not all(run["reached"] for run in theirs),
        "ours_reached": all(run["reached"] for run in ours),
    }


def machine() -> dict[str, Any]:
    """What it was measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": names[0].partition(":")[2].strip() if names else platform.processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
    }


def provenance(script: str, versions: dict[str, str]) -> dict[str, Any]:
    """How and on what something was measured."""
    return {
        "command": " ".join([f"python experiments/bench/{script}", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions,
    }
