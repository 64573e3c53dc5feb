"""Make the study's files of FOLDER, the suite `turned`.

PYTHONPATH=experiments/studies python experiments/studies/turned/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from places.gather import mean_success, rounded
from shared import figures, results
from shared.intervals import difference, interval
from tours.gather import SPLITS, success

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
ARMS = {
    "both": "HMRL",
    "unturned": "HMRL, nothing turned",
    "none": "skills, no meta-training",
    "learned": "learned prior alone",
}
WORLDS = {
    "sparse_point": "sparse point",
    "reacher": "reacher",
    "wheeled": "wheeled, arena of 6 m",
    "ant_goal": "ant",
    "point": "2-D navigation",
}
EPISODES = 4  # between two updates
MEANS = (16, 40, 100)  # episodes over which success is averaged


def means(curve: Any) -> dict[str, Any]:
    """Mean success [seed, task] over the first episodes, by their number."""
    return {f"mean of {n}": mean_success(curve[..., : n // EPISODES + 1]) for n in MEANS}


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder, ("success",))
    kept = ("/success", "/success_curve", "/config")  # the rest is too large
    arrays = {name: x for name, x in arrays.items() if name.endswith(kept)}
    del summary["evaluations"], summary["protocols"]  # the suite tells the protocol
    summary["success"], summary["differences"] = {}, {}
    for world in WORLDS:
        for split in SPLITS:
            of_arms = {arm: means(success(arrays, f"{world}/hmrl", split, arm)) for arm in ARMS}
            for arm, found in of_arms.items():
                where = f"{world}, {split}"
                groups = len(SPLITS[split])
                summary["success"][f"{where}: {arm}"] = rounded(
                    {name: interval(values, groups=groups) for name, values in found.items()}
                )
                if arm != "both":
                    lead = _lead(of_arms["both"], found, groups)
                    summary["differences"][f"{where}: both - {arm}"] = lead
    return summary, arrays


def _lead(ours: dict[str, Any], theirs: dict[str, Any], groups: int) -> dict[str, list[float]]:
    """How far HMRL is ahead of another way to search over the same skills."""
    return rounded({name: difference(ours[name], theirs[name], groups=groups) for name in ours})


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Success on hidden goals against episodes, one curve an arm."""
    panels = []
    for world, title in WORLDS.items():
        curves = {arm: arrays[f"{world}/hmrl/hidden-sparse-{arm}/success_curve"] for arm in ARMS}
        lines = [
            figures.Line(ARMS[arm], EPISODES * np.arange(curve.shape[1]), *curve)
            for arm, curve in curves.items()
        ]
        panels.append(figures.Panel(title, lines))
    figures.curves(study / "success.svg", panels, "episodes", "success on hidden goals", columns=3)


if __name__ == "__main__":
    results.main(HERE, collect, draw)
