"""Make the study's files of FOLDER, the suite `combination`, and of what run.sh measures beside it.

PYTHONPATH=experiments/studies python experiments/studies/combination/gather.py [FOLDER]
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
OVER_SKILLS = {  # of the main library of each family
    "skills_only": "skills, no meta-training",
    "hmrl_maml": "MAML over skills",
    "hmrl": "HMRL: MAESN over skills",
}
ARMS = WITHOUT_SKILLS | OVER_SKILLS
OWN_UPDATE = {"skills_only": "tune"}  # elsewhere "own"
FAMILIES = ("wheeled", "ant_goal")
PICTURED = "ant_goal/hmrl"


def differences(family: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """HMRL minus every other arm, of success and goals reached: mean, low, high."""
    found = {}
    for split, rule, arm in itertools.product(("test", "hidden"), ("own", "explore"), ARMS):
        if arm != "hmrl":
            theirs = OWN_UPDATE.get(arm, rule) if rule == "own" else rule
            found[f"{family}: hmrl - {arm}, {split}, {rule}"] = of_evaluations(
                arrays,
                f"{family}/hmrl/{split}-sparse-{rule}",
                f"{family}/{arm}/{split}-sparse-{theirs}",
                same_skills=arm in OVER_SKILLS,
            )
    return found


def draw_arms(family: str, summary: dict[str, Any], file: Path) -> None:
    """Success and goals reached of every arm by exploring."""
    panels = {}
    for split in ("test", "hidden"):
        for measure, title in (("reached", "ever reached"), ("success", "success")):
            rows = {
                name: summary["evaluations"][f"{family}/{arm}"][f"{split}-sparse-explore"][measure]
                for arm, name in ARMS.items()
            }
            panels[f"{split} goals: {title}"] = rows
    figures.intervals(file, panels, "share of goals")


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder, ("success", "reached"))  # what its tables show
    summary["differences"] = {}
    for family in FAMILIES:
        summary["differences"] |= differences(family, arrays)
    explored = exploration.gathered(folder / "meta")  # by FAMILY/ARM/SEEDS
    summary["exploration, share that a draw decides"] = {
        run.rpartition("/")[0]: shares for run, shares in explored.items()
    }
    summary["skill cost"] = {}
    for library, found in json.loads((folder / "skill_cost.json").read_text()).items():
        arrays[f"wheeled/skills/{library}/skill_return"] = found.pop("return_per_skill")
        summary["skill cost"][f"wheeled/skills/{library}"] = found
    [picture] = (folder / "meta" / PICTURED / "exploration").glob("*.svg")
    return summary, arrays | paths.kept(PICTURED, picture)


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Each body's arms, and what the latents of HMRL do."""
    for family in FAMILIES:
        draw_arms(family, summary, study / f"{family}.svg")
    figures.paths(study / "paths.svg", arrays, PICTURED, "latent")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
