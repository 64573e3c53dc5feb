"""Make the study's files of FOLDER, the suite `tours`.

    PYTHONPATH=experiments/studies python experiments/studies/tours/gather.py [FOLDER]

A world is FAMILY/ARM of the suite.  An evaluation is named PRIOR_STOPS, by its prior and the places of a
searching episode.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from places.gather import mean_success, rounded
from shared import figures, results
from shared.intervals import difference, interval

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
ARMS = {"both": "HMRL: both priors", "broad": "skills, no meta-training"}
SPLITS = {"test": ("test",), "hidden": ("hidden",), "mix": ("test", "hidden")}
WORLDS = {  # numbers of places
    "sparse_point/half": ("sparse point", (1, 2, 3)),
    "wheeled/half": ("wheeled", (1, 2, 3)),
    "ant_goal/half": ("ant", (1, 2)),
}
EPISODES = 4  # of a batch
AFTER = (8, 16)  # episodes after which a table tells success


def success(arrays: results.Arrays, world: str, split: str, way: str) -> Any:
    """Success [seed, task, batch] of a split, or None where the world lacks it."""
    names = [f"{world}/{one}-sparse-{way}/success" for one in SPLITS[split]]
    if not all(name in arrays for name in names):
        return None
    return np.concatenate([arrays[name] for name in names], axis=1).astype(float)


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder, ("success",))
    arrays = {name: x for name, x in arrays.items() if "-sparse-" not in name or "/success" in name}
    summary["evaluations"] = {}
    summary["success"], summary["differences"] = {}, {}
    for world, (_, numbers) in WORLDS.items():
        for split in SPLITS:
            ways = [(arm, stops) for arm in ARMS for stops in numbers]
            curves = {way: success(arrays, world, split, f"{way[0]}_{way[1]}") for way in ways}
            if any(curve is None for curve in curves.values()):
                continue
            groups = len(SPLITS[split])
            for (arm, stops), curve in curves.items():
                found = {f"after {n}": curve[..., n // EPISODES] for n in AFTER}
                found |= {"mean": mean_success(curve)}
                row = {name: interval(values, groups=groups) for name, values in found.items()}
                summary["success"][f"{world}, {split}: {arm}, {stops}"] = rounded(row)
            summary["differences"] |= _differences(f"{world}, {split}", curves, groups)
    summary["gaps of HMRL with two places"] = {
        "hidden, to skills alone": _gap(arrays, "hidden", "broad_2"),
        "test, to the learned prior alone": _gap(arrays, "test", "learned_2"),
    }
    return summary, arrays


def _gap(arrays: results.Arrays, split: str, way: str) -> list[float]:
    """How far both priors are below another way after 8 and 16 episodes, as means of worlds with both."""
    both = [[success(arrays, world, split, one) for one in (way, "both_2")] for world in WORLDS]
    pairs = [pair for pair in both if all(curve is not None for curve in pair)]
    return [
        round(
            float(np.mean([better[..., n // 4].mean() - ours[..., n // 4].mean() for better, ours in pairs])),
            3,
        )
        for n in (8, 16)
    ]


def _differences(
    where: str, curves: dict[tuple[str, int], Any], groups: int
) -> dict[str, dict[str, list[float]]]:
    """Of mean success: more places minus one, and both priors minus the broad one."""
    pairs = {f"{arm}, {n} - 1": ((arm, n), (arm, 1)) for arm, n in curves if n > 1}
    pairs |= {f"both - broad, {n}": (("both", n), ("broad", n)) for arm, n in curves if arm == "both"}
    found = {}
    for name, (ours, theirs) in pairs.items():
        means = (mean_success(curves[one]) for one in (ours, theirs))
        found[f"{where}: {name}"] = rounded({"mean": difference(*means, groups=groups)})
    return found


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Success against episodes, one curve an arm and number of places."""
    panels = []
    for world, (title, _) in WORLDS.items():
        for split in ("test", "hidden"):
            lines = []
            for arm, label in ARMS.items():
                for stops in (1, 2):
                    curve = arrays.get(f"{world}/{split}-sparse-{arm}_{stops}/success_curve")
                    if curve is not None:
                        places = "1 place" if stops == 1 else f"{stops} places"
                        along = EPISODES * np.arange(curve.shape[1])
                        lines.append(figures.Line(f"{label}, {places}", along, *curve))
            if lines:
                panels.append(figures.Panel(f"{title}, {split}", lines))
    figures.curves(study / "success.svg", panels, "episodes", "success", columns=2)


if __name__ == "__main__":
    results.main(HERE, collect, draw)
