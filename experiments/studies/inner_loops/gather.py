"""Make the study's files of FOLDER, the suite `inner_loops`.

PYTHONPATH=experiments/studies python experiments/studies/inner_loops/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import figures, results

from hmrl_cli.evaluation.statistics import bootstrap_interval
from hmrl_cli.lazy import np

HERE = Path(__file__).parent
PANELS = {"trust region": "point/trpo", "ProMP": "point/promp"}
ARMS = {
    "1": "1 trained, fixed",
    "1_first_order": "1 trained, fixed, first order",
    "1_halved": "1 trained, halved",
    "1_first_order_halved": "1 trained, halved, first order",
    "1_scaled": "1 trained, by the mean reward",
    "3_fixed_sizes": "3 trained, fixed",
    "3": "3 trained, learned",
    "3_first_order": "3 trained, learned, first order",
    "3_last": "3 trained, learned, loss after the last",
    "3_scaled": "3 trained, learned, by the mean reward",
    "3_scaled_first_order": "3 trained, learned, by the mean reward, first order",
}
TICKS = (-60, -20, -10, -5, -2, -1, -0.5)


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays; means of returns after each number of updates."""
    summary, arrays = results.gather_suite(HERE, folder)
    summary["mean return"] = {}
    for key in (f"{arm}/{name}" for arm, rows in summary["evaluations"].items() for name in rows):
        returned = arrays[f"{key}/return"].astype(float)  # [seed, task, step]
        low, high = bootstrap_interval(returned, np.mean)
        mean = returned.mean(axis=(0, 1))
        summary["mean return"][key] = {"mean": mean, "last": [values[-1] for values in (mean, low, high)]}
    return summary, arrays


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Mean returns of all arms."""
    panels = []
    for title, outer in PANELS.items():
        keys = {
            f"{outer}_{arm.removesuffix('_halved')}/test-dense-{'halved' if 'halved' in arm else 'own'}": name
            for arm, name in ARMS.items()
        }
        means = {name: one["mean"] for key, name in keys.items() if (one := summary["mean return"].get(key))}
        panels.append(
            figures.Panel(title, [figures.Line(name, range(len(y)), y) for name, y in means.items()])
        )
    figures.curves(
        study / "returns.svg", panels, "inner updates of 40 episodes", "mean return", columns=2, ticks=TICKS
    )


if __name__ == "__main__":
    results.main(HERE, collect, draw)
