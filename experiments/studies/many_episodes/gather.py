"""Make the study's files of FOLDER, the suite `many_episodes`.

PYTHONPATH=experiments/studies python experiments/studies/many_episodes/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import figures, results
from shared.differences import of_evaluations

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
ARMS = {
    "hmrl": "HMRL: MAESN over skills",
    "skills_only": "skills, no meta-training",
    "maesn_repeat": "MAESN without skills",
}
FIGURES = {"wheeled": "wheeled/diayn16", "ant_goal": "ant_goal/diayn_places"}
LIBRARIES = ("wheeled/diayn", *FIGURES.values())


def arm_over(library: str, arm: str) -> str:
    """FAMILY/ARM of the suite, for FAMILY/LIBRARY: arms over skills are named after them, too."""
    family, skills = library.split("/")
    return f"{family}/{arm}" if arm == "maesn_repeat" else f"{family}/{arm}_{skills}"


def at(updates: int, key: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """Fraction, success and goals reached after so many updates: middle, low, high."""
    return {name: arrays[f"{key}/{name}_curve"][:, updates] for name in ("fraction", "success", "reached")}


def draw_fractions(library: str, arrays: dict[str, Any], file: Path) -> None:
    """Fractions against updates, on test and hidden goals."""
    panels = []
    for split in ("test", "hidden"):
        lines = []
        for arm, name in ARMS.items():
            middle, low, high = arrays[f"{arm_over(library, arm)}/{split}-sparse-tuned/fraction_curve"]
            lines.append(figures.Line(name, np.arange(len(middle)), middle, low, high))
        panels.append(figures.Panel(f"{split} goals", lines))
    figures.curves(file, panels, "updates of 50 episodes", "fraction of the way")


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder)
    keys = [f"{arm}/{name}" for arm, rows in summary["evaluations"].items() for name in rows]
    summary["after 10 updates"] = {key: at(10, key, arrays) for key in keys}
    summary["differences"] = {
        f"{library}: hmrl - {arm}, {split}": of_evaluations(
            arrays,
            f"{arm_over(library, 'hmrl')}/{split}-sparse-tuned",
            f"{arm_over(library, arm)}/{split}-sparse-tuned",
            same_skills=arm == "skills_only",
            measures=("return", "success", "reached"),
        )
        for library in LIBRARIES
        for arm in ("skills_only", "maesn_repeat")
        for split in ("test", "hidden")
    }
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Each body's arms."""
    for family, library in FIGURES.items():
        draw_fractions(library, arrays, study / f"{family}.svg")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
