"""Make the study's files of FOLDER/REWARD/ARM and FOLDER/imitation, the runs and answers of run.sh.

PYTHONPATH=experiments/studies python experiments/studies/uses_of_skills/gather.py [FOLDER]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared import arms, figures, results
from shared.differences import of_trainings

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
NAMES = {
    "scratch": "PPO from scratch",
    "best_skill": "PPO from the best skill",
    "hierarchy": "PPO through the skills",
}


def walk(found: dict[str, Any]) -> dict[str, Any]:
    """How near the chosen skill comes to a walk; distances, in m, are means over the steps, one per seed."""
    least = np.min(found["distance"], axis=-1)
    chosen = np.array(found["distance_of_chosen"])
    return {
        "chosen": found["skill"],
        "distance_m": chosen,
        "of_the_mean_skill_m": found["distance_of_mean"],
        "of_the_nearest_skill_m": least,
        "seeds_nearest": int(np.sum(chosen <= least)),
    }


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather(folder)
    summary["training"] = arms.training_rows(arrays, list(summary["runs"]), ["return", "reached"])
    summary["above scratch"] = {  # those that start as a skill draw other goals
        f"{reward}/{arm}": of_trainings(
            summary["training"], f"{reward}/{arm}", f"{reward}/scratch", seeds_paired=arm == "hierarchy"
        )
        for reward in ("dense", "sparse")
        for arm in ("best_skill", "hierarchy")
    }
    summary["walks"] = {}
    for file in sorted((folder / "imitation").glob("*.json")):
        found = json.loads(file.read_text())
        summary["walks"][f"{file.stem} degrees"] = walk(found)
        for name in ("log_q", "distance", "distance_of_chosen", "distance_of_mean"):
            arrays[f"imitation/{file.stem}/{name}"] = found[name]
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """How often each policy reaches the goal."""
    panels = [
        figures.Panel(
            f"{reward} reward",
            [
                figures.Line(name, *arms.training_curve(arrays, f"{reward}/{arm}", "reached"))
                for arm, name in NAMES.items()
            ],
        )
        for reward in ("dense", "sparse")
    ]
    figures.curves(
        study / "training.svg", panels, "environment steps, millions", "episodes at the goal, share"
    )


if __name__ == "__main__":
    results.main(HERE, collect, draw)
