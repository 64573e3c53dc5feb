"""Make the study's files of FOLDER, the suite `hindsight`.

PYTHONPATH=experiments/studies python experiments/studies/hindsight/gather.py [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import figures, results

from hmrl_cli.lazy import np

HERE = Path(__file__).parent
WORLDS = {"wheeled": "wheeled robot"}
ARMS = {"ppo": "PPO", "sac": "SAC", "sac_hindsight": "SAC, hindsight"}
LEAST = (0.25, 0.5)  # of episodes that arrive


def collect(folder: Path) -> tuple[dict[str, Any], results.Arrays]:
    """Summary and arrays."""
    summary, arrays = results.gather_suite(HERE, folder, ())
    kept = ("/metrics/arrivals", "/metrics/near", "/metrics/env_steps")
    arrays = {name: x for name, x in arrays.items() if name.endswith(kept) or "/metrics/" not in name}
    summary["arrivals"] = {}
    for arm in arms(arrays):
        steps, arrivals = curve(arrays, arm)
        row = {"in the end": spread(arrivals[-1]), "steps": [float(steps[-1])]}
        for least in LEAST:
            met = arrivals >= least
            first = np.where(met.any(axis=0), steps[met.argmax(axis=0)], np.nan)
            row[f"steps to {least}"] = [] if np.isnan(first).any() else spread(first / 1e6)
        summary["arrivals"][arm] = row
    return summary, arrays


def arms(arrays: results.Arrays) -> list[str]:
    """WORLD/skills/ARM of the runs there are."""
    names = [f"{world}/skills/{arm}" for world in WORLDS for arm in ARMS]
    return [name for name in names if f"{name}/metrics/arrivals" in arrays]


def curve(arrays: results.Arrays, arm: str) -> tuple[Any, Any]:
    """Environment steps of a seed [epoch], and the share of episodes that arrive [epoch, seed]."""
    steps = np.asarray(arrays[f"{arm}/metrics/env_steps"], float)
    return steps if steps.ndim == 1 else steps[:, 0], np.asarray(arrays[f"{arm}/metrics/arrivals"], float)


def spread(values: Any) -> list[float]:
    """Mean, least and greatest of seeds [S]."""
    return [round(float(x), 3) for x in (values.mean(), values.min(), values.max())]


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Arrivals against environment steps, one curve an arm."""
    panels = []
    for world, title in WORLDS.items():
        lines = []
        for arm, label in ARMS.items():
            if (name := f"{world}/skills/{arm}") in arms(arrays):
                steps, arrivals = curve(arrays, name)
                bounds = arrivals.min(axis=1), arrivals.max(axis=1)
                lines.append(figures.Line(label, steps / 1e6, arrivals.mean(axis=1), *bounds))
        panels.append(figures.Panel(title, lines))
    figures.curves(study / "arrivals.svg", panels, "environment steps, million", "episodes that arrive")


if __name__ == "__main__":
    results.main(HERE, collect, draw)
