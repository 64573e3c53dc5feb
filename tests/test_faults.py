import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EVERY_CALL = """
import ctypes, sys
from pathlib import Path
import numpy as np
from hmrl_cli import checkpoints, config, rundir
from hmrl_cli.errors import HmrlError

fail_at = ctypes.CDLL(None).fail_at
fail_at.restype, fail_at.argtypes = ctypes.c_long, [ctypes.c_long]
folder = Path(sys.argv[1])
resolved = config.resolve("meta-train", "point/smoke", ["training.epochs=2"], {})

def train(run, first):
    for epoch in range(first, 3):
        run.record(epoch, {"loss": np.float32(epoch)})
        run.save(epoch, {"w": np.full(3, epoch, np.float32)})
    run.complete({})

def result(path):
    return checkpoints.fingerprint(path / "checkpoints"), (path / "metrics.jsonl").read_bytes()

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
    assert result(path) == result(folder / "whole"), number
    if none_failed:
        break
print(number - 1)
"""


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """The library that lets calls fail, compiled."""
    compiler = shutil.which("cc")
    if not compiler or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler, on Linux")
    library = tmp_path_factory.mktemp("failing") / "failing.so"
    source = Path(__file__).with_name("failing.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def test_whatever_call_fails_the_run_resumes_as_if_none_had(failing, tmp_path):
    """Every write, force to disk and rename of a short run, in this package and in the libraries below it."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY_CALL, tmp_path],
        env=os.environ | {"LD_PRELOAD": str(failing)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 60
    assert "Traceback" not in done.stderr
