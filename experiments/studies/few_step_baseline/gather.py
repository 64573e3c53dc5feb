"""Make the study's files of FOLDER, the runs and evaluations of run.sh and what advantages.py found.

PYTHONPATH=experiments/studies python experiments/studies/few_step_baseline/gather.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from shared import arms, figures, results

HERE = Path(__file__).parent
BASELINES = {"least squares": "least squares", "linear_baseline": "with the ridge"}


def main(folder: Path) -> None:
    """Write summary, arrays and figure."""
    summary, arrays = results.gather(folder)
    measures = ["return_after", "success_after"]
    summary["training"] = arms.training_rows(arrays, list(summary["runs"]), measures)
    summary["correlations"] = {}
    rows: dict[str, dict[str, list[float]]] = {"5": {}, "20": {}}
    for run, found in json.loads((folder / "advantages.json").read_text()).items():
        run = run.removeprefix("runs/")
        for episodes in ("5", "20"):
            for key, name in BASELINES.items():
                one = found[episodes][key]
                arrays[f"correlations/{run}/{episodes}/{key}"] = one["per_task"]
                values = [one["mean"], one["low"], one["high"]]
                summary["correlations"][f"{run}, {episodes} episodes, {name}"] = values
                rows[episodes][f"{run.split('/', 1)[1].replace('diayn_places/', '')}: {name}"] = values
    panels = {f"{episodes} episodes": one for episodes, one in rows.items()}
    figures.intervals(HERE / "correlations.svg", panels, "correlation of advantages")
    results.write(HERE, summary, arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
