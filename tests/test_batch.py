"""The shell scripts of `experiments/batch`, beside stand-ins for hmrl and Slurm, and in a real Slurm."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hmrl_cli.reading import read_json
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
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
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
    with socket.socket() as first, socket.socket() as second:
        for probe in (first, second):
            probe.bind(("localhost", 0))
        ports = [probe.getsockname()[1] for probe in (first, second)]
    conf.write_text(SLURM.format(folder=tmp_path, cores=os.cpu_count(), ports=ports))
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


def answered(*command):
    """Run a command of Slurm as soon as the cluster answers."""
    for _ in range(60):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            break
        time.sleep(1)
    assert done.returncode == 0, done.stderr


def submitted(*command):
    """Submit as soon as the cluster answers, and wait until no job is left."""
    answered("sbatch", *command)
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


def alone(*command):
    """Run hmrl in one process on two devices; its stdout."""
    hmrl = [sys.executable, "-m", "hmrl_cli", *command]
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "2"}
    return subprocess.run(hmrl, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextlib.contextmanager
def on_two(*command):
    """Run hmrl in two processes of srun, with nothing given that says so; each has one device."""
    answered("srun", "-n1", "true")
    hmrl = [sys.executable, "-m", "hmrl_cli", *command]
    srun = ["srun", "-n2", "--overcommit", "--export=ALL,JAX_NUM_CPU_DEVICES=1", *hmrl]
    with subprocess.Popen(srun, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        try:
            yield job
        finally:
            job.kill()


def training(epochs, every):
    sets = ("num_seeds=2", f"epochs={epochs}", f"checkpoint_every={every}")
    sets = ("family.horizon=6", *(f"training.{one}" for one in sets))
    return ["pretrain-skills", "point/smoke", *(f"--set={one}" for one in sets), "--resume", "-q"]


def numbers(document):
    """What an evaluation found, and not where."""
    return {
        name: value
        for name, value in read_json(document).items()
        if name not in ("run", "machine", "arrays_sha256")
    }


@pytest.mark.slow
def test_processes_of_srun_train_and_evaluate_one_run(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    one, two = tmp_path / "one", tmp_path / "two"
    meta = ["meta-train", *training(4, 2)[1:]]
    alone(*meta, "--run-dir", one)
    alone("eval", one, "--num-tasks", "4")
    for command in ([*meta, "--run-dir", two], ["eval", two, "--num-tasks", "4"]):
        with on_two(*command) as job:
            assert job.communicate(timeout=2000)[0] == f"{two}\n" and job.returncode == 0
    assert result(two) == result(one)
    (name,) = (file.name for file in (two / "eval").iterdir())
    assert numbers(two / "eval" / name) == numbers(one / "eval" / name)
    with on_two("export", two, "-o", tmp_path / "two.safetensors") as job:
        assert job.communicate(timeout=2000)[0] == f"{tmp_path}/two.safetensors\n" and job.returncode == 0
    alone("export", one, "-o", tmp_path / "one.safetensors")
    assert (tmp_path / "two.safetensors").read_bytes() == (tmp_path / "one.safetensors").read_bytes()


def process_of(rank, run):
    """The process of this rank that srun has started for a run."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            named = str(run).encode() in (folder / "cmdline").read_bytes()
            if named and f"SLURM_PROCID={rank}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                return int(folder.name)
    raise ProcessLookupError(rank)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_where_a_process_of_srun_dies_all_end_and_one_alone_goes_on(cluster, tmp_path, monkeypatch, victim):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    one, two, command = tmp_path / "one", tmp_path / "two", training(1000, 20)
    with on_two(*command, "--run-dir", two) as job:
        while not (two / "checkpoints" / "20").exists() and job.poll() is None:
            time.sleep(0.02)
        os.kill(process_of(victim, two), signal.SIGKILL)
        killed = time.monotonic()
        _, err = job.communicate(timeout=2000)
        assert time.monotonic() - killed < 120
    assert f"error: process {1 - victim} of 2: another one has died; the last checkpoint is kept" in err
    assert 20 <= checkpoints.epochs(two / "checkpoints")[0] < 1000
    for run in (two, one):
        alone(*command, "--run-dir", run)
    assert result(two) == result(one)
