"""The shell scripts of `experiments/batch`, beside stand-ins for hmrl and Slurm, and in a real Slurm."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hmrl_cli.storage import checkpoints, reader

ROOT = Path(__file__).parent.parent
BATCH = ROOT / "experiments/batch"


def stand_in(folder, name, body):
    """A command NAME that is found first, and logs its arguments."""
    script = folder / name
    script.write_text(f'#!/bin/sh\necho {name} "$@" >>"{folder}/log"\n{body}\n')
    script.chmod(0o755)


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    stand_in(tmp_path, "scontrol", "")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    return tmp_path


def logged(folder):
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def requeued(folder, told, ends="exit 75"):
    """Exit code of a job that is told by a signal, and whether its command was; None: it ends by itself."""
    command = f"trap 'echo told >>\"{folder}/told\"; {ends}' {told or 'HUP'}; echo ready; sleep 0.2"
    command += "; while :; do sleep 0.1; done" if told else f"; {ends}"
    script = ["sh", BATCH / "requeue.sh", "sh", "-c", command]
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as job:
        assert job.stdout.readline() == "ready\n"
        if told:
            job.send_signal(signal.Signals[f"SIG{told}"])
        return job.wait(timeout=20), (folder / "told").exists()


def test_a_job_whose_time_is_up_is_requeued(stand_ins):
    assert requeued(stand_ins, "USR1") == (0, True)
    assert logged(stand_ins) == ["scontrol requeue 17"]


def test_a_job_that_is_preempted_leaves_requeueing_to_slurm(stand_ins):
    assert requeued(stand_ins, "TERM") == (75, True)
    assert logged(stand_ins) == []


@pytest.mark.parametrize("code", [0, 2, 76])
def test_a_job_that_ends_is_not_requeued(stand_ins, code):
    assert requeued(stand_ins, None, f"exit {code}") == (code, False)
    assert logged(stand_ins) == []


def test_a_job_that_ends_well_as_its_time_is_up_is_not_requeued(stand_ins):
    assert requeued(stand_ins, "USR1", "exit 0") == (0, True)
    assert logged(stand_ins) == []


def test_the_pipeline_stops_where_a_command_does(stand_ins):
    stand_in(stand_ins, "hmrl", '[ "$1" != meta-train ] || exit 75')
    options = ["--set", "training.epochs = 3"]
    script = ["sh", BATCH / "pipeline.sh", "runs", "4", "point/diayn", "point/hmrl", *options]
    assert subprocess.run(script).returncode == 75
    assert logged(stand_ins) == [
        "hmrl pretrain-skills point/diayn --seed 4 --run-dir runs/seed4/skills --resume",
        "hmrl meta-train point/hmrl --skills runs/seed4/skills --seed 4 --run-dir runs/seed4/meta --resume "
        "--set training.epochs = 3",
    ]


# In Slurm.

SLURM = """
ClusterName=test
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort=17817
SlurmdPort=17818
ProctrackType=proctrack/pgid
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SelectType=select/cons_tres
NodeName=localhost CPUs={cores} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A Slurm of one node, this machine, on loopback."""
    daemons = ("munged", "slurmctld", "slurmd")
    missing = [name for name in (*daemons, "sbatch") if not shutil.which(name)]
    if missing:
        pytest.skip(f"needs Slurm, as of Debian's slurm-wlm and munge; not found: {', '.join(missing)}")
    if os.getuid() != 0:
        pytest.skip("needs root, to start Slurm's daemons")
    for name in ("state", "spool"):
        (tmp_path / name).mkdir()
    conf = tmp_path / "slurm.conf"
    conf.write_text(SLURM.format(folder=tmp_path, cores=os.cpu_count()))
    monkeypatch.setenv("SLURM_CONF", str(conf))
    key = tmp_path / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    own = {"key-file": key, "socket": "munge.sock", "pid-file": "munged.pid", "log-file": "munged.log"}
    options = [f"--{name}={tmp_path / file}" for name, file in (own | {"seed-file": "seed"}).items()]
    started = [
        subprocess.Popen([*command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in (
            ["munged", "--foreground", "--force", *options],
            ["slurmctld", "-D"],
            ["slurmd", "-D"],
        )
    ]
    yield
    for daemon in reversed(started):
        daemon.terminate()
        daemon.wait(timeout=60)


def submitted(*command):
    """Submit as soon as the cluster answers, and wait until no job is left."""
    for _ in range(60):
        done = subprocess.run(["sbatch", *command], capture_output=True, text=True)
        if done.returncode == 0:
            break
        time.sleep(1)
    assert done.returncode == 0, done.stderr
    while subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout:
        time.sleep(1)


def result(path):
    return checkpoints.fingerprint(path / "checkpoints"), (path / "metrics.jsonl").read_bytes()


@pytest.mark.slow
def test_a_pipeline_that_slurm_stops_and_requeues_ends_as_one_that_was_never_stopped(
    cluster, tmp_path, monkeypatch
):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    long = tmp_path / "long.toml"
    long.write_text('extends = "point/smoke"\n[training]\nepochs = 5000\ncheckpoint_every = 500\n')
    subprocess.run(["sh", BATCH / "pipeline.sh", tmp_path / "whole", "3", long, long], check=True)
    # the signal comes some 55 seconds after the start, before which a slow machine has compiled
    limits = ["--array=3", "--time=2", "--signal=B:USR1@65", f"--output={tmp_path}/job.log"]
    submitted(*limits, BATCH / "seeds.sbatch", tmp_path / "cut", long, long)
    log = (tmp_path / "job.log").read_text()
    assert "exit code 75 when the time was up" in log
    for name in ("skills", "meta"):
        whole, cut = (tmp_path / folder / "seed3" / name for folder in ("whole", "cut"))
        assert reader.read(cut).status["state"] == "complete", log
        assert result(cut) == result(whole)
    assert (tmp_path / "cut/seed3/meta/eval/test-sparse.json").is_file()
