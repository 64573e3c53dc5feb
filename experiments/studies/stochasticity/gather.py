"""Make the study's files of FOLDER, the suite `stochasticity`.

    PYTHONPATH=experiments/studies python experiments/studies/stochasticity/gather.py [FOLDER]

Every arm's success is a mean over 0, 4, ..., 60 episodes, and over test and hidden goals alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import figures, results
from shared.intervals import difference, interval

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
BASE = ("sparse_point/entropy_0.001", "no_noise")  # arm and way to search of the default
PICTURED = {
    BASE: "default",
    ("sparse_point/entropy_0", "no_noise"): "entropy 0",
    ("sparse_point/entropy_0.1", "no_noise"): "entropy 0.1",
    ("sparse_point/sampled", "no_noise"): "sampled skills",
    ("sparse_point/entropy_0.001", "noise_1"): "noise 1",
    ("sparse_point/entropy_0.001", "noise_3"): "noise 3",
}
EPISODES = 4  # of a batch
SPLITS = ("test", "hidden")
SAME_SKILLS = ("sparse_point/entropy_0.001", "sparse_point/sampled")  # as those of the default


def curve(arrays: results.Arrays, arm: str, way: str) -> Any:
    """Success [seed, task, batch] on the tasks of both splits."""
    splits = (arrays[f"{arm}/{split}-sparse-{way}/success"] for split in SPLITS)
    return np.concatenate(list(splits), axis=1).astype(float)


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder, ("success", "reached"))
    large = ("/return", "/reached")
    arrays = {name: x for name, x in arrays.items() if not name.endswith(large)}
    summary["success"], summary["differences"] = {}, {}
    default = curve(arrays, *BASE).mean(axis=-1)
    for arm, rows in summary["evaluations"].items():
        for way in (name.removeprefix("test-sparse-") for name in rows if name.startswith("test-")):
            values = curve(arrays, arm, way).mean(axis=-1)
            summary["success"][f"{arm}, {way}"] = interval(values, groups=len(SPLITS))
            if (arm, way) != BASE:
                less = difference(values, default, groups=len(SPLITS), same_skills=arm in SAME_SKILLS)
                summary["differences"][f"{arm}, {way} - default"] = less
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Success against episodes, one curve an arm."""
    lines = []
    for (arm, way), label in PICTURED.items():
        of_arm = curve(arrays, arm, way)
        points = [interval(of_arm[..., batch], groups=len(SPLITS)) for batch in range(of_arm.shape[-1])]
        lines.append(figures.Line(label, EPISODES * np.arange(len(points)), *np.array(points).T))
    figures.curves(study / "success.svg", [figures.Panel("sparse_point", lines)], "episodes", "success")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
