"""A suite that is killed anywhere and started again loses nothing, and does nothing twice."""

import contextlib
import json
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest

from hmrl_cli.errors import HmrlError, NotDone
from hmrl_cli.report import page
from hmrl_cli.suite import execution, table
from hmrl_cli.suite.cells import cells
from hmrl_cli.suite.states import states
from tests.suite.stand_in import TINY, logged, stand_in


@pytest.fixture
def tiny(read):
    """Skills, two arms and their evaluations on each of two families: ten cells."""
    return cells(read(TINY.replace('["test", "train"]', '"test"')))


@pytest.fixture
def place(tiny, tmp_path, monkeypatch):
    """A folder with the stand-in, which does the work of the small suite."""
    monkeypatch.setenv("HMRL", str(stand_in(tmp_path, tiny)))
    return tmp_path


def run(tiny, place, jobs=3, stop=lambda: None):
    """Notes of a start, and its exit code."""
    notes = []
    try:
        execution.run(tiny, place / "suite", jobs, notes.append, stop)
    except HmrlError as error:
        return [*notes, str(error)], error.exit_code
    return notes, 0


def check_done(tiny, place):
    assert {state.state for state in states(tiny, place / "suite").values()} == {"done"}
    assert logged(place, "twice") == []


@pytest.mark.parametrize("at", ["1", "4", "7"])
def test_a_suite_that_is_killed_goes_on_where_it_stopped(at, tiny, place, monkeypatch):
    monkeypatch.setenv("KILL_AT", at)
    (told,), code = run(tiny, place)
    assert code == 75 and "interrupted by SIGKILL" in told and "cells are not done" in told
    assert run(tiny, place)[1] == 0
    check_done(tiny, place)
    calls = logged(place)
    assert run(tiny, place) == ([], 0) and logged(place) == calls


def test_a_failure_stops_only_what_stands_on_it(tiny, place, monkeypatch):
    monkeypatch.setenv("FAIL", "meta/point/hmrl/seeds0-1")
    (told,), code = run(tiny, place)
    assert code == 76 and told.startswith(
        "2 of 10 cells are not done; the first one: meta/point/hmrl/seeds0-1"
    )
    assert "diverged: params is not finite\nsee " in told and "logs/meta/point/hmrl/seeds0-1.log" in told
    left = {name for name, state in states(tiny, place / "suite").items() if state.state != "done"}
    assert all("/point/hmrl/" in name for name in left)
    monkeypatch.delenv("FAIL")
    assert run(tiny, place)[1] == 0
    check_done(tiny, place)


@pytest.mark.parametrize(
    ("program", "reason", "code"),
    [
        ("exit 3", "it wrote nothing", 3),
        ("echo step 1; exit 3", "step 1", 3),
        ("echo step 1; kill -9 $$", "ended by a signal: Killed", 75),
    ],
)
def test_the_reason_of_a_failure_is_that_of_this_start(program, reason, code, tiny, place):
    first = tiny[0].name
    assert run(tiny, place)[1] == 0
    (place / "suite" / tiny[0].result).unlink()
    (place / f"suite/logs/{first}.log").write_text("error: of an earlier start\n")
    (place / "hmrl").write_text(f"#!/bin/sh\n{program}\n")
    (told,), found = run(tiny, place)
    assert (
        told.startswith(f"1 of 10 cells are not done; the first one: {first}: {reason}\n") and found == code
    )


def test_the_reason_of_a_failure_may_be_its_shell(tiny, place):
    (place / f"suite/logs/{tiny[0].name}.log").mkdir(parents=True)
    (place / "suite/.lock").touch()
    (told,), code = run(tiny, place)
    assert "directory" in told and "not remade" not in told and code == 2


def test_what_nobody_reads_fails_nothing(tiny, place):
    """As after `hmrl suite run ... 2> >(head -1)`."""
    kept, (reads, writes) = os.dup(2), os.pipe()
    os.close(reads)
    os.dup2(writes, 2)
    try:
        assert run(tiny, place) == ([], 0)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(writes)
    check_done(tiny, place)


@pytest.mark.parametrize("flags", ["n", "B"])
def test_a_make_around_it_changes_nothing(flags, tiny, place, monkeypatch):
    """Where -n runs nothing, and -B runs again what is done."""
    monkeypatch.setenv("MAKEFLAGS", flags)
    monkeypatch.setenv("FAIL", "meta/point/hmrl/seeds0-1")
    assert run(tiny, place)[1] == 76
    monkeypatch.delenv("FAIL")
    assert run(tiny, place) == ([], 0)
    check_done(tiny, place)


def test_a_module_in_the_folder_hides_none_of_the_library(tmp_path, monkeypatch):
    monkeypatch.delenv("HMRL", raising=False)
    (tmp_path / "json.py").write_text("raise SystemExit(3)\n")
    command = [*shlex.split(execution.hmrl()), "--version"]
    assert subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_reaches_every_command(number, code, tiny, place, monkeypatch):
    monkeypatch.setenv("SLEEP", "60")
    stop = lambda: number if len(logged(place)) >= 3 else None  # noqa: E731
    (told,), found = run(tiny, place, stop=stop)
    assert found == code and f"interrupted by {number.name}; 10 of 10 cells are not done" in told


def test_commands_of_a_killed_start_are_waited_for(tiny, place):
    folder, notes = place / "suite", []
    (folder / "meta").mkdir(parents=True)  # of a command that was typed
    with execution.alone(folder, notes.append) as lock:
        left = subprocess.Popen(["sleep", "0.3"], pass_fds=(lock,))
    waits = execution.alone(folder, notes.append, lambda: signal.SIGINT)
    with pytest.raises(NotDone, match="interrupted by SIGINT"), waits:
        pass
    notes.clear()
    with execution.alone(folder, notes.append):
        assert left.wait() == 0
    assert len(notes) == 1 and "still run" in notes[0]


def test_commands_of_a_killed_start_are_stopped_as_the_next_one_says(tiny, place, tmp_path, monkeypatch):
    monkeypatch.setenv("SLEEP", "60")
    command = [sys.executable, "-m", "hmrl_cli", "suite", "run", str(tmp_path / "tiny.toml")]
    lock, until = place / "suite/.lock", time.monotonic() + 60
    with subprocess.Popen([*command, "--out", str(place / "suite")], stderr=subprocess.DEVNULL) as started:
        while not (logged(place) and lock.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        started.kill()
    notes = []
    with pytest.raises(NotDone), execution.alone(place / "suite", notes.append, lambda: signal.SIGTERM):
        pass
    (stop,) = re.findall("to stop them: (.*)", notes[0])
    subprocess.run(stop, shell=True, check=True)
    with execution.alone(place / "suite", notes.append):
        assert len(logged(place)) == 1 and not lock.read_text()


@pytest.mark.parametrize("text", ["1", "elsewhere 2", "{host} 1", "{host} x", "{host} 99999999", "\udcff"])
def test_a_group_that_is_not_that_of_the_commands_is_not_named(text, tmp_path):
    lock = tmp_path / "lock"
    lock.write_bytes(text.format(host=socket.gethostname()).encode(errors="surrogateescape"))
    with lock.open() as file:
        assert execution._still_run(file.fileno()) == "another start, or commands that it left, still run"


def test_a_folder_of_other_files_is_left_alone(tiny, place):
    (place / "suite").mkdir()
    (place / "suite/Makefile").write_text("all:\n")
    (told,), code = run(tiny, place)
    assert code == 73 and "suite: holds other files; must be a new folder" in told
    (place / "suite/config.toml").touch()
    (place / "suite/status.json").touch()
    (told,), code = run(tiny, place)
    assert code == 73 and "lies in the run" in told and (place / "suite/Makefile").read_text() == "all:\n"


def test_without_make_there_is_a_clear_error(tiny, place, monkeypatch):
    monkeypatch.setattr(execution.shutil, "which", lambda name: None)
    (told,), code = run(tiny, place)
    assert code == 69 and "make" in told


@pytest.mark.slow
def test_the_command_that_is_killed_at_random_times_loses_nothing(tiny, place, tmp_path, monkeypatch):
    """With all its commands, or alone: those that are left are waited for."""
    monkeypatch.setenv("SLEEP", "0.15")
    command = [sys.executable, "-m", "hmrl_cli", "suite", "run", str(tmp_path / "tiny.toml"), "-j2"]
    command += ["--out", str(place / "suite")]
    draws = random.Random(0)
    for number in range(20):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
            begun, until = len(logged(place)) + draws.randrange(3), time.monotonic() + 5
            while len(logged(place)) < begun and time.monotonic() < until and started.poll() is None:
                time.sleep(0.01)
            time.sleep(draws.uniform(0.0, 0.3))
            if number % 2:  # the commands as well
                for child in _children(started.pid):
                    os.kill(child, signal.SIGKILL)
            started.kill()
    assert subprocess.run(command).returncode == 0
    check_done(tiny, place)


@pytest.mark.slow
def test_real_runs_that_are_killed_give_the_numbers_of_an_undisturbed_suite(read, tmp_path):
    """Trainings and evaluations, most of 20 times before their end."""
    small = cells(read(TINY.replace(', "sparse_point"', "").replace('["test", "train"]', '"test"')))
    command = [sys.executable, "-m", "hmrl_cli", "suite", "run", str(tmp_path / "tiny.toml"), "-j2", "--out"]
    assert subprocess.run([*command, str(tmp_path / "whole")]).returncode == 0
    draws, killed = random.Random(0), 0
    for _ in range(20):
        with subprocess.Popen([*command, str(tmp_path / "killed")], stderr=subprocess.DEVNULL) as started:
            time.sleep(draws.uniform(1.0, 6.0))
            killed += started.poll() is None
            for child in (*_children(started.pid), started.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
    assert killed >= 10
    assert subprocess.run([*command, str(tmp_path / "killed")]).returncode == 0
    for cell in (cell for cell in small if cell.kind == "eval"):
        one, other = (
            json.loads((tmp_path / where / cell.result).read_text()) for where in ("whole", "killed")
        )
        assert [one[key] == other[key] for key in ("arrays_sha256", "per_task")] == [True, True]


def _children(pid):
    """Processes that descend from one."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [pid for child in map(int, listed.split()) for pid in (child, *_children(child))]


@pytest.mark.slow
def test_real_runs_are_those_of_the_plan(read, tmp_path):
    """Trainings and evaluations write what the plan expects, so a second start has nothing to do."""
    small = cells(read(TINY.replace(', "sparse_point"', "").replace('["test", "train"]', '"test"')))
    notes, code = run(small, tmp_path, jobs=1)
    assert code == 0, notes
    folder = tmp_path / "suite"
    assert {state.state for state in states(small, folder).values()} == {"done"}
    arms = table.evaluated(small, states(small, folder), folder)
    assert [(arm.name, arm.seeds, len(arm.documents)) for arm in arms] == [
        *(("hmrl", (0, 1), 1), ("maesn", (0, 1), 1))
    ]
    assert "Adaptation to new tasks of point" in page.write_arms(arms, tmp_path / "page.html").read_text()
