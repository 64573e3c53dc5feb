"""Make the study's files of FOLDER, the suite `few_step_baseline` and what advantages.py found.

PYTHONPATH=experiments/studies python experiments/studies/few_step_baseline/gather.py [FOLDER]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared import arms, figures, results

HERE = Path(__file__).parent
BASELINES = {"least squares": "least squares", "linear_baseline": "with the ridge"}
POLICIES = {
    "tuning/ant_goal/diayn_places/hmrl": "HMRL, ant",
    "tuning/ant_goal/maesn_repeat": "MAESN, ant",
    "tuning/wheeled/hmrl": "HMRL, wheeled robot",
    "tuning/wheeled/maesn_repeat": "MAESN, wheeled robot",
    "maesn/ant_goal@maesn/latent_space": "LatentSpace, ant at 100 Hz",
}
EPISODES = ("5", "20")


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder)
    measures = ["return_after", "success_after"]
    summary["training"] = arms.training_rows(arrays, list(summary["evaluations"]), measures)
    summary["correlations"] = {}
    for run, found in json.loads((folder / "advantages.json").read_text()).items():
        run = run.removeprefix("runs/")
        for episodes in EPISODES:
            for key, name in BASELINES.items():
                one = found[episodes][key]
                arrays[f"correlations/{run}/{episodes}/{key}"] = one["per_task"]
                values = [one["mean"], one["low"], one["high"]]
                summary["correlations"][f"{run}, {episodes} episodes, {name}"] = values
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Both baselines of each policy."""
    panels = {
        f"{episodes} episodes": {
            f"{name.removeprefix('with the ')}: {policy}": summary["correlations"][
                f"{run}, {episodes} episodes, {name}"
            ]
            for run, policy in POLICIES.items()
            for name in BASELINES.values()
        }
        for episodes in EPISODES
    }
    figures.intervals(study / "correlations.svg", panels, "correlation of advantages")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
