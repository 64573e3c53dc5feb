"""How meta-runs explore before any update: what each draw of exploration decides, numbers and pictures.

PYTHONPATH=experiments/studies python experiments/studies/shared/exploration.py OUT RUN...

Writes OUT/NAME.json and OUT/NAME.svg of each run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hmrl_cli.runner import diagnose, startup
from hmrl_cli.runner.progress import Silent
from hmrl_cli.storage import reader


def main(out: Path, runs: list[Path]) -> None:
    """Write the files."""
    startup.prepare()
    out.mkdir(parents=True, exist_ok=True)
    for run in runs:
        numbers, picture = diagnose.explore(reader.read(run), Silent())
        (out / f"{run.name}.json").write_text(json.dumps(numbers) + "\n")
        (out / f"{run.name}.svg").write_text(picture + "\n")
        print(run.name, numbers)


def gathered(folder: Path) -> dict[str, list[float]]:
    """ARM -> the share of the variance of where episodes end that a draw decides, for each seed."""
    return {
        f"{file.parent.parent.relative_to(folder).as_posix()}/{file.stem}": json.loads(file.read_text())[
            "share_of_draws"
        ]
        for file in sorted(folder.rglob("exploration/*.json"))
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
