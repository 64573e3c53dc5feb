"""Make the study's files of FOLDER, the suite `maesn`, and of how its arms explore, which run.sh measures.

PYTHONPATH=experiments/studies python experiments/studies/maesn/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import exploration, figures, paths, results
from shared.differences import of_evaluations

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
BODIES = {"wheeled": "wheeled robot", "ant_goal": "ant", "pusher": "pusher"}
ARMS = {
    "maesn/test-sparse-refit": "MAESN, refit",
    "maesn/test-sparse-own": "MAESN, own update",
    "latent_space/test-sparse-refit": "LatentSpace, refit",
    "latent_space/test-sparse-own": "LatentSpace, own update",
    "maml/test-sparse-own": "MAML, own update",
}
PAIRS = (
    ("maesn/test-sparse-own", "latent_space/test-sparse-own"),
    ("maesn/test-sparse-own", "maml/test-sparse-own"),
    ("maesn/test-sparse-refit", "latent_space/test-sparse-refit"),
    ("maesn/test-sparse-refit", "maml/test-sparse-own"),
    ("maesn/test-sparse-refit", "maesn/test-sparse-own"),
)
EXPLORING = tuple(
    (f"hmrl_diayn_places/{split}-sparse-exploring", f"maesn/{split}-sparse-exploring")
    for split in ("test", "hidden")
)
AUTHORS = tuple((f"authors_{ours}", f"authors_{theirs}") for ours, theirs in PAIRS)  # at their time scale
LONG = {
    "pusher/maesn/test-sparse-tuned": "MAESN, policy tuned after 10 updates",
    "pusher/maesn_again/test-sparse-tuned": "MAESN, policy tuned after 10 updates",  # another training, kept
    "pusher/maesn_long/test-sparse-imitation": "MAESN trained longer, refit and imitation",
    "pusher/scratch/test-sparse-tuned_40": "not meta-trained, policy tuned",
}
PUBLISHED = {"wheeled": 0.38, "ant_goal": 0.37, "pusher": 0.88}  # of MAESN, read off figures of 1802.07245
PICTURED = "ant_goal/maesn"
# curves left out, for their size
INTERNAL = tuple(f"/metrics/{x}" for x in ("loss", "divergence", "improvement", "cg_residual", "env_steps"))


def line(label: str, key: str, arrays: results.Arrays, episodes: int = 1) -> figures.Line:
    """The fraction of the way from flat to feasible against updates, or episodes of so many an update."""
    middle, low, high = arrays[f"{key}/fraction_curve"]
    return figures.Line(label, np.arange(len(middle)) * episodes, middle, low, high)


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder)
    arrays = {name: x for name, x in arrays.items() if not name.endswith(INTERNAL)}
    explored = exploration.gathered(folder / "meta")  # by FAMILY/ARM/SEEDS
    summary["exploration, share that a draw decides"] = {
        run.rpartition("/")[0]: shares for run, shares in explored.items()
    }
    summary["differences"] = {
        f"{body}: {ours} - {theirs}": of_evaluations(
            arrays,
            f"{body}/{ours}",
            f"{body}/{theirs}",
            same_skills=ours.split("/")[0] == theirs.split("/")[0],
            measures=("return", "success"),
        )
        for body in BODIES
        for ours, theirs in PAIRS + EXPLORING + AUTHORS
        if {f"{body}/{ours}/success", f"{body}/{theirs}/success"} <= set(arrays)
    }
    [picture] = (folder / "meta" / PICTURED / "exploration").glob("*.svg")
    return summary, arrays | paths.kept(PICTURED, picture)


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Fractions on each body, those of the pusher in more episodes, and what the latents of the ant do."""
    panels = [
        figures.Panel(
            title,
            [line(name, f"{body}/{arm}", arrays) for arm, name in ARMS.items()],
            {"published for MAESN after 100 updates": PUBLISHED[body]},
        )
        for body, title in BODIES.items()
    ]
    figures.curves(study / "fractions.svg", panels, "updates of 50 episodes", "fraction of the way")
    lines = [
        line(name, key, arrays, episodes_of(key, summary))
        for key, name in LONG.items()
        if f"{key}/fraction_curve" in arrays
    ]
    published = {"published for MAESN": PUBLISHED["pusher"]}
    panel = figures.Panel("pusher", lines, published)
    figures.curves(study / "pusher_tuned.svg", [panel], "episodes a task", "fraction of the way")
    figures.paths(study / "paths.svg", arrays, PICTURED, "latent")


def episodes_of(key: str, summary: dict[str, Any]) -> int:
    """How many episodes an update has."""
    arm, name = key.rsplit("/", 1)
    number = summary["evaluations"][arm][name]["protocol"]
    episodes: int = summary["protocols"][str(number)]["episodes"]
    return episodes


if __name__ == "__main__":
    results.main(HERE, collect, draw)
