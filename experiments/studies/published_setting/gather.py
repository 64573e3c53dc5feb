"""Make the study's files of FOLDER, the suite `published_setting`.

PYTHONPATH=experiments/studies python experiments/studies/published_setting/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from places.gather import ARMS, EPISODES, rounded
from shared import figures, results

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
RUN = "wheeled/hmrl"
AFTER = (20, 100)  # episodes
# Fractions of the way after 100 updates of 10,000 steps, off figures of Gupta et al. 2018, 1802.07245.
PUBLISHED = {"wheeled": 0.38, "ant_goal": 0.37}
MEASURES = ("fraction", "success", "reached")


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder, MEASURES)
    arrays = {name: x for name, x in arrays.items() if not name.endswith("/return")}  # too many to keep
    summary["published"] = {family: [fraction] for family, fraction in PUBLISHED.items()}
    summary["adapted"] = {}
    for split in ("test", "hidden"):
        for arm in ARMS:
            row = after(arrays, f"{RUN}/{split}-sparse-{arm}")
            summary["adapted"][f"wheeled, {split}: {arm}"] = rounded(row)
    return summary, arrays


def after(arrays: results.Arrays, key: str) -> dict[str, list[float]]:
    """Mean and interval of each measure after some numbers of episodes."""
    return {
        f"{measure} after {episodes}": arrays[f"{key}/{measure}_curve"][:, episodes // EPISODES].tolist()
        for measure in MEASURES
        for episodes in AFTER
    }


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """The fraction of the way against episodes, one curve an arm."""
    panels = []
    for split in ("test", "hidden"):
        lines = []
        for arm, label in ARMS.items():
            middle, low, high = arrays[f"{RUN}/{split}-sparse-{arm}/fraction_curve"]
            lines.append(figures.Line(label, EPISODES * np.arange(len(middle)), middle, low, high))
        panels.append(figures.Panel(f"wheeled, {split}", lines))
    figures.curves(study / "fraction.svg", panels, "episodes", "fraction of the way", columns=2)


if __name__ == "__main__":
    results.main(HERE, collect, draw)
