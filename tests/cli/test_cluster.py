"""Several processes that train one run, on the network of this machine."""

import contextlib
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from hmrl_cli.cli import cluster, session
from hmrl_cli.errors import ConfigError
from hmrl_cli.reading import read_json
from hmrl_cli.runner import startup
from hmrl_cli.runner.progress import Silent
from hmrl_cli.storage import checkpoints, reader
from hmrl_cli.storage.metrics import read_metrics
from tests.trainings import SETTINGS, SMALL, resolve, train

SLURM = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"}
OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}
HERE = "node:1234"


@pytest.mark.parametrize(
    ("options", "environ", "member"),
    [
        ((None, None, None), {}, None),
        (
            (None, None, None),
            {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"},
            None,
        ),  # of a batch script, not of srun
        ((None, None, None), {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, None),
        ((None, None, None), SLURM, (4, 2, None, "Slurm")),
        (
            (None, None, None),
            OPEN_MPI,
            (2, 1, None, "Open MPI"),
        ),
        ((None, 1, None), SLURM, None),
        ((HERE, 3, 0), SLURM, (3, 0, HERE, "--processes")),
    ],
)
def test_who_belongs_together(options, environ, member):
    assert cluster.find(*options, environ) == member


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            (HERE, 2, None),
            "--process-id: not found; must be given, as --coordinator, --processes, --process-id go",
        ),
        ((None, None, 1), "--coordinator and --processes: not found"),
        ((HERE, 2, 2), "--process-id: found 2; must be from 0 to 1"),
        (("node", 2, 0), "--coordinator: found 'node'; must be HOST:PORT of process 0"),
        (("node:99999", 2, 0), "--coordinator: found 'node:99999'; must be HOST:PORT"),
        (("node:0", 2, 0), "--coordinator: found 'node:0'; must be HOST:PORT"),
    ],
)
def test_options_that_do_not_fit(options, problem):
    with pytest.raises(ConfigError, match=problem):
        cluster.find(*options, {})


@pytest.mark.parametrize("name", SLURM)
def test_an_environment_without_numbers_is_named(name):
    with pytest.raises(ConfigError, match=f"{name}: found 'x' in the environment; must be a number"):
        cluster.find(None, None, None, SLURM | {name: "x"})


def test_a_process_alone_joins_none():
    assert cluster.start(None) is None
    with cluster.together(None), pytest.raises(ZeroDivisionError):
        _ = 1 / 0


def test_what_cannot_be_resumed_is_done_anew():
    texts = [str(cluster._lost_one(cluster.Member(2, 1, HERE, ""), resumes)) for resumes in (False, True)]
    assert texts[0] == "process 1 of 2: another one has died\nto do it anew: the same command"
    assert texts[1].endswith("died; the last checkpoint is kept\nto continue: the same command with --resume")


class Stand:
    """In for a process that has joined others, or for the service that they talk to."""

    def __init__(self, rank):
        self.member, self.calls = cluster.Member(2, rank, HERE, "--processes"), []

    def connect(self, command, stop):
        self.calls.append(command)

    def finish(self, code):
        self.calls.append(code)
        if self.member.rank and not code:
            raise SystemExit  # as the other process has ended


def test_what_one_process_does_the_others_wait_for(monkeypatch):
    monkeypatch.setattr(startup, "start", lambda join: join() or "")
    ran = []
    for rank in (0, 1):
        joining = Stand(rank)
        here = session.Session(contextlib.nullcontext(Silent()), joining)
        with contextlib.suppress(SystemExit), session.alone(here, ("export", Path("run"))):
            ran.append(rank)
        assert joining.calls[:2] == [["export", "run"], 0]
    assert ran == [0]


def test_a_process_that_is_told_the_end_ends_so_although_process_0_is_gone_at_once(monkeypatch):
    """What jax does where the service is gone comes before the answer of the service."""
    ends = []
    monkeypatch.setattr(os, "_exit", ends.append)
    joined = object.__new__(cluster.Joined)
    joined.member, joined._over, joined._code = cluster.Member(2, 1, HERE, "--processes"), False, None
    client = SimpleNamespace(blocking_key_value_get=lambda *_: "0 0", key_value_set=lambda *_: joined._lost())
    monkeypatch.setattr(cluster.Joined, "_client", client)
    joined._watch()
    assert ends == [0, 0]


class Processes:
    """Processes that train one run together, or do another command, each by its own command line."""

    def __init__(self, run, *commands, devices=1):
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            together = [
                "--coordinator",
                f"localhost:{probe.getsockname()[1]}",
                "--processes",
                str(len(commands)),
            ]
        together += [] if run is None else ["--run-dir", str(run), "--resume", "-q"]
        together += ["--process-id"]
        self.all = [
            subprocess.Popen(
                [sys.executable, "-m", "hmrl_cli", *command, *together, str(rank)],
                env=os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank, command in enumerate(commands)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.all:
            process.kill()
            process.communicate()

    def ends(self):
        """Exit code, stdout and stderr of each."""
        outputs = [process.communicate(timeout=2000) for process in self.all]  # compiled on a busy machine
        return [(process.returncode, *texts) for process, texts in zip(self.all, outputs, strict=True)]


def arguments(algorithm, *sets):
    """The command line for what `resolve` of the same arguments gives."""
    resolved = resolve(algorithm, *sets)
    given = [*SMALL, *SETTINGS.get(algorithm, ()), *sets]
    given += [] if algorithm == "diayn" else [f"algorithm.name={algorithm}"]
    return [resolved.experiment.algorithm.command, "point/smoke", *(f"--set={one}" for one in given)]


def written(run):
    """What must not depend on processes, nor on what happened to them."""
    return checkpoints.fingerprint(run / "checkpoints"), (run / "metrics.jsonl").read_bytes()


def epoch_of(run):
    with contextlib.suppress(Exception):
        return int(reader.read_status(run)["epoch"])
    return 0


LONG = ("training.epochs=60", "training.checkpoint_every=5", "training.num_seeds=2")


def killed(run, victim, wait=0.0):
    """Start two processes and kill one of them after the next checkpoint: how the other one ends."""
    before = epoch_of(run)
    with Processes(run, *2 * [arguments("diayn", *LONG)]) as both:
        while epoch_of(run) <= before and all(process.poll() is None for process in both.all):
            time.sleep(0.02)
        time.sleep(wait)
        both.all[victim].kill()
        start = time.monotonic()
        ends = both.ends()
        assert time.monotonic() - start < 120
        return ends[1 - victim]


def test_where_a_process_dies_the_other_ends_and_one_alone_goes_on(tmp_path):
    """Process 0 holds the service of the connections; its death is another one than that of process 1."""
    for victim in (1, 0):
        code, out, err = killed(tmp_path / "run", victim)
        assert (code, out) == (75, ""), err
        assert err.startswith(f"error: process {1 - victim} of 2: another one has died; the last checkpoint")
        assert len(err.splitlines()) == 2 and "--resume" in err
    assert 10 <= epoch_of(tmp_path / "run") < 60
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes().splitlines()[: epoch_of(tmp_path / "run")]
    train(tmp_path / "run", resolve("diayn", *LONG), resume=True)
    assert [line["epoch"] for line in read_metrics(tmp_path / "run")] == [*range(1, 61)]
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes().splitlines()[: len(before)] == before


@pytest.mark.slow
def test_a_run_outlives_twenty_kills(tmp_path):
    draw, run = random.Random(0), tmp_path / "run"
    ends = []
    for number in range(20):
        ends.append(killed(run, draw.randrange(2), draw.uniform(0.0, 0.3))[0])
        if epoch_of(run) == 60:
            run = tmp_path / str(number)
    assert set(ends) <= {0, 75}
    for path in (run, tmp_path / "alone"):  # one process on two devices
        with Processes(path, arguments("diayn", *LONG), devices=2) as process:
            ((code, _, err),) = process.ends()
        assert code == 0 and (not err or "results may differ: processes 2 -> 1" in err)
    whole = [path for path in tmp_path.iterdir() if path.name != "alone"]
    assert {written(path) for path in whole} == {written(tmp_path / "alone")}


@pytest.mark.slow
def test_a_signal_to_one_stops_all_at_one_epoch(tmp_path):
    with Processes(tmp_path / "run", *2 * [arguments("diayn", *LONG)]) as both:
        while epoch_of(tmp_path / "run") < 5:
            time.sleep(0.02)
        both.all[1].send_signal(signal.SIGTERM)
        (code, out, err), (other, their_out, _) = both.ends()
    assert (code, other, out, their_out) == (75, 75, "", "")
    assert f"interrupted by SIGTERM; the checkpoint of epoch {epoch_of(tmp_path / 'run')} is safe" in err


@pytest.mark.slow
def test_a_full_disk_of_process_0_ends_all_and_loses_nothing(tmp_path):
    run, commands = tmp_path / "run", 2 * [arguments("diayn", *LONG)]
    with Processes(run, *commands) as both:
        while epoch_of(run) < 5:
            time.sleep(0.02)
        resource.prlimit(both.all[0].pid, resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
        full = time.monotonic()
        (code, out, err), other = both.ends()
        assert time.monotonic() - full < 60
    assert (code, out, other) == (74, "", (74, "", ""))
    assert len(err.splitlines()) == 1 and "cannot be written: File too large" in err
    for path in (run, tmp_path / "whole"):
        with Processes(path, *commands) as both:
            assert both.ends()[0][:2] == (0, f"{path}\n")
    assert written(run) == written(tmp_path / "whole")


LATE = """
import os, sys, time
def late(call, seconds):
    def called(*arguments, **options):
        time.sleep(seconds)
        return call(*arguments, **options)
    return called
if sys.orig_argv[-2:] == ["--process-id", "0"]:
    os.fsync, os.replace, os.rename = late(os.fsync, 1), late(os.replace, 1), late(os.rename, 70)
"""


@pytest.mark.slow
def test_a_slow_disk_of_process_0_ends_nobody(tmp_path, monkeypatch):
    """A call takes longer than a process may be silent."""
    assert cluster.HEARTBEAT < 70
    whole, run, commands = (
        tmp_path / "whole",
        tmp_path / "run",
        2 * [arguments("diayn", "training.num_seeds=2")],
    )
    with Processes(whole, *commands) as both:
        assert both.ends() == [(0, f"{whole}\n", ""), (0, "", "")]
    (tmp_path / "sitecustomize.py").write_text(LATE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    with Processes(run, *commands) as both:
        assert both.ends() == [(0, f"{run}\n", ""), (0, "", "")]
    assert written(run) == written(whole)


@pytest.mark.slow
def test_processes_of_other_commands_do_not_join(tmp_path):
    commands = [arguments("diayn", f"training.num_seeds={number}") for number in (2, 1)]
    with Processes(tmp_path / "run", *commands) as both:
        ends = both.ends()
    assert [code for code, *_ in ends] == [2, 2] and not (tmp_path / "run").exists()
    assert "process 1 of 2: found other settings or another run directory than process 0" in ends[1][2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "over", "number"),
    [
        *((name, None, 4) for name in ("diayn", "diayn_ppo", "vgcrl", "maml", "maesn", "pearl")),
        ("maesn", "vgcrl", 4),
        ("pearl", None, 8),
    ],
)
def test_how_seeds_are_spread_changes_no_bit(tmp_path, algorithm, over, number):
    """On four devices: of one process, of two, and of four.  A device has one seed, or two in turn."""
    found, skills = {}, []
    if over:
        train(tmp_path / "skills", resolve(over, "training.num_seeds=2"))
        skills = ["--skills", str(tmp_path / "skills"), "--set", "hierarchy.steps_per_skill=2"]
    for count in (1, 2, 4):
        run = tmp_path / str(count)
        seeds = [*arguments(algorithm, f"training.num_seeds={number}"), *skills]
        with Processes(run, *count * [seeds], devices=4 // count) as processes:
            first, *others = processes.ends()
        assert first == (0, f"{run}\n", "")
        assert others == [(0, "", "")] * (count - 1)
        found[count] = written(run)
    assert found[1] == found[2] == found[4]


def numbers(run):
    """What an evaluation found, and not where."""
    (file,) = (run / "eval").iterdir()
    return {name: value for name, value in read_json(file).items() if name not in ("run", "machine")}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["maesn", "pearl"])
def test_how_evaluated_tasks_are_spread_changes_no_number(tmp_path, algorithm):
    """On four devices, as seeds are; then what process 0 does alone: skills, a page, an export."""
    train(tmp_path / "1", resolve(algorithm, "training.num_seeds=2"))
    train(tmp_path / "skills", resolve("diayn"))
    for count in (2, 4):
        shutil.copytree(tmp_path / "1", tmp_path / str(count))
    for count in (1, 2, 4):
        run = tmp_path / str(count)
        with Processes(
            None, *count * [["eval", str(run), "--num-tasks", "8"]], devices=4 // count
        ) as processes:
            first, *others = processes.ends()
        assert first[:2] == (0, f"{run}\n") and others == [(0, "", "")] * (count - 1)
    assert numbers(tmp_path / "1") == numbers(tmp_path / "2") == numbers(tmp_path / "4")
    page, file = tmp_path / "x.html", tmp_path / "x.safetensors"
    for command, out in (
        (["eval", str(tmp_path / "skills")], tmp_path / "skills"),
        (["render", str(tmp_path / "1"), "-o", str(page)], page),
        (["export", str(tmp_path / "1"), "-o", str(file)], file),
    ):
        with Processes(None, command, command) as both:
            first, other = both.ends()
        assert first[:2] == (0, f"{out}\n") and other == (0, "", "") and out.exists()
