import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RELIABILITY = Path(__file__).parent.parent / "experiments/bench/reliability"


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """The library that lets calls fail, compiled."""
    compiler = shutil.which("cc")
    if not compiler or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler, on Linux")
    library = tmp_path_factory.mktemp("failing") / "failing.so"
    source = RELIABILITY / "failing.c"
    subprocess.run([compiler, "-Wall", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.parametrize(
    ("how", "every"),
    [
        pytest.param(how, 1, marks=pytest.mark.slow) for how in ("fail", "kill")
    ],  # cli/test_cluster.py kills processes, and storage/test_writer.py lets calls fail
)
def test_whatever_call_stops_it_a_run_resumes_as_if_none_had(failing, tmp_path, how, every):
    """Every write, force to disk and rename of a short run, in this package and in the libraries below it."""
    done = subprocess.run(
        [sys.executable, RELIABILITY / "faults.py", how, tmp_path, str(every)],
        env=os.environ | {"LD_PRELOAD": str(failing)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 60 // every
    assert "Traceback" not in done.stderr
