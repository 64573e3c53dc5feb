"""Make the study's files of FOLDER, the suite `ablation`.

    PYTHONPATH=experiments/studies python experiments/studies/ablation/gather.py [FOLDER]

An arm's area is its mean success over 0 to 100 episodes, by the trapezoid rule over its batches.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import figures, intervals, results

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
EPISODES = 100
# Arm: run, protocols.  Of several protocols the one with the largest area on training goals counts.
ARMS = {
    "HMRL": ("mean", "both"),
    "HMRL, unturned": ("mean", "unturned"),
    "HMRL, sampled": ("sampled", "both"),
    "skills, no meta-training": ("mean", "none"),
    "skills, no meta-training, sampled": ("sampled", "none"),
    "learned prior alone": ("mean", "learned"),
    "MAESN": ("maesn", "own", "explore", "refit"),
    "MAESN, latent 0": ("maesn", "own_still", "explore_still", "refit_still"),
    "MAESN, dense reward": ("maesn", "oracle"),
    "MAML": ("maml", "own", "explore"),
    "PPO": ("ppo", "scratch"),
    "PPO, narrow": ("ppo_still", "scratch"),
    "PPO with icm": ("ppo_icm", "scratch"),
    "PPO with rnd": ("ppo_rnd", "scratch"),
    "PPO with counts": ("ppo_counts", "scratch"),
    "PPO with information_gain": ("ppo_gain", "scratch"),
    "RL^2": ("rl2", "own"),
    "PEARL": ("pearl", "own"),
}
OVER_SKILLS = ("mean", "sampled")  # runs over the same skills
PICTURED = (
    "HMRL",
    "skills, no meta-training",
    "learned prior alone",
    "MAESN",
    "MAML",
    "PPO with rnd",
    "RL^2",
    "PEARL",
)
SPLITS = ("test", "hidden")
# arms that HMRL is compared with, and the splits on which it is, beside the mix
COMPARED = {
    "HMRL, unturned": SPLITS,
    "HMRL, sampled": (),
    "skills, no meta-training": SPLITS,
    "learned prior alone": (),
    "MAESN": (),
    "MAML": (),
    "RL^2": ("test",),
    "PEARL": (),
    "PPO with icm": (),
}
AFTER = (20, 100)  # episodes
SOON = 40  # episodes
WORLDS = {
    "sparse_point": "sparse point",
    "reacher": "reacher",
    "wheeled": "wheeled, 6 m",
    "ant_goal": "ant",
    "half_cheetah_vel": "half-cheetah, speed",
    "ant_maze": "ant, corridor",
}


def grid(curve: Any) -> Any:
    """The numbers of episodes [step] before each measurement of a curve [..., step]."""
    return np.linspace(0.0, EPISODES, curve.shape[-1])


def area(curve: Any, episodes: int = EPISODES) -> Any:
    """Mean of a curve [..., step] over 0 to so many episodes, a multiple of 20."""
    steps = (curve.shape[-1] - 1) * episodes // EPISODES
    return np.trapezoid(curve[..., : steps + 1], grid(curve)[: steps + 1], axis=-1) / episodes


def at(curve: Any, episodes: int) -> Any:
    """The last measurement of a curve [..., step] before so many episodes, or after just as many."""
    return curve[..., np.searchsorted(grid(curve), episodes + 1e-6) - 1]


def evaluation(world: str, run: str, split: str, way: str) -> str:
    """The name of an evaluation in the arrays; the oracle alone sees the dense reward."""
    return f"{world}/{run}/{split}-{'dense' if way == 'oracle' else 'sparse'}-{way}"


def chosen(arrays: results.Arrays, world: str, arm: str) -> tuple[str, str] | None:
    """Run and way to adapt of an arm; None if the arm was not run in this world."""
    run, *ways = ARMS[arm]
    have = [way for way in ways if f"{evaluation(world, run, 'hidden', way)}/success" in arrays]
    if not have:
        return None
    if len(have) == 1:
        return run, have[0]
    on_train = {}
    for way in have:
        on_training = f"{way.removesuffix('_still')}_on_train"
        trained = arrays[f"{evaluation(world, run, 'train', on_training)}/success"]
        on_train[way] = area(trained).mean()
    return run, max(have, key=lambda way: on_train[way])


def curves(arrays: results.Arrays, world: str) -> dict[str, dict[str, Any]]:
    """Success of each arm on each split [seed, task, step]."""
    found = {}
    for arm in ARMS:
        if (how := chosen(arrays, world, arm)) is not None:
            run, way = how
            found[arm] = {
                split: arrays[f"{evaluation(world, run, split, way)}/success"].astype(float)
                for split in SPLITS
            }
    return found


def interval(values: Any, groups: int = 1) -> list[float]:
    """Mean and its interval over seeds and tasks [seed, task]."""
    return rounded(intervals.interval(values, groups=groups))


def lead(hmrl: Any, other: Any, *, groups: int, same_skills: bool) -> list[float]:
    """How far a curve [seed, task, step] is ahead of another one over `SOON` episodes: mean and interval."""
    pair = area(hmrl, SOON), area(other, SOON)
    return rounded(intervals.difference(*pair, groups=groups, same_skills=same_skills))


def rounded(numbers: list[float]) -> list[float]:
    """To three decimals."""
    return [round(x, 3) for x in numbers]


def mixed(of_splits: dict[str, Any]) -> Any:
    """Values [seed, task] of both splits beside each other: two groups of tasks."""
    return np.concatenate([of_splits[split] for split in SPLITS], axis=1)


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder, ("success",))
    del summary["evaluations"], summary["protocols"]  # every number is in the arrays
    kept = ("success", "config")  # the rest is too large
    arrays = {name: x for name, x in arrays.items() if name.endswith(kept) or "/skills/" in name}
    summary["ways"], summary["success"], summary["differences"], summary["latent"] = {}, {}, {}, {}
    for world in WORLDS:
        found = curves(arrays, world)
        if "MAESN, latent 0" in found:
            pair = (area(found[arm]["test"]) for arm in ("MAESN", "MAESN, latent 0"))
            summary["latent"][f"{world}, test: MAESN - MAESN, latent 0"] = rounded(
                intervals.difference(*pair)
            )
        for arm, of_splits in found.items():
            _, way = chosen(arrays, world, arm) or ("", "")
            if len(ARMS[arm]) > 2:  # where training goals have chosen
                summary["ways"].setdefault(arm, {})[world] = way
            row = {split: interval(area(curve)) for split, curve in of_splits.items()}
            row["mix"] = interval(area(mixed(of_splits)), len(SPLITS))
            if arm in PICTURED:
                row |= {
                    f"{split} after": [round(float(at(curve, n).mean()), 3) for n in AFTER]
                    for split, curve in of_splits.items()
                }
            summary["success"][f"{world}: {arm}"] = row
            if arm in COMPARED:
                pairs = {world: (mixed(found["HMRL"]), mixed(of_splits), len(SPLITS))}
                pairs |= {f"{world}, {one}": (found["HMRL"][one], of_splits[one], 1) for one in COMPARED[arm]}
                same = ARMS[arm][0] in OVER_SKILLS
                summary["differences"] |= {
                    f"{where}: HMRL - {arm}": lead(ours, theirs, groups=groups, same_skills=same)
                    for where, (ours, theirs, groups) in pairs.items()
                }
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Success against episodes, on the mix of test and hidden goals."""
    panels = []
    for world, title in WORLDS.items():
        found = curves(arrays, world)
        lines = []
        for arm in PICTURED:
            if arm in found:
                curve = mixed(found[arm])
                points = [interval(curve[..., step], len(SPLITS)) for step in range(curve.shape[-1])]
                lines.append(figures.Line(arm, grid(curve), *np.array(points).T))
        if lines:
            panels.append(figures.Panel(title, lines))
    figures.curves(study / "success.svg", panels, "episodes", "success, test and hidden goals", columns=3)


if __name__ == "__main__":
    results.main(HERE, collect, draw)
