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
    "speed": {"half_cheetah_vel": "half-cheetah, speed"},
    "direction": {"half_cheetah_dir": "half-cheetah, direction"},
    "ant": {"ant_vel": "ant, speed", "ant_dir": "ant, ahead and back"},
}


def draw(study: Path, summary: dict[str, Any], arrays: results.Arrays) -> None:
    """Two figures of the half-cheetah and one of the ant."""
    returns.draw(study, FIGURES, arrays)


if __name__ == "__main__":
    results.main(HERE, partial(returns.collect, HERE), draw)
