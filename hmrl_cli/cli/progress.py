"""The progress of a running command, on stderr.

A terminal shows one live line: phase, bar, epoch, steps per second, time left, and the curve of the main
metric.  Other streams get plain lines: one a minute, one at each new phase, and one at the first and last
epoch.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.cells import cell_len

from hmrl_cli.cli import live
from hmrl_cli.errors import printable, printable_lines
from hmrl_cli.runner.progress import Progress, Silent

if TYPE_CHECKING:
    from rich.text import Text

SHOWN_METRICS = 4
HEARTBEAT = 60.0  # seconds
UNITS = (("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12))


class Quiet(Silent):
    """For `-q`: shows notes and no progress."""

    def __init__(self, stream: TextIO) -> None:
        """Onto a stream."""
        self._stream = stream

    def note(self, text: str) -> None:
        """One line."""
        with contextlib.suppress(OSError, ValueError):  # nobody reads the stream any more
            _write_line(self._stream, text)


def _write_line(stream: TextIO, text: str) -> None:
    stream.write(printable_lines(text) + "\n")
    stream.flush()


class _Display:
    """The phase, its clock and what is shown of an epoch, which `Lines` and `Live` share."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._phase = ""
        self._phase_began = clock()
        self._first: tuple[int, float] | None = None  # of this phase: epoch and time when it was done

    def _elapsed(self) -> str:
        """The time since the phase began."""
        return duration(self._clock() - self._phase_began)

    def _begin(self, name: str) -> str:
        """Start a phase; returns a text on the duration of the phase before."""
        ended = f"{self._phase} took {self._elapsed()}" if self._phase else ""
        self._phase, self._phase_began, self._first = name, self._clock(), None
        return ended

    def _measured(
        self, epoch: int, total: int, metrics: Mapping[str, Any], steps_per_second: float
    ) -> live.Epoch:
        now = self._clock()
        self._first = self._first or (epoch, now)
        done = epoch - self._first[0]
        left = duration((now - self._first[1]) / done * (total - epoch)) if done and epoch < total else ""
        shown = [(printable(name), number(metrics[name])) for name in list(metrics)[:SHOWN_METRICS]]
        speed = f"{quantity(steps_per_second)} steps/s"
        return live.Epoch(self._phase, self._elapsed(), epoch, total, left, speed, shown)


def _parts(shown: live.Epoch) -> list[str]:
    """The parts of a plain line on an epoch."""
    left = [f"{shown.left} left"] if shown.left else []
    metrics = [f"{name} {value}" for name, value in shown.metrics]
    return [f"epoch {shown.epoch}/{shown.total}", shown.speed, *left, *metrics]


class Lines(_Display):
    """Plain lines: epochs at least `interval` seconds apart, and one line a minute in a long phase."""

    def __init__(
        self, stream: TextIO, interval: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Onto a stream."""
        super().__init__(clock)
        self._line = ""  # of the newest epoch, not printed yet
        self._stream = stream
        self._interval = interval
        self._last = clock()
        self._closed = threading.Event()
        threading.Thread(target=self._stay_alive, daemon=True).start()

    def _stay_alive(self) -> None:
        while not self._closed.wait(HEARTBEAT / 12):
            self._sign_of_life()

    def _sign_of_life(self) -> None:
        """Print the newest epoch, or the duration of the phase, after `HEARTBEAT` seconds without a line."""
        if self._phase and self._clock() - self._last >= HEARTBEAT:
            self.say(self._line or f"{self._phase}, {self._elapsed()} so far")
            self._line = ""

    def phase(self, name: str) -> None:
        """Print the name of the phase, and the duration of the phase before."""
        ended = self._begin(name)
        self.say(f"{name} ({ended})" if ended else name)

    def epoch(self, epoch: int, total: int, metrics: Mapping[str, Any], steps_per_second: float) -> None:
        """Print the first and the last epoch, and others once the interval has passed."""
        first = self._first is None
        self._line = "  ".join(_parts(self._measured(epoch, total, metrics, steps_per_second)))
        if first or epoch == total or self._clock() - self._last >= self._interval:
            self.say(self._line)
            self._line = ""

    def say(self, text: str) -> None:
        """Print a line.  A closed stream is no error."""
        self._last = self._clock()
        try:
            _write_line(self._stream, text)
        except (OSError, ValueError):
            self._interval = float("inf")

    def note(self, text: str) -> None:
        """One line."""
        self.say(text)

    def close(self) -> None:
        """Stop the thread that prints in long phases."""
        self._closed.set()


class Live(_Display):
    """One live line on a terminal."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        """Onto a terminal; rich honours NO_COLOR."""
        super().__init__(clock)
        from rich.console import Console
        from rich.live import Live as RichLive

        self._shown: live.Epoch | None = None
        self._curve = live.Curve()
        self._console = Console(file=stream)
        self._live = RichLive(
            console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._live.start()

    def _render(self) -> Text:
        from rich.text import Text

        width, ascii_only = self._console.width, self._console.options.ascii_only
        shown = self._shown  # rich draws in a thread of its own
        if shown is not None:
            shown = shown._replace(elapsed=self._elapsed())
            return live.line(shown, self._curve, width, ascii_only=ascii_only)
        text = Text(no_wrap=True, overflow="crop", end="").append(self._phase, "bold cyan")
        text.append(f" {self._elapsed()}" if self._phase else "").truncate(width)
        return text

    def phase(self, name: str) -> None:
        """Print the duration of the phase before, and start the live line of the new phase."""
        ended = self._begin(printable(name))
        self._shown, self._curve = None, live.Curve()
        if ended:
            self.say(ended)

    def epoch(self, epoch: int, total: int, metrics: Mapping[str, Any], steps_per_second: float) -> None:
        """Update the live line."""
        if metrics:
            self._curve.add(mean(next(iter(metrics.values()))))
        self._shown = self._measured(epoch, total, metrics, steps_per_second)

    def say(self, text: str) -> None:
        """Print a line above the live one.  A terminal that is gone is no error."""
        with contextlib.suppress(OSError, ValueError):
            self._console.print(printable_lines(text), markup=False, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a line above the live one."""
        self.say(text)

    def close(self) -> None:
        """Stop the live line, and print its last numbers that have room in a line."""
        with contextlib.suppress(OSError, ValueError):
            self._live.stop()
        if self._shown is None:
            return
        parts, took = _parts(self._shown._replace(left="")), f"({self._phase} took {self._elapsed()})"
        while len(parts) > 1 and cell_len("  ".join([*parts, took])) > self._console.width:
            parts.pop(-1 if len(parts) > 3 else 1)  # the main metric goes after the speed
        self.say("  ".join([*parts, took]))
        self._shown = None


def make(stream: TextIO, *, quiet: bool, verbose: bool) -> Progress:
    """A `Progress` for a stream: quiet, live on a terminal, or plain lines.

    Args:
        stream: where to print.
        quiet: show notes only.
        verbose: show every epoch as a line.
    """
    if quiet:
        return Quiet(stream)
    if verbose or not stream.isatty():
        return Lines(stream, interval=0.0 if verbose else 60.0)
    return Live(stream)


def duration(seconds: float) -> str:
    """A duration as text, such as `0.4s`, `12s`, `3m05s` or `2h07m`."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def quantity(value: float) -> str:
    """A positive number as text of three digits, such as `950`, `12.3k` or `4.56M`."""
    return f"{value:.0f}" if value < 999.5 else three_digits(value, UNITS)


def three_digits(value: float, units: Sequence[tuple[str, float]]) -> str:
    """A number in the first of some units, the smallest first, in which it rounds to less than 1000."""
    unit, size = next(((unit, size) for unit, size in units if value / size < 999.5), units[-1])
    digits = value / size
    return f"{digits:.3g}{unit}" if digits < 999.5 else f"{digits:,.0f}{unit}"


def number(value: Any) -> str:
    """A metric as text of four digits; the mean over seeds of an array [S]."""
    value = mean(value) if hasattr(value, "tolist") else value
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def mean(value: Any) -> float:
    """A metric as one number; the mean over seeds of an array [S]."""
    values = value.tolist() if hasattr(value, "tolist") else value
    return float(sum(values) / len(values) if isinstance(values, list) else values)
