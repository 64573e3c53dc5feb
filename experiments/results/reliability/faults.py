"""Let every call that writes, forces to disk or renames fail once in a short run, and resume after each.

    cc -shared -fPIC -o failing.so failing.c -ldl
    LD_PRELOAD=./failing.so python faults.py FOLDER

The n-th call fails in the run FOLDER/n, for every n; each must end as FOLDER/whole did, where none failed.
Prints how many calls there were.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

from hmrl_cli import checkpoints, config, rundir
from hmrl_cli.errors import HmrlError
from hmrl_cli.lazy import np

EPOCHS = 2


def train(run: rundir.RunDir, first: int) -> None:
    """Train, as it were, from this epoch on."""
    for epoch in range(first, EPOCHS + 1):
        run.record(epoch, {"loss": np.float32(epoch)})
        run.save(epoch, {"w": np.full(3, epoch, np.float32)})
    run.complete({})


def result(path: Path) -> Any:
    """What must not depend on what failed."""
    return checkpoints.fingerprint(path / "checkpoints"), (path / "metrics.jsonl").read_bytes()


def main(folder: Path) -> None:
    """Fail and resume until no call is left to fail."""
    fail_at = ctypes.CDLL(None).fail_at
    fail_at.restype, fail_at.argtypes = ctypes.c_long, [ctypes.c_long]
    resolved = config.resolve("meta-train", "point/smoke", [f"training.epochs={EPOCHS}"], {})
    with rundir.open_run(resolved, folder / "whole", resume=False) as run:
        train(run, 1)
    for number in range(1, 10_000):
        path = folder / str(number)
        fail_at(number)
        try:
            with rundir.open_run(resolved, path, resume=False) as run:
                train(run, 1)
        except HmrlError as error:
            assert error.exit_code in (73, 74) and len(str(error).splitlines()) <= 2, error
        none_failed = fail_at(0) > 0
        with rundir.open_run(resolved, path, resume=True) as run:
            found = run.load({"w": np.zeros(3, np.float32)})
            train(run, found.epoch + 1 if found else 1)
        assert result(path) == result(folder / "whole"), f"call {number} was lost"
        if none_failed:
            print(number - 1)
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
