"""What a first start costs, a second one, and further evaluations.

    python experiments/bench/starts.py [-o FILE.json] [--presets COMMAND:PRESET...]

A first start has an empty compilation cache, and the second one the cache that it left.  Both are timed until
the first update is in metrics.jsonl.  The evaluations, whole commands, adapt one run to 40 tasks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import beside

from hmrl_cli.runner import startup

PRESETS = ("pretrain-skills:ant_goal/vgcrl", "meta-train:ant_goal/maesn", "meta-train:wheeled/explore")
EVALUATED = "wheeled/explore"
EVALUATIONS = {
    "test": ("--split", "test"),
    "hidden": ("--split", "hidden"),
    "other numbers": ("--split", "test", "--set", "evaluation.latent_std=0.5"),
}


def start(folder: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A command, with a compilation cache in the folder."""
    hmrl = Path(sys.executable).parent / "hmrl"
    environment = os.environ | {"HMRL_CACHE_DIR": f"{folder}/cache"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([hmrl, *arguments], env=environment, **quiet)


def seconds_of(folder: str, *arguments: str) -> float:
    """Seconds of one command, from start to exit."""
    began = time.perf_counter()
    if code := start(folder, *arguments).wait():
        raise RuntimeError(f"hmrl {' '.join(arguments)}: ended with status {code}")
    return time.perf_counter() - began


def to_first_update(folder: str, name: str, *arguments: str) -> float:
    """Seconds from the start of a training to its first update."""
    run, began = Path(folder, name), time.perf_counter()
    process = start(folder, *arguments, "--run-dir", str(run), "-q")
    metrics = run / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size):
        if process.poll() not in (None, 0):
            raise RuntimeError(f"hmrl {' '.join(arguments)}: ended with status {process.returncode}")
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    process.wait()
    return seconds


def starts(command: str, preset: str) -> dict[str, float]:
    """Seconds to the first update, of the first and of the second start."""
    once = [f"--set=training.{key}=1" for key in ("epochs", "updates_per_epoch", "checkpoint_every")]
    with tempfile.TemporaryDirectory() as folder:
        first, second = (
            to_first_update(folder, name, command, preset, *once) for name in ("first", "second")
        )
    return {"first_s": first, "second_s": second, "second_to_first": second / first}


def evaluations(preset: str) -> dict[str, float]:
    """Seconds of evaluations one after another, of which the first compiles."""
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        seconds_of(folder, "meta-train", preset, "--set=training.epochs=1", "--run-dir", run, "-q")
        return {name: seconds_of(folder, "eval", run, *options) for name, options in EVALUATIONS.items()}


def measure(presets: Sequence[str]) -> dict[str, Any]:
    """All of it, one after another."""
    return {
        "starts": {one: starts(*one.split(":")) for one in presets},
        "evaluations": {"preset": EVALUATED, "seconds": evaluations(EVALUATED)},
    }


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, help="JSON file to write")
    parser.add_argument("--presets", nargs="+", default=PRESETS, metavar="COMMAND:PRESET")
    asked = parser.parse_args()
    found = measure(asked.presets)
    startup.start()  # for the machine's description alone: the commands have processes of their own
    libraries = {name: beside.version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")}
    document = found | {"provenance": beside.provenance("starts.py", libraries)}
    for name, one in found["starts"].items():
        told = f"{one['first_s']:6.1f} s, then {one['second_s']:5.1f} s"
        print(f"{name:36} {told}: {one['second_to_first']:.2f}")
    for name, seconds in found["evaluations"]["seconds"].items():
        print(f"eval {EVALUATED}, {name:18} {seconds:6.1f} s")
    if asked.o:
        asked.o.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
