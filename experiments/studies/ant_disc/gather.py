"""Make the study's files of FOLDER, the suite `ant_disc`.

    PYTHONPATH=experiments/studies python experiments/studies/ant_disc/gather.py [FOLDER]

An evaluation is named PRIOR_STOPS, by its prior and the places of an episode.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from places.gather import mean_success, rounded
from shared import figures, results
from shared.intervals import difference, interval

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
ARMS = {"both": "HMRL", "broad": "skills, no meta-training"}
STOPS = (1, 2, 3, 4)


def key(arm: str, stops: int) -> str:
    """Where the arrays of an evaluation are."""
    return f"ant_goal/disc/test-sparse-{arm}_{stops}"


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder, ("success", "reached"))
    # the study turned has the training of the skills
    arrays = {name: x for name, x in arrays.items() if "-sparse-" in name and "/return" not in name}
    summary["success"], summary["differences"] = {}, {}
    for stops in STOPS:
        # [seed, task, episode]
        found = {arm: arrays[f"{key(arm, stops)}/success"].astype(float) for arm in ARMS}
        for arm, curve in found.items():
            met = np.maximum.accumulate(arrays[f"{key(arm, stops)}/reached"].astype(float), axis=-1)
            row = {"third": interval(curve[..., 2]), "sixth": interval(curve[..., 5])}
            row |= {"mean": interval(mean_success(curve)), "met by the third": interval(met[..., 2])}
            summary["success"][f"{arm}, {stops}"] = rounded(row)
        summary["differences"][f"both - broad, {stops}"] = rounded(
            {
                "third": difference(*(curve[..., 2] for curve in found.values())),
                "mean": difference(*map(mean_success, found.values())),
            }
        )
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Success in each episode, one curve an arm."""
    panels = []
    for stops in STOPS:
        lines = []
        for arm, label in ARMS.items():
            curve = arrays[f"{key(arm, stops)}/success_curve"]
            lines.append(figures.Line(label, 1 + np.arange(curve.shape[1]), *curve))
        panels.append(figures.Panel(f"{stops} place{'s' if stops > 1 else ''} an episode", lines))
    figures.curves(study / "success.svg", panels, "episode", "success", columns=2)


if __name__ == "__main__":
    results.main(HERE, collect, draw)
