"""Make the study's files of FOLDER, the suite `pusher`.

PYTHONPATH=experiments/studies python experiments/studies/pusher/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import arms, figures, results

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
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """What each arm learned, and what it carries over."""
    learned = {arm: summary["training"][f"pusher/{arm}"]["success_after"]["last_fifth"] for arm in ARMS}
    carried = {arm: summary["evaluations"][f"pusher/{arm}"]["test-sparse-refit"]["fraction"] for arm in ARMS}
    panels = {"training tasks, dense: success": learned, "test tasks, sparse: fraction by refit": carried}
    figures.intervals(study / "arms.svg", panels, "share, or fraction of the way")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
