"""Make the study's files of FOLDER, the suite `places`.

    PYTHONPATH=experiments/studies python experiments/studies/places/gather.py [FOLDER]

A world is FAMILY/ARM of the suite.  Its numbers are of its test goals, its hidden goals, and their
half-and-half mix.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import figures, results
from shared.intervals import difference, interval

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
ARMS = {"both": "HMRL: both priors", "learned": "learned prior alone", "broad": "skills, no meta-training"}
PICTURED = {
    "wheeled/eighth": "wheeled, an eighth",
    "ant_goal/eighth": "ant, an eighth",
    "sparse_point/eighth": "point, an eighth",
    "wheeled/eighth_of_6_m": "wheeled, 6 m, an eighth",
}
# half the side of the space, m
GROWING = {3: "wheeled/eighth", 6: "wheeled/eighth_of_6_m", 12: "wheeled/eighth_of_12_m"}
WIDENING = {
    share: tuple(f"{family}/{arm}" for family in ("wheeled", "ant_goal", "sparse_point"))
    for share, arm in ((1 / 8, "eighth"), (1 / 2, "half"))
}
SPLITS = {"test": "test goals", "hidden": "hidden goals", "mix": "half and half"}
GROUPS = {"test": 1, "hidden": 1, "mix": 2}  # of tasks
EPISODES = 4  # of a batch
SOON = 40  # episodes
# MAESN on the half ring, without skills and over places, adapted by relabelling: way, episodes of a batch.
MAESN = {"wheeled/maesn": ("explore", 20), "wheeled/maesn_over_places": ("relabel", 4)}


def success(arrays: results.Arrays, world: str, arm: str, split: str) -> Any:
    """Success [seed, task, batch]; the mix has the tasks of both splits."""
    splits = ("test", "hidden") if split == "mix" else (split,)
    return np.concatenate([arrays[f"{world}/{one}-sparse-{arm}/success"] for one in splits], axis=1)


def area(curve: Any, episodes: int) -> Any:
    """Mean success [seed, task] over so many episodes."""
    return mean_success(curve[..., : episodes // EPISODES + 1])


def mean_success(curve: Any) -> Any:
    """Success [seed, task], averaged over all episodes by the trapezoid rule."""
    return (curve[..., 1:] + curve[..., :-1]).mean(axis=-1) / 2


def rounded(row: dict[str, list[float]]) -> dict[str, list[float]]:
    """To three decimals."""
    return {name: [round(value, 3) for value in values] for name, values in row.items()}


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder, ("success", "fraction"))
    arrays = {
        name: x for name, x in arrays.items() if not name.endswith(("/return", "/reached"))
    }  # too many to keep
    worlds = [arm for arm, rows in summary["evaluations"].items() if len(rows) == 2 * len(ARMS)]
    summary["success"], summary["differences"] = {}, {}
    for world in worlds:
        for split in ("test", "hidden", "mix"):
            curves = {arm: success(arrays, world, arm, split).astype(float) for arm in ARMS}
            for arm, curve in curves.items():
                found = {f"after {n}": curve[..., n // EPISODES] for n in (8, 16, SOON)}
                found |= {"area 40": area(curve, SOON)}
                row = {name: interval(values, groups=GROUPS[split]) for name, values in found.items()}
                summary["success"][f"{world}, {split}: {arm}"] = rounded(row)
            for other in ("learned", "broad"):
                pair = (area(curves[arm], SOON) for arm in ("both", other))
                lead = {"area 40": difference(*pair, groups=GROUPS[split])}
                summary["differences"][f"{world}, {split}: both - {other}"] = rounded(lead)
    summary["MAESN"] = maesn(arrays)
    summary["mean gap to the better arm: test to learned, hidden to broad"] = gaps(summary["success"], worlds)
    return summary, arrays


def maesn(arrays: results.Arrays) -> dict[str, dict[str, list[float]]]:
    """Success of MAESN after 40 episodes, where it was run."""
    found = {}
    for run, (way, episodes) in MAESN.items():
        for split in ("test", "hidden"):
            curve = arrays.get(f"{run}/{split}-sparse-{way}/success")
            if curve is not None:
                after = interval(curve.astype(float)[..., SOON // episodes])
                found[f"{run}, {split}"] = rounded({f"after {SOON}": after})
    return found


def gaps(rows: dict[str, Any], worlds: list[str]) -> dict[str, list[float]]:
    """How far both priors are below the arm made for each kind of goals, as means over worlds."""

    def gap(when: str, split: str, arm: str) -> float:
        means = ([rows[f"{world}, {split}: {one}"][when][0] for world in worlds] for one in (arm, "both"))
        better, both = map(np.mean, means)
        return float(better - both)

    return {
        when: [gap(when, "test", "learned"), gap(when, "hidden", "broad")] for when in ("after 8", "after 16")
    }


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Success against episodes, one curve an arm."""
    panels = []
    for split in ("test", "hidden"):
        for world, title in PICTURED.items():
            if all(f"{world}/{split}-sparse-{arm}/success" in arrays for arm in ARMS):
                panels.append(figures.Panel(f"{title}, {split}", list(_lines(arrays, world, split))))
    figures.curves(study / "success.svg", panels, "episodes", "success", columns=len(panels) // 2)
    growth = [_over(arrays, split, {x: (world,) for x, world in GROWING.items()}) for split in SPLITS]
    figures.curves(study / "growth.svg", growth, "half the side of the space, m", "mean success")
    width = [_over(arrays, split, WIDENING) for split in SPLITS]
    figures.curves(study / "width.svg", width, "share of the circle in training", "mean success")


def _over(arrays: results.Arrays, split: str, worlds: dict[float, tuple[str, ...]]) -> figures.Panel:
    """Mean success over the first episodes, one curve an arm, against what the worlds differ in."""
    lines = []
    for arm, label in ARMS.items():
        of_worlds = [
            [area(success(arrays, world, arm, split).astype(float), SOON) for world in several]
            for several in worlds.values()
        ]
        rows = [
            interval(np.concatenate(values, axis=1), groups=GROUPS[split] * len(values))
            for values in of_worlds
        ]
        lines.append(figures.Line(label, list(worlds), *np.array(rows).T))
    return figures.Panel(SPLITS[split], lines)


def _lines(arrays: results.Arrays, world: str, split: str) -> Any:
    for arm, label in ARMS.items():
        middle, low, high = arrays[f"{world}/{split}-sparse-{arm}/success_curve"][:, : SOON // EPISODES + 1]
        yield figures.Line(label, EPISODES * np.arange(len(middle)), middle, low, high)


if __name__ == "__main__":
    results.main(HERE, collect, draw)
