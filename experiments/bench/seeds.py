"""N seeds in one program against N runs one after the other, whole commands, compilation included.

    python experiments/bench/seeds.py [-o FILE.json] [--preset PRESET] [--seeds N...] [--set K=V]

Every command starts in a process of its own with an empty compilation cache; N runs are reckoned as N times
the median of the runs of one seed between which those of N seeds take their turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import beside

from hmrl_cli.runner import startup


def seconds_of(preset: str, sets: list[str], num_seeds: int) -> float:
    """Seconds of one command, from start to exit."""
    with tempfile.TemporaryDirectory() as folder:
        hmrl = Path(sys.executable).parent / "hmrl"
        command = [hmrl, "meta-train", preset, "--num-seeds", str(num_seeds)]
        command += ["--run-dir", f"{folder}/run", "-q", *(part for line in sets for part in ("--set", line))]
        began = time.perf_counter()
        environment = os.environ | {"HMRL_CACHE_DIR": f"{folder}/cache"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        return time.perf_counter() - began


def measure(preset: str, sets: list[str], numbers: list[int], repeats: int) -> dict[str, Any]:
    """Times in turn."""
    rows = [{number: seconds_of(preset, sets, number) for number in (1, *numbers)} for _ in range(repeats)]
    for row in rows:
        print(row, file=sys.stderr)
    one = statistics.median(row[1] for row in rows)
    return {
        "preset": preset,
        "set": sets,
        "seconds": {number: beside.spread([row[number] for row in rows]) for number in (1, *numbers)},
        "times_as_fast": {
            number: beside.spread([number * one / row[number] for row in rows]) for number in numbers
        },
    }


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, help="JSON file to write")
    parser.add_argument("--preset", default="wheeled/explore")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 4, 8], metavar="N")
    parser.add_argument("--set", action="append", default=None, metavar="K=V", help="as for hmrl")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    startup.prepare()
    document = measure(asked.preset, asked.set or ["training.epochs=20"], asked.seeds, asked.repeats)
    document["provenance"] = beside.provenance(
        "seeds.py", {name: beside.version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")}
    )
    for number, ratio in document["times_as_fast"].items():
        seconds = document["seconds"][number]["median"]
        print(f"{number:3} seeds {seconds:7.1f} s, {ratio['median']:.2f} times as fast as {number} runs")
    if asked.o:
        asked.o.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
