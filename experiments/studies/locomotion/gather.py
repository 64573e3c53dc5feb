"""Make the study's files of FOLDER, the suite `locomotion`.

PYTHONPATH=experiments/studies python experiments/studies/locomotion/gather.py [FOLDER]
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from shared import results, returns

HERE = Path(__file__).parent
FIGURES = {
    "half_cheetah_vel": ("speed", "half-cheetah, speed"),
    "half_cheetah_dir": ("direction", "half-cheetah, direction"),
    "ant_dir": ("ant", "ant, ahead and back"),
}


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """One figure for speeds, and one of each body for directions."""
    returns.draw(study, FIGURES, arrays)


if __name__ == "__main__":
    results.main(HERE, partial(returns.collect, HERE), draw)
