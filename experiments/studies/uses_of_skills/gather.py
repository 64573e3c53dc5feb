"""Make the study's files of FOLDER, the suite `uses_of_skills`, and of the answers in FOLDER/imitation.

    PYTHONPATH=experiments/studies python experiments/studies/uses_of_skills/gather.py [FOLDER]

The library is left out, because the study `skill_libraries` has its numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared import arms, figures, results
from shared.differences import of_trainings

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
REWARDS = ("dense", "sparse")
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
    summary, arrays = results.gather_suite(HERE, folder)
    del summary["evaluations"], summary["protocols"]
    arrays = {name: x for name, x in arrays.items() if "/skills/" not in name}
    names = [f"ant_goal/{reward}_{arm}" for reward in REWARDS for arm in NAMES]
    summary["training"] = arms.training_rows(arrays, names, ["return", "reached"])
    summary["above scratch"] = {  # those that start as a skill draw other goals
        f"ant_goal/{reward}_{arm}": of_trainings(
            summary["training"],
            f"ant_goal/{reward}_{arm}",
            f"ant_goal/{reward}_scratch",
            seeds_paired=arm == "hierarchy",
        )
        for reward in REWARDS
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
                figures.Line(name, *arms.training_curve(arrays, f"ant_goal/{reward}_{arm}", "reached"))
                for arm, name in NAMES.items()
            ],
        )
        for reward in REWARDS
    ]
    figures.curves(
        study / "training.svg", panels, "environment steps, millions", "episodes at the goal, share"
    )


if __name__ == "__main__":
    results.main(HERE, collect, draw)
