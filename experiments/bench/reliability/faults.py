"""Stop a short run at every call that writes, forces to disk or renames, and resume after each.

    cc -shared -fPIC -o failing.so failing.c -ldl
    LD_PRELOAD=./failing.so python faults.py {fail|kill} FOLDER [EVERY]

The n-th call fails in the run FOLDER/n, or the process is killed in its place, for every n or every EVERY-th;
each must end as FOLDER/whole did, where nothing happened.  Prints how many calls were tried.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hmrl_cli import config
from hmrl_cli.errors import HmrlError
from hmrl_cli.lazy import np
from hmrl_cli.storage import checkpoints
from hmrl_cli.storage.naming import open_run

EPOCHS = 2
RESOLVED = config.resolve("meta-train", "point/smoke", [f"training.epochs={EPOCHS}"], {})


def train(path: Path, resume: bool) -> None:
    """Train, as it were."""
    with open_run(RESOLVED, path, resume) as run:
        found = run.load({"w": np.zeros(3, np.float32)}) if resume else None
        for epoch in range(found.epoch + 1 if found else 1, EPOCHS + 1):
            run.record(epoch, {"loss": np.float32(epoch)})
            run.save(epoch, {"w": np.full(3, epoch, np.float32)})
        run.complete({})


def result(path: Path) -> Any:
    """What must not depend on what happened."""
    return checkpoints.fingerprint(path / "checkpoints"), (path / "metrics.jsonl").read_bytes()


def fails(number: int, path: Path) -> bool:
    """Whether the call of this number came, and failed."""
    fail_at = ctypes.CDLL(None).fail_at
    fail_at.restype, fail_at.argtypes = ctypes.c_long, [ctypes.c_long]
    fail_at(number)
    try:
        train(path, resume=False)
    except HmrlError as error:
        assert error.exit_code in (73, 74) and len(str(error).splitlines()) <= 2, error
    return fail_at(0) == 0


def is_killed(number: int, path: Path) -> bool:
    """False, unless the call of this number came, and killed."""
    ctypes.CDLL(None).kill_at(ctypes.c_long(number))
    train(path, resume=False)
    return False


def resumed(path: Path) -> bool:
    """That the run has ended."""
    train(path, resume=path.exists())
    return True


def in_a_process(work: Callable[..., bool], *arguments: Any) -> bool:
    """What the work says; True, too, where it was killed.  This process has no threads, and so can fork."""
    process = os.fork()
    if not process:
        code = 2  # of an error, whose traceback is shown
        try:
            code = 0 if work(*arguments) else 1
        finally:
            if code == 2:
                traceback.print_exc()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, 1, -signal.SIGKILL), f"{arguments} ended with {code}"
    return code != 1


def main(how: str, folder: Path, every: int = 1) -> None:
    """Stop and resume until no call is left."""
    # once for all processes, and with it jax, which warns of forks
    importlib.import_module("orbax.checkpoint")
    warnings.filterwarnings("ignore", "os.fork")
    stops = {"fail": fails, "kill": is_killed}[how]
    in_a_process(resumed, folder / "whole")
    tried = 0
    for number in range(1, 10_000, every):
        path = folder / str(number)
        came = in_a_process(stops, number, path)
        in_a_process(resumed, path)
        assert result(path) == result(folder / "whole"), f"call {number} was lost"
        if not came:
            break
        tried += 1
    print(tried)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
