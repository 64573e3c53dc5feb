"""A run as it is written: how it ends, and that it resumes after any interruption."""

import errno
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from hmrl_cli.errors import Diverged, InputError, Interrupted, RunDirError, StorageError
from hmrl_cli.storage import checkpoints, reader
from hmrl_cli.storage.metrics import read_metrics
from hmrl_cli.storage.naming import open_run
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import trained


@pytest.mark.parametrize(
    ("error", "state"), [(Interrupted(2, signal.SIGTERM), "interrupted"), (Diverged("w", 2), "diverged")]
)
def test_how_it_ended(resolved, tmp_path, error, state):
    with pytest.raises(type(error)), RunDir.create(tmp_path / "r", resolved) as run:
        trained(run, 2)
        raise error
    status = reader.read(tmp_path / "r").status
    assert (status["state"], status["epoch"], status["epochs"]) == (state, 2, 4)
    assert "stopped: " in (tmp_path / "r" / "events.log").read_text()


def test_a_complete_run_without_checkpoints_is_not_trained_again(resolved, tmp_path):
    with RunDir.create(tmp_path / "r", resolved) as run:
        trained(run, 4)
        run.complete({})
        shutil.rmtree(tmp_path / "r" / "checkpoints" / "4")
        assert not run.is_complete  # an earlier one is there to go on from
        shutil.rmtree(tmp_path / "r" / "checkpoints" / "3")
        assert run.is_complete


def test_what_could_not_begin_is_not_in_the_way(resolved, tmp_path):
    path = tmp_path / "r"
    for error in (InputError("skills"), MemoryError(), StorageError("full")):
        with pytest.raises(type(error)), RunDir.create(path, resolved):
            raise error
        assert not path.exists()
    with pytest.raises(InputError), RunDir.create(path, resolved):
        (path / "notes").write_text("mine")
        raise InputError("skills")
    assert (path / "notes").read_text() == "mine"
    for later in (Interrupted(0, signal.SIGTERM), Diverged("w", 1)):
        with pytest.raises(type(later)), RunDir.create(tmp_path / type(later).__name__, resolved):
            raise later
        assert (tmp_path / type(later).__name__ / "config.toml").is_file()
    with pytest.raises(StorageError), RunDir.create(tmp_path / "s", resolved) as run:
        trained(run, 1)
        raise StorageError("full")
    assert reader.read(tmp_path / "s").status["state"] == "interrupted"


TRAINER = """
import sys, time
import numpy as np
from hmrl_cli import errors
from hmrl_cli.cli import main as cli
from hmrl_cli.runner import startup
from hmrl_cli.runner import train as deed

def train(resolved, run, resume, shows, stop):
    tree = {"w": np.zeros(50, np.float32), "n": np.array(0, np.int32)}
    found = run.load(tree) if resume else None
    epoch, tree = (found.epoch, found.tree) if found else (0, tree)
    for epoch in range(epoch + 1, resolved.experiment.training.epochs + 1):
        noise = np.random.default_rng(epoch).normal(size=50).astype(np.float32)
        tree = {"w": tree["w"] * np.float32(0.9) + noise, "n": tree["n"] + 1}
        run.record(epoch, {"loss": tree["w"].mean(), "n": tree["n"]})
        print(epoch, file=sys.stderr, flush=True)
        if epoch % 3 == 0 or stop():
            run.save(epoch, tree)
        if stop():
            raise errors.Interrupted(epoch, stop())
        time.sleep(0.02)
    run.save(epoch, tree)
    return {"sum": float(tree["w"].sum())}

deed.train, deed.check = train, lambda resolved, note, skills: {}
startup.prepare = lambda: ""
cli.main()
"""


def train_in_a_process(preset, name, *more, stop_at=None, by=None):
    """Run to the end, or send a signal once an epoch is reached; the exit code and stdout."""
    command = [sys.executable, "-c", TRAINER, "meta-train", preset, "--name", name, "-q", *more]
    command += ["--set", "training.epochs=40"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        if stop_at is not None:
            for line in process.stderr:
                if line.strip() == str(stop_at):
                    process.send_signal(by)
                    break
        out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.returncode, out


@pytest.mark.slow  # runner/test_train.py kills a real training
def test_killed_and_resumed_is_as_never_killed(preset, tmp_path):
    assert train_in_a_process(preset, "whole") == (0, "runs/whole\n")
    code, out = train_in_a_process(preset, "cut", stop_at=8, by=signal.SIGKILL)
    assert (code, out) == (-signal.SIGKILL, "")
    assert reader.read(tmp_path / "runs" / "cut").status["state"] == "killed"
    code, out = train_in_a_process(preset, "cut", "--resume", stop_at=20, by=signal.SIGTERM)
    assert (code, out) == (75, "")
    assert reader.read(tmp_path / "runs" / "cut").status["state"] == "interrupted"
    assert train_in_a_process(preset, "cut", "--resume") == (0, "runs/cut\n")
    whole, cut = tmp_path / "runs" / "whole", tmp_path / "runs" / "cut"
    assert (whole / "metrics.jsonl").read_bytes() == (cut / "metrics.jsonl").read_bytes()
    assert checkpoints.fingerprint(whole / "checkpoints") == checkpoints.fingerprint(cut / "checkpoints")
    assert reader.read(whole).status["summary"] == reader.read(cut).status["summary"]


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", range(1, 40, 2))
def test_killed_at_any_time(preset, tmp_path, stop_at):
    train_in_a_process(preset, "cut", stop_at=stop_at, by=signal.SIGKILL)
    train_in_a_process(preset, "cut", "--resume", stop_at=min(stop_at + 7, 39), by=signal.SIGKILL)
    assert train_in_a_process(preset, "cut", "--resume")[0] == 0
    train_in_a_process(preset, "whole")
    whole, cut = tmp_path / "runs" / "whole", tmp_path / "runs" / "cut"
    assert (whole / "metrics.jsonl").read_bytes() == (cut / "metrics.jsonl").read_bytes()
    assert checkpoints.fingerprint(whole / "checkpoints") == checkpoints.fingerprint(cut / "checkpoints")


@pytest.mark.parametrize("call", ["fsync", "rename", "replace"])
def test_any_failing_call_leaves_a_run_that_resumes(resolved, tmp_path, monkeypatch, call):
    """The n-th forcing to disk or renaming fails, for every n of a short training."""
    real = getattr(os, call)
    for fails_at in range(1, 100):
        calls = iter(range(1, 1000))

        def fail(*args, calls=calls, fails_at=fails_at, **kwargs):
            if next(calls) == fails_at:
                raise OSError(errno.EIO, "Input/output error")
            return real(*args, **kwargs)

        path = tmp_path / f"run{fails_at}"
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            try:
                with RunDir.create(path, resolved) as run:
                    trained(run, 1, {"w": np.float32([1])})
                    run.complete({})
            except (StorageError, RunDirError) as error:
                assert len(str(error).splitlines()) <= 2
            else:
                break
        with open_run(resolved, path, resume=True) as run:  # anew, where it could not begin
            run.load({"w": np.float32([0])})
            trained(run, 2, {"w": np.float32([1])})
        assert [line["epoch"] for line in read_metrics(path)] == [1, 2]
    assert fails_at > 1
