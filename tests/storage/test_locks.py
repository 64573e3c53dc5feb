"""One writer a run."""

import fcntl
import subprocess
import sys

import pytest

from hmrl_cli.errors import RunDirError
from hmrl_cli.storage import files, reader
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import message

HOLD = """
import sys, time
from pathlib import Path
from hmrl_cli.storage.locks import take_lock
fd = take_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_new_run_that_another_process_began_is_left_to_it(resolved, tmp_path, monkeypatch):
    """Two commands with --resume start at once: the other one comes between directory and lock."""
    path, others = tmp_path / "r", []

    def slowly(folder):
        others.append(
            subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
        )
        assert others[0].stdout.readline() == "held\n"

    monkeypatch.setattr(files, "sync", slowly)
    with pytest.raises(RunDirError, match="is writing"):
        RunDir.create(path, resolved)
    assert (path / "lock").exists()
    with others[0] as other:
        other.kill()


def test_one_writer(resolved, tmp_path):
    path = tmp_path / "r"
    RunDir.create(path, resolved).close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunDirError) as caught:
            RunDir.resume(path, resolved)
        assert f"process {holder.pid} is writing" in message(caught)
        assert reader.read(path).status["state"] == "running"
        holder.kill()
        holder.wait()
    assert reader.read(path).status["state"] == "killed"
    RunDir.resume(path, resolved).close()  # a killed holder's lock is free at once


def test_a_reader_that_looks_for_the_lock_keeps_no_writer_out(resolved, tmp_path, monkeypatch):
    RunDir.create(tmp_path / "r", resolved).close()
    with (tmp_path / "r" / "lock").open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        monkeypatch.setattr("time.sleep", lambda seconds: fcntl.flock(reader, fcntl.LOCK_UN))
        RunDir.resume(tmp_path / "r", resolved).close()
