"""Gather FOLDER/imitation/*.json, what `hmrl imitate --json` said of each walk, into FOLDER/imitation.md.

    python experiments/results/uses/imitation.py FOLDER

Distances, in m, are means over the steps; `nearest` counts the seeds whose chosen skill comes nearest.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hmrl_cli.lazy import np

HEADS = ("walk", "chosen skill", "its distance", "of the mean skill", "of the nearest skill", "nearest")


def row(found: dict[str, Any]) -> list[str]:
    """One trajectory's cells; those of distances have one number per seed."""

    def each(values: Any) -> str:
        return ", ".join(f"{value:.2f}" for value in values)

    least = np.min(found["distance"], axis=-1)
    chosen = np.array(found["distance_of_chosen"])
    return [
        Path(found["trajectory"]).stem + "°",
        ", ".join(map(str, found["skill"])),
        each(chosen),
        each(found["distance_of_mean"]),
        each(least),
        f"{np.sum(chosen <= least)} of {len(chosen)}",
    ]


def main(folder: Path) -> None:
    """Write the table."""
    found = [json.loads(path.read_text()) for path in sorted((folder / "imitation").glob("*.json"))]
    rows = [HEADS, ["---"] * len(HEADS), *map(row, found)]
    (folder / "imitation.md").write_text("\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
