"""Make the study's files of FOLDER/PRESET/ARM, the runs of run.sh and their evaluations.

PYTHONPATH=experiments/studies python experiments/studies/maesn/gather.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from shared import exploration, figures, paths, results
from shared.differences import of_evaluations

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
BODIES = {"wheeled": "wheeled robot", "ant_goal": "ant", "pusher": "pusher"}
ARMS = {
    "maesn/test-sparse-own": "MAESN, own update",
    "maesn/test-sparse-refit": "MAESN, refit",
    "latent_space/test-sparse-own": "LatentSpace, own update",
    "latent_space/test-sparse-refit": "LatentSpace, refit",
    "maml/test-sparse-own": "MAML, own update",
}
PAIRS = (
    ("maesn/test-sparse-own", "latent_space/test-sparse-own"),
    ("maesn/test-sparse-own", "maml/test-sparse-own"),
    ("maesn/test-sparse-refit", "latent_space/test-sparse-refit"),
    ("maesn/test-sparse-refit", "maml/test-sparse-own"),
    ("maesn/test-sparse-refit", "maesn/test-sparse-own"),
    ("hmrl_diayn_places/test-sparse-exploring", "maesn_again/test-sparse-exploring"),
    ("hmrl_diayn_places/hidden-sparse-exploring", "maesn_again/hidden-sparse-exploring"),
)
LONG = {
    "pusher/maesn_again/test-sparse-tuned": "MAESN, policy tuned after 10 updates",
    "pusher/maesn_long/test-sparse-imitation": "MAESN trained longer, refit and imitation",
    "pusher/scratch/test-sparse-tuned": "not meta-trained, policy tuned",
}
PUBLISHED = {"wheeled": 0.38, "ant_goal": 0.37, "pusher": 0.88}  # of MAESN, read off figures of 1802.07245
PICTURED = "ant_goal/exploration/maesn"


def line(label: str, key: str, arrays: dict[str, Any]) -> figures.Line:
    """The fraction of the way from flat to feasible against updates."""
    middle, low, high = arrays[f"{key}/fraction_curve"]
    return figures.Line(label, np.arange(len(middle)), middle, low, high)


def main(folder: Path) -> None:
    """Write summary, arrays and figures."""
    summary, arrays = results.gather(folder)
    summary["exploration, share that a draw decides"] = exploration.gathered(folder)
    summary["differences"] = {
        f"{body}: {ours} - {theirs}": of_evaluations(
            arrays,
            f"{body}/{ours}",
            f"{body}/{theirs}",
            same_skills=ours.split("/")[0] == theirs.split("/")[0],
            measures=("return", "success"),
        )
        for body in sorted({arm.split("/")[0] for arm in summary["runs"]})
        for ours, theirs in PAIRS
        if {f"{body}/{ours}/success", f"{body}/{theirs}/success"} <= set(arrays)
    }
    panels = [
        figures.Panel(
            title,
            [line(name, f"{body}/{arm}", arrays) for arm, name in ARMS.items()],
            {"published for MAESN after 100 updates": PUBLISHED[body]},
        )
        for body, title in BODIES.items()
    ]
    figures.curves(HERE / "fractions.svg", panels, "updates of 50 episodes", "fraction of flat to feasible")
    lines = [line(name, key, arrays) for key, name in LONG.items()]
    published = {"published for MAESN": PUBLISHED["pusher"]}
    panel = figures.Panel("pusher", lines, published)
    figures.curves(HERE / "pusher_tuned.svg", [panel], "updates", "fraction of flat to feasible")
    arrays |= paths.kept(PICTURED, folder / f"{PICTURED}.svg")
    figures.paths(HERE / "paths.svg", arrays, PICTURED, "latent")
    results.write(HERE, summary, arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
