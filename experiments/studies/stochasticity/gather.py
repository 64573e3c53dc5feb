"""Make the study's files of FOLDER, the runs of run.sh.

    PYTHONPATH=experiments/studies python experiments/studies/stochasticity/gather.py [FOLDER]

Every arm's success is a mean over 0, 4, ..., 60 episodes, and over test and hidden goals alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import figures, results

from hmrl_cli.evaluation.statistics import paired_difference
from hmrl_cli.lazy import np

HERE = Path(__file__).parent
BASE = "entropy_0.001-mean"  # the default
FAMILIES = ("sparse_point",)
PICTURED = {
    BASE: "default",
    "entropy_0-mean": "entropy 0",
    "entropy_0.1-mean": "entropy 0.1",
    "sampled-sampled": "sampled skills",
    "entropy_0.001-noise_1": "noise 1",
    "entropy_0.001-noise_3": "noise 3",
}
EPISODES = 4  # of a batch
SAME_SKILLS = ("sampled", "noise")  # as those of the default


def curve(arrays: results.Arrays, arm: str, rule: str) -> Any:
    """Success [seed, task, batch] on the tasks of both splits."""
    splits = (arrays[f"{arm}/{split}-sparse-{rule}/success"] for split in ("test", "hidden"))
    return np.concatenate(list(splits), axis=1).astype(float)


def interval(values: Any) -> list[float]:
    """Mean and its interval over seeds and tasks [seed, task]."""
    return list(paired_difference(values, np.zeros_like(values), seeds_paired=True).values())


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather(folder, ("success", "reached"))
    arrays = {name: x for name, x in arrays.items() if not name.endswith("/return")}  # too many to keep
    summary["success"], summary["differences"] = {}, {}
    for family in FAMILIES:
        found = {
            f"{arm.split('/')[1]}-{name.removeprefix('test-sparse-')}": curve(
                arrays, arm, name.removeprefix("test-sparse-")
            ).mean(axis=-1)
            for arm, rows in summary["evaluations"].items()
            for name in rows
            if arm.startswith(f"{family}/") and name.startswith("test-")
        }
        for name, values in found.items():
            summary["success"][f"{family}: {name}"] = interval(values)
            if name != BASE:
                paired = any(one in name for one in SAME_SKILLS)
                less = paired_difference(values, found[BASE], seeds_paired=paired)
                summary["differences"][f"{family}: {name} - default"] = list(less.values())
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Success against episodes, one curve an arm."""
    panels = []
    for family in FAMILIES:
        lines = []
        for name, label in PICTURED.items():
            of_arm = curve(arrays, f"{family}/{name.split('-')[0]}", name.split("-")[1])
            points = [interval(of_arm[..., batch]) for batch in range(of_arm.shape[-1])]
            lines.append(figures.Line(label, EPISODES * np.arange(len(points)), *np.array(points).T))
        panels.append(figures.Panel(family, lines))
    figures.curves(study / "success.svg", panels, "episodes", "success")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
