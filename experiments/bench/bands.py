"""Trains ten presets small, and checks that what they reach, their speed and their memory stay inside bands.

    python experiments/bench/bands.py [--write] [PRESET...]

The bands in bands.json come from seeds 0 to 4, and a check trains seeds 5 to 9.  A measure is the mean over
the last fifth of training and over seeds.  Its band is four standard deviations of a seed wide on each side.
Speed counts in environment steps per GFLOP of this machine's matrix products, before and after the training.
Memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import beside

from hmrl_cli.lazy import np
from hmrl_cli.runner import startup

FILE = Path(__file__).parent / "bands.json"
SEEDS = 5
WIDTH = 4.0  # standard deviations of a seed, on each side of the mean
LEAST = 0.02  # of the mean, the narrowest half band
SLOWEST, LARGEST = 0.6, 1.3  # times the speed and the memory of the bands
SPEED = re.compile(r"checkpoint, (\d+) steps/s$", re.MULTILINE)


class Small(NamedTuple):
    """A training of a preset that is small enough to repeat."""

    command: str
    preset: str
    epochs: int
    metric: str
    sets: tuple[str, ...] = ()
    skills: str | None = None  # the preset before it that learned them


TRAININGS = (
    Small("pretrain-skills", "sparse_point/vgcrl", 20, "arrivals"),
    Small("pretrain-skills", "wheeled/vgcrl", 10, "arrivals"),
    Small("pretrain-skills", "wheeled/diayn_ppo", 5, "mutual_information"),
    Small("pretrain-skills", "wheeled/diayn", 2, "mutual_information", ("training.updates_per_epoch=10",)),
    Small("pretrain-skills", "ant_goal/vgcrl", 40, "arrivals"),
    Small("meta-train", "sparse_point/skill_prior", 2, "success_after", skills="sparse_point/vgcrl"),
    Small("meta-train", "point/maml", 5, "return_after"),
    Small("meta-train", "sparse_point/maesn", 30, "success_after"),
    Small("meta-train", "sparse_point/rl2", 10, "success_last"),
    Small("meta-train", "sparse_point/pearl", 30, "success_after"),
)


def measured(one: Small, folder: Path, first_seed: int) -> dict[str, Any]:
    """The metric of each seed, speed and memory of one training."""
    run = folder / one.preset.replace("/", "-")
    argv = [sys.executable, "-m", "hmrl_cli", one.command, one.preset, "-q", "--run-dir", str(run)]
    argv += ["--seed", str(first_seed), "--num-seeds", str(SEEDS)]
    for setting in (f"training.epochs={one.epochs}", *one.sets):
        argv += ["--set", setting]
    if one.skills:
        argv += ["--skills", str(folder / one.skills.replace("/", "-"))]
    flops = beside.matrix_ceiling()
    before = flops()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{one.preset}: ended with status {process.returncode}; what it said is above")
    giga = statistics.mean((before, flops())) / 1e9
    rows = [json.loads(line)[one.metric] for line in (run / "metrics.jsonl").read_text().splitlines()]
    per_seed = np.mean(rows[-max(1, len(rows) // 5) :], axis=0)
    speed = float(SPEED.findall((run / "events.log").read_text())[-1])
    return {
        "metric": one.metric,
        "per_seed": [round(float(value), 5) for value in per_seed],
        "steps_per_gflop": round(speed / giga, 1),
        "memory_mib": round(used.ru_maxrss / 1024),
    }


def faults(found: dict[str, Any], band: dict[str, Any]) -> list[str]:
    """What lies outside the bands, in words."""
    mean, spread = np.mean(band["per_seed"]), np.std(band["per_seed"], ddof=1)
    half = max(WIDTH * spread, LEAST * abs(mean))
    value, told = np.mean(found["per_seed"]), []
    if abs(value - mean) > half:
        told.append(
            f"{found['metric']} {value:.4g}, must lie between {mean - half:.4g} and {mean + half:.4g}"
        )
    if found["steps_per_gflop"] < SLOWEST * band["steps_per_gflop"]:
        told.append(
            f"{found['steps_per_gflop']:.0f} steps per GFLOP, must be at least "
            f"{SLOWEST * band['steps_per_gflop']:.0f}"
        )
    if found["memory_mib"] > LARGEST * band["memory_mib"]:
        told.append(f"{found['memory_mib']} MiB, must be at most {LARGEST * band['memory_mib']:.0f}")
    return told


def main() -> None:
    """Train, and check or write the bands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the bands in place of checking them")
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="all where none is named")
    asked = parser.parse_args()
    startup.start()
    bands = json.loads(FILE.read_text()) if FILE.exists() else {}
    wanted = {*asked.presets, *(one.skills for one in TRAININGS if one.preset in asked.presets)}
    outside = 0
    with tempfile.TemporaryDirectory() as folder:
        for one in TRAININGS:
            if asked.presets and one.preset not in wanted:
                continue
            found = measured(one, Path(folder), 0 if asked.write else SEEDS)
            told = [] if asked.write else faults(found, bands[one.preset])
            bands[one.preset], outside = found, outside + len(told)
            print(
                f"{one.preset:26} {one.metric} {np.mean(found['per_seed']):.4g}", *told, sep="; ", flush=True
            )
    if asked.write:
        lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in bands.items()]
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    raise SystemExit(1 if outside else 0)


if __name__ == "__main__":
    main()
