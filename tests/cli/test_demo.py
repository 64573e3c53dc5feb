"""The demo: which command lines it runs, and what it shows of them."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from hmrl_cli.cli import demo, main
from tests.test_docs import check_settings, parse


def test_its_command_lines_are_right(tmp_path, capsys):
    assert main.run(["demo", str(tmp_path / "d"), "--dry-run", "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)["commands"]
    assert main.run(["demo", str(tmp_path / "d"), "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == lines
    for line in lines:
        hmrl, *words = shlex.split(line)
        assert hmrl == "hmrl"
        parse(words)
        check_settings(words)
    assert not (tmp_path / "d").exists()


def test_a_folder_with_a_run_of_the_demo_is_refused(tmp_path, capsys):
    """It is told about folders, and not about options that only commands of one run have."""
    (tmp_path / "skills").mkdir()
    for more in ((), ("--dry-run",)):
        assert main.run(["demo", str(tmp_path), *more]) == 73
        first, second = capsys.readouterr().err.splitlines()
        assert first == f"error: {tmp_path / 'skills'}: exists; the folder of a demo must be a new one"
        assert second == "to have one chosen, runs/demo-TIME: leave the folder out"
    assert [path.name for path in tmp_path.iterdir()] == ["skills"]


class Started:
    """Stands for processes: keeps their command lines, and ends the one of this command with this code."""

    def __init__(self, fails=None, code=0):
        self.fails, self.code, self.words, self.ended = fails, code, [], []

    def __call__(self, words, stdout=None, stderr=None, text=False):
        # -P: a module in the folder of a user hides none of the standard library
        assert words[:4] == [sys.executable, "-P", "-m", "hmrl_cli"]
        words = words[4:]
        self.words.append(words)
        code = self.code if words[0] == self.fails else 0
        out = '{"rows": []}\n' if "--json" in words else f"{words[-1]}\n"
        if stderr is not None:
            stdout.write(b"its log\n")
        return Process(self, code, out)


class Process(SimpleNamespace):
    def __init__(self, started, code, out):
        super().__init__(returncode=code, communicate=lambda: (out, ""), wait=lambda: code)
        self.terminate = lambda: started.ended.append(True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


@pytest.fixture
def start(monkeypatch):
    """Replace processes by those that a `Started` stands for."""

    def start(*given):
        started = Started(*given)
        monkeypatch.setattr(demo, "subprocess", SimpleNamespace(Popen=started, PIPE=subprocess.PIPE))
        return started

    return start


def test_it_runs_them_and_names_its_pages(hmrl, start):
    started, before = start(), signal.getsignal(signal.SIGTERM)
    done = hmrl("demo", "d")
    assert done.code == 0 and [words[0] for words in started.words] == [
        *("meta-train", "pretrain-skills", "meta-train", "meta-train"),
        *("eval", "eval", "compare", "report", "report"),
    ]
    assert done.out.splitlines() == [
        "figures: d/curves.svg, d/skills/skills.svg",
        "report:  d/report.html",
    ]
    assert [line[:3] for line in done.err.splitlines()[:4]] == ["1/4", "2/4", "3/4", "4/4"]
    assert json.loads(hmrl("demo", "e", "--json").out)["comparison"] == {"rows": []}
    assert signal.getsignal(signal.SIGTERM) == before and not started.ended


@pytest.mark.parametrize(("fails", "code", "exits"), [("eval", 65, 65), ("meta-train", -9, 137)])
def test_it_ends_as_the_command_that_failed(hmrl, start, fails, code, exits):
    start(fails, code)
    failed = hmrl("demo", "d")
    assert failed.code == exits and not failed.out and f"hmrl {fails} ended with code {code}" in failed.err


def test_what_trains_beside_ends_with_it_and_shows_its_log(hmrl, start, monkeypatch):
    started = start("pretrain-skills", 74)
    assert hmrl("demo", "d").code == 74 and started.ended == [True]
    monkeypatch.setattr(demo, "_called", lambda words: "")
    start("meta-train", 76)
    failed = hmrl("demo", "e")
    assert failed.code == 76 and failed.err.splitlines()[-2] == "its log"


def test_a_folder_with_its_runs_is_refused(hmrl, tmp_path):
    (tmp_path / "d" / "skills").mkdir(parents=True)
    assert hmrl("demo", "d").code == 73


def test_term_ends_what_was_started(hmrl, start, monkeypatch):
    started = start()
    monkeypatch.setattr(demo, "_called", lambda words: os.kill(os.getpid(), signal.SIGTERM) or "")
    assert hmrl("demo", "d").code == 130 and started.ended == [True]


@pytest.mark.slow
def test_the_whole_demo(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "hmrl_cli", "demo", str(tmp_path / "d")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(re.search(rf"(?m)^{arm} ", done.stdout) for arm in ("hmrl", "skills_only", "maesn"))
    assert (tmp_path / "d" / "report.html").is_file() and (tmp_path / "d" / "curves.svg").is_file()
