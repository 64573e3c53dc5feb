"""PPO whose minibatches the devices share, beside PPO that every device repeats, and the physics alone.

    python experiments/bench/shares.py [-o FILE.json] [--preset PRESET] [--repeats N]

One seed of the preset, everything included; the two trainings and the physics take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any
from unittest import mock

import beside
import families
import physics

from hmrl_cli.compute import devices
from hmrl_cli.lazy import jax
from hmrl_cli.runner import startup

ENVIRONMENTS = (64, 128, 256)


def repeated(run: Any, shared: Any, *each: Any) -> Any:
    """Stands in for `devices.in_shares`: every device does all of the work."""
    return run(lambda tree: tree, shared, *each)


def measure(preset: str, repeats: int) -> dict[str, Any]:
    """Steps per second of each side, and the shares of the physics' best rate over all devices."""
    shares = beside.Trained("pretrain-skills", preset)
    with mock.patch.object(devices, "in_shares", repeated):
        repeats_all = beside.Trained("pretrain-skills", preset)
    settings = {name: x for name, x in shares.experiment.family.model_dump().items() if name != "name"}
    family, model = families.make(shares.experiment.family.name, **settings)
    start = families.physics_state(
        family.reset(jax.random.key(1), family.sample(jax.random.key(0), "train")).body
    )
    alone = [physics.bare(model, start, number, spread=True) for number in ENVIRONMENTS]
    rows = []
    for _ in range(repeats + 1):  # the first is not counted
        rows.append(
            {
                "shared": shares.steps / shares.epoch()[0],
                "repeated": repeats_all.steps / repeats_all.epoch()[0],
                "physics": max(rate() for rate in alone),
            }
        )
    rows = rows[1:]
    return {
        "preset": preset,
        "devices": len(jax.devices()),
        "steps_per_s": {name: statistics.median(row[name] for row in rows) for name in rows[0]},
        "shared_to_repeated": beside.spread([row["shared"] / row["repeated"] for row in rows]),
        "shared_to_physics": beside.spread([row["shared"] / row["physics"] for row in rows]),
        "repeated_to_physics": beside.spread([row["repeated"] / row["physics"] for row in rows]),
        "repetitions": rows,
    }


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, help="JSON file to write")
    parser.add_argument("--preset", default="ant_goal/vgcrl")
    parser.add_argument("--repeats", type=int, default=9)
    asked = parser.parse_args()
    startup.start()
    document = measure(asked.preset, asked.repeats)
    libraries = {name: beside.version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")}
    document["provenance"] = beside.provenance("shares.py", libraries)
    for name, rate in document["steps_per_s"].items():
        print(f"{name:10} {rate:9.0f} steps/s")
    for name in ("shared_to_repeated", "shared_to_physics", "repeated_to_physics"):
        print(f"{name:20} {document[name]['median']:.2f}")
    if asked.o:
        asked.o.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
