"""Make the study's files of FOLDER/FAMILY/[LIBRARY/]ARM, the runs of run.sh.

    PYTHONPATH=experiments/studies python experiments/studies/combination/gather.py [FOLDER]

FOLDER/FAMILY/skill_cost.json, by skill_cost.py, and FOLDER/FAMILY/[LIBRARY/]exploration are taken along.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from shared import exploration, figures, paths, results
from shared.differences import of_evaluations

HERE = Path(__file__).parent
WITHOUT_SKILLS = {"maml_repeat": "MAML without skills", "maesn_repeat": "MAESN without skills"}
OVER_SKILLS = {
    "skills_only": "skills, no meta-training",
    "hmrl_maml": "MAML over skills",
    "hmrl": "HMRL: MAESN over skills",
}
MAIN = {"wheeled": "wheeled/diayn", "ant_goal": "ant_goal/diayn_places"}  # the library of the main protocol
PICTURED = "ant_goal/diayn_places/exploration/hmrl"


def arms_of(library: str) -> dict[str, str]:
    """ARM -> how it is called, of the arms of a family without skills and those over one of its libraries."""
    without = {f"{library.split('/')[0]}/{arm}": name for arm, name in WITHOUT_SKILLS.items()}
    return without | {f"{library}/{arm}": name for arm, name in OVER_SKILLS.items()}


def differences(library: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """HMRL minus every other arm, of success and goals reached: mean, low, high."""
    found = {}
    for split, rule in itertools.product(("test", "hidden"), ("own", "explore")):
        for arm in arms_of(library):
            key = f"{split}-sparse-{rule}"
            if arm != f"{library}/hmrl":
                found[f"{library}: hmrl - {arm.rsplit('/', 1)[1]}, {split}, {rule}"] = of_evaluations(
                    arrays, f"{library}/hmrl/{key}", f"{arm}/{key}", same_skills=arm.startswith(library)
                )
    return found


def draw_arms(library: str, summary: dict[str, Any], file: Path) -> None:
    """Success and goals reached of every arm by exploring."""
    panels = {}
    for split in ("test", "hidden"):
        for measure, title in (("reached", "ever reached"), ("success", "success")):
            rows = {
                name: summary["evaluations"][arm][f"{split}-sparse-explore"][measure]
                for arm, name in arms_of(library).items()
            }
            panels[f"{split} goals: {title}"] = rows
    figures.intervals(file, panels, "share of goals")


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather(folder, ("success", "reached"))  # what its tables show
    summary["differences"] = {}
    for library in MAIN.values():
        summary["differences"] |= differences(library, arrays)
    summary["exploration, share that a draw decides"] = exploration.gathered(folder)
    for file in sorted(folder.glob("*/skill_cost.json")):
        for library, found in json.loads(file.read_text()).items():
            arrays[f"{file.parent.name}/{library}/skill_return"] = found.pop("return_per_skill")
            summary.setdefault("skill cost", {})[f"{file.parent.name}/{library}"] = found
    return summary, arrays | paths.kept(PICTURED, folder / f"{PICTURED}.svg")


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Each body's arms, and what the latents of HMRL do."""
    for family, library in MAIN.items():
        draw_arms(library, summary, study / f"{family}.svg")
    figures.paths(study / "paths.svg", arrays, PICTURED, "latent")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
