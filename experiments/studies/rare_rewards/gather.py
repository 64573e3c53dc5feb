"""Make the study's files of FOLDER, the suite `rare_rewards`.

    PYTHONPATH=experiments/studies python experiments/studies/rare_rewards/gather.py [FOLDER]

A world is a family; its arms are sizes of the disc of reward.
"""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

from places.gather import ARMS, GROUPS, SPLITS, area, rounded, success
from shared import figures, results
from shared.intervals import difference, interval

HERE = Path(__file__).parent
WORLDS = {
    "sparse_point": "sparse point",
    "reacher": "reacher",
    "point": "2-D navigation",
    "wheeled": "wheeled, 6 m",
    "ant_goal": "ant",
    "pusher": "pusher",
}
BUDGETS = (40, 100)  # episodes, over which success is averaged


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder, ("success",))
    kept = ("/success", "/config")  # the rest is too large
    arrays = {name: x for name, x in arrays.items() if name.endswith(kept)}
    summary["evaluations"] = {}
    summary["success"], summary["differences"] = {}, {}
    for run in discs(arrays):
        for split in SPLITS:
            curves = {arm: success(arrays, run, arm, split).astype(float) for arm in ARMS}
            for arm, curve in curves.items():
                mean = interval(area(curve, BUDGETS[-1]), groups=GROUPS[split])
                summary["success"][f"{run}, {split}: {arm}"] = rounded({f"mean of {BUDGETS[-1]}": mean})
            for other in ("learned", "broad"):
                found = {}
                for n in BUDGETS if split == "mix" else BUDGETS[:1]:
                    pair = (area(curves[arm], n) for arm in ("both", other))
                    found[f"mean of {n}"] = difference(*pair, groups=GROUPS[split])
                summary["differences"][f"{run}, {split}: both - {other}"] = rounded(found)
    summary["growth"] = growth(arrays)
    return summary, arrays


def growth(arrays: results.Arrays) -> dict[str, Any]:
    """How much more both priors gain over skills alone with a disc than with the next larger one (mix)."""
    found = {}
    for larger, smaller in pairwise(discs(arrays)):
        # in an arena the nearest goals depend on the disc, so that goals are no pairs
        if family_of(larger) == family_of(smaller) != "wheeled":
            gains = []
            for run in (smaller, larger):
                curves = (success(arrays, run, arm, "mix").astype(float) for arm in ("both", "broad"))
                both, broad = (area(curve, BUDGETS[0]) for curve in curves)
                gains.append(both - broad)
            more = difference(*gains, groups=GROUPS["mix"])
            found[f"{smaller} over {larger}"] = rounded({f"mean of {BUDGETS[0]}": more})
    return found


def discs(arrays: results.Arrays) -> list[str]:
    """The runs that are complete, FAMILY/ARM, from large discs to small ones."""
    ways = [f"{split}-sparse-{arm}/success" for split in SPLITS if split != "mix" for arm in ARMS]
    runs = {name.removesuffix("/config") for name in arrays if name.endswith("/config")}
    complete = [run for run in runs if all(f"{run}/{way}" in arrays for way in ways)]
    worlds = list(WORLDS)
    return sorted(complete, key=lambda run: (worlds.index(family_of(run)), -radius(arrays, run)))


def family_of(run: str) -> str:
    """The world of a run."""
    return run.partition("/")[0]


def radius(arrays: results.Arrays, run: str) -> float:
    """Of the disc of reward, m."""
    found: float = tomllib.loads(arrays[f"{run}/config"].item().decode())["family"]["sparse_radius"]
    return found


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Mean success against the size of the disc, one curve an arm."""
    panels = []
    for world, title in WORLDS.items():
        runs = [run for run in discs(arrays) if family_of(run) == world]
        if len(runs) < 2:
            continue
        lines = []
        for arm, label in ARMS.items():
            rows = [summary["success"][f"{run}, mix: {arm}"][f"mean of {BUDGETS[-1]}"] for run in runs]
            lines.append(figures.Line(label, [radius(arrays, run) for run in runs], *zip(*rows, strict=True)))
        panels.append(figures.Panel(title, lines))
    figures.curves(study / "discs.svg", panels, "radius of the disc, m", "mean success", columns=2)


if __name__ == "__main__":
    results.main(HERE, collect, draw)
