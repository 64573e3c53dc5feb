"""Make the study's files of FOLDER, the suite `pusher`.

PYTHONPATH=experiments/studies python experiments/studies/pusher/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import arms, figures, intervals, results

HERE = Path(__file__).parent
ARMS = (
    "trust_region",
    "trust_region_003",
    "trust_region_003_long",
    "trust_region_01",
    "clipped",
    "clipped_normal",
    "clipped_normal_15",
    "clipped_normal_15_fast",
    "clipped_normal_20_tasks",
    "clipped_normal_15_new_tasks",
)


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder)
    measures = ["return_after", "success_after", "latent_kl"]
    summary["training"] = arms.training_rows(arrays, list(summary["runs"]), measures)
    last = {arm: refitted(arrays, arm) for arm in ARMS}
    summary["fraction by refit"] = {
        f"{arm} - {ARMS[0]}": intervals.difference(last[arm], last[ARMS[0]]) for arm in ARMS[1:]
    }
    return summary, arrays


def refitted(arrays: results.Arrays, arm: str) -> Any:
    """Returns by refit after the last update [seed, task], as fractions of the mean way."""
    key = f"pusher/{arm}/test-sparse-refit"
    flat, feasible = (arrays[f"{key}/{line}"].astype(float) for line in ("flat", "feasible"))
    return (arrays[f"{key}/return"][..., -1].astype(float) - flat) / (feasible - flat).mean()


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """What each arm learned, and what it carries over."""
    learned = {arm: summary["training"][f"pusher/{arm}"]["success_after"]["last_fifth"] for arm in ARMS}
    carried = {arm: summary["evaluations"][f"pusher/{arm}"]["test-sparse-refit"]["fraction"] for arm in ARMS}
    panels = {"training tasks, dense: success": learned, "test tasks, sparse: fraction by refit": carried}
    figures.intervals(study / "arms.svg", panels, "share, or fraction of the way")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
