"""The command line over deeds that do nothing but keep what they were called with."""

import io
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from hmrl_cli import report, runner
from hmrl_cli.cli import main as cli
from hmrl_cli.config import presets
from hmrl_cli.runner import startup, train

PRESET = """
# A tiny size.
[family]
name = "point"
[training]
epochs = 2
[meta-train.algorithm]
name = "maml"
[pretrain-skills.algorithm]
name = "diayn"
"""


class Fakes:
    """Stands for `experiment` and `report`; keeps what it was called with."""

    def __init__(self):
        self.calls = []
        self.fails = None

    def check(self, resolved, note, sources):
        self.calls.append(("check", resolved))
        return {"parameters": 123, "list": [1, 2.5], "total_steps": 10**6}

    def train(self, resolved, run, resume, shows, stop):
        self.calls.append(("train", resume))
        print("library noise")
        shows.phase("training")
        assert stop() is None
        for epoch in (1, 2):
            run.record(epoch, {"loss": 1.0 / epoch})
            shows.epoch(epoch, 2, {"loss": 1.0 / epoch}, 1234.5)
            run.save(epoch, {"w": np.float32([epoch])})
        if self.fails is not None:
            raise self.fails
        return {"success": 0.5}

    def evaluate(self, run, **kwargs):
        self.calls.append(("evaluate", kwargs))
        curve = {"iqm": [1.0, 2.0], "low": [0.5, 1.5], "high": [1.5, 2.5]}
        return {
            "schema": 1,
            "run": str(run.path),
            "protocol": {"name": None, "changed": {}},
            "split": "test",
            "reward": "sparse",
            "episodes": 20,
            "num_seeds": 3,
            "num_tasks": 40,
            "steps": [0, 1],
            "return": curve,
            "fraction": {"iqm": None},
        }

    def describe_family(self, name, split, tasks):
        return {"name": name, "meaning": "obs", "split": split, "dense": {"flat": -1.0, "feasible": None}}

    def compare(self, paths, group, protocol):
        self.calls.append(("compare", protocol))
        return {
            "rows": [{"arm": "[red]", "success": 0.51234567, "interval": [0.4, 0.6]}, {"arm": "b\x1b[2J"}]
        }

    def write(self, paths, out, protocol, group, figures):
        self.calls.append(("report", protocol, group, figures))
        return out

    def render_run(self, run, **kwargs):
        self.calls.append(("render", kwargs))
        return kwargs["out"] or run.path / "render.html"

    def render_family(self, name, **kwargs):
        self.calls.append(("render", kwargs))
        return f"{name}.html"


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    fakes = Fakes()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "presets" / "room").mkdir(parents=True)
    (tmp_path / "presets" / "room" / "tiny.toml").write_text(PRESET.strip())
    monkeypatch.setattr(presets, "folder", lambda: tmp_path / "presets")
    monkeypatch.setattr(startup, "prepare", lambda: "")
    for wing, deeds in (
        (runner, ("evaluate", "describe", "render")),
        (report, ("page", "comparison")),
    ):
        for deed in deeds:
            monkeypatch.setitem(sys.modules, f"{wing.__name__}.{deed}", fakes)
            monkeypatch.setattr(wing, deed, fakes, raising=False)
    for step in ("train", "check"):
        monkeypatch.setattr(train, step, getattr(fakes, step))
    return fakes


@pytest.fixture
def hmrl(fakes, capsys):
    """Run a command line; gives code, stdout and stderr."""

    def call(*argv):
        code = cli.run(argv)
        captured = capsys.readouterr()
        if code not in (0, 1):
            assert 1 <= len(_error(captured.err)) <= 2
            assert "Traceback" not in captured.err
        return SimpleNamespace(code=code, out=captured.out, err=captured.err, error=_error(captured.err))

    return call


def _error(err):
    """The lines of the error, without progress before it."""
    lines = err.splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    return lines[starts[0] :] if starts else []


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on_a_terminal(fakes, monkeypatch):
    """Run a command line on a terminal so wide; gives the lines of stdout and of stderr."""

    def call(columns, *argv):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
        streams = Terminal(), Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            assert cli.run(argv) == 0
        return tuple(re.sub(r"\x1b\[\d*m", "", stream.getvalue()).splitlines() for stream in streams)

    return call
