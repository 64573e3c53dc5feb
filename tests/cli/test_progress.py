"""Progress on a terminal and in a pipe."""

import errno
import io
import os
import re

import numpy as np
import pytest

from hmrl_cli.cli import progress
from hmrl_cli.runner.progress import Silent, by_importance


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_at_least_every_minute():
    clock, stream = Clock(), io.StringIO()
    lines = progress.Lines(stream, clock=clock)
    lines.phase("compiling")
    clock.now = 59
    lines._sign_of_life()
    clock.now = 61
    lines._sign_of_life()
    lines.phase("training")
    for epoch in range(1, 101):
        clock.now += 5
        metrics = {"gain": 0.123456, "loss": np.float32([0.5, 1.5]), "n": 3, "a": 1, "success_after": 0.5}
        lines.epoch(epoch, 100, by_importance(metrics, ""), 12_345.6)
    lines.close()
    shown = stream.getvalue().splitlines()
    assert shown[:4] == [
        "compiling",
        "compiling, 1m01s so far",
        "training (compiling took 1m01s)",
        "epoch 1/100  12.3k steps/s  success_after 0.5  loss 1  gain 0.1235  n 3",
    ]
    assert shown[4].startswith("epoch 13/100  12.3k steps/s  7m15s left  success_after 0.5")
    assert shown[-1].startswith("epoch 100/100")
    assert len(shown) == 13
    assert "\x1b" not in stream.getvalue()


def test_what_progress_suits_a_stream(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(progress.make(Terminal(), quiet=True, verbose=False), Silent)
    assert isinstance(progress.make(io.StringIO(), quiet=False, verbose=False), progress.Lines)
    assert isinstance(progress.make(Terminal(), quiet=False, verbose=True), progress.Lines)
    stream = Terminal()
    live = progress.make(stream, quiet=False, verbose=False)
    assert isinstance(live, progress.Live)
    live.phase("compiling")
    live.phase("training")
    live.epoch(1, 1, {"loss[red]": 0.5}, 10.0)
    live.note("[bold]as it is\x1b[2J")
    live.close()
    text = stream.getvalue()
    assert "compiling took" in text and "loss[red] 0.5" in text and "[bold]as it is" in text
    assert "\x1b[2J" not in text and "\x1b[1;36m" not in text


def test_the_metric_that_an_algorithm_names_comes_first():
    metrics = {"gain": 1, "loss": 2, "success_after": 3}
    assert list(by_importance(metrics, "gain")) == ["gain", "success_after", "loss"]
    assert list(by_importance(metrics, "none")) == ["success_after", "loss", "gain"]


@pytest.mark.parametrize("columns", [60, 80, 110, 200])
def test_no_line_of_a_terminal_is_wider_than_it(monkeypatch, columns):
    """Neither the live one, in any phase, nor the last one, which stays."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    clock, stream = Clock(), Terminal()
    live = progress.Live(stream, clock=clock)
    metrics = {"mutual_information": 1.25, "accuracy": np.float32([0.5, 1]), "critic_loss": 1e-5}
    live.phase("compiling " + "x" * 300)
    assert len(live._render()) == columns
    live.phase("training")
    assert live._render().plain == "training 0.0s"
    for epoch in range(1, 41):
        clock.now += 60
        live.epoch(epoch, 300, metrics, 123_456.7)
        assert len(live._render()) <= columns
    assert "4h20m left" in live._render().plain and " 1.25" in live._render().plain
    live.phase("diagnosing skills")
    assert live._render().plain == "diagnosing skills 0.0s"
    live.epoch(40, 300, metrics, 123_456.7)
    live.close()
    last = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", stream.getvalue()).splitlines()[-1].rpartition("\r")[2]
    assert len(last) <= columns
    assert re.search(r"^epoch 40/300  .*\(diagnosing skills took 0.0s\)$", last)
    assert ("mutual_information 1.25" in last) == (columns >= 80) and " left" not in last


def test_a_note_keeps_its_lines():
    stream = io.StringIO()
    progress.Lines(stream).note("one\ntwo\x1b[31m")
    assert stream.getvalue() == "one\ntwo\N{REPLACEMENT CHARACTER}[31m\n"


def test_a_closed_stderr_stops_nothing():
    stream = io.StringIO()
    lines = progress.Lines(stream)
    stream.close()
    lines.note("nobody reads this")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4s"), (59.4, "59s"), (59.9, "1m00s"), (185, "3m05s"), (7620, "2h07m")]
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.4, "3"),
        (999.4, "999"),
        (999.6, "1k"),
        (12_345, "12.3k"),
        (999_499, "999k"),
        (999_950, "1M"),
        (1e9, "1G"),
        (4.56e12, "4.56T"),
        (1.5e15, "1,500T"),
    ],
)
def test_quantities(value, text):
    assert progress.quantity(value) == text


def test_a_terminal_that_is_gone_stops_nothing(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")

    class Gone(Terminal):
        def write(self, text):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    stream = Gone()
    stream.write, write = Terminal().write, stream.write
    live = progress.Live(stream)
    live.phase("training")
    stream.write = write
    live.note("nobody reads this")
    live.epoch(1, 2, {"loss": 0.5}, 10.0)
    live.close()
