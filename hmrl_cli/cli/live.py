"""The live line of a training: a bar, numbers and a curve, fitted to the width of a terminal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len

if TYPE_CHECKING:
    from rich.text import Text

LEAST, MOST = 5, 40  # characters of the bar, and of the curve
SPARE = 14  # characters that bar and curve get before further metrics
POINTS = 256  # of a curve, at least, once it has so many
LEVELS = {False: "▁▂▃▄▅▆▇█", True: "_.-~=+*#"}  # by whether the terminal has ASCII alone
BAR = {False: ("━", "─"), True: ("#", "-")}  # what is done, and the rest, without colours too


class Epoch(NamedTuple):
    """What is shown of an epoch."""

    phase: str
    elapsed: str  # time since the phase began
    epoch: int
    total: int
    left: str  # time to the last epoch; "" where it is not known
    speed: str
    metrics: Sequence[tuple[str, str]]  # names and values, the main one first


class Curve:
    """The values of a metric over all epochs, as means of equally many epochs."""

    def __init__(self) -> None:
        """Without a value."""
        self._means: list[float] = []
        self._each = 1  # epochs of one mean
        self._newest: list[float] = []  # too few for a mean yet

    def add(self, value: float) -> None:
        """Append the value of an epoch.  Past twice `POINTS` means, each two become one."""
        self._newest.append(value)
        if len(self._newest) == self._each:
            self._means.append(_mean(self._newest))
            self._newest = []
        if len(self._means) == 2 * POINTS:
            self._means = [_mean(self._means[i : i + 2]) for i in range(0, 2 * POINTS, 2)]
            self._each *= 2

    def levels(self, width: int) -> list[float]:
        """At most `width` means over equal times, from the first epoch to the last."""
        newest = self._newest  # which another thread may replace meanwhile
        values = self._means + ([_mean(newest)] if newest else [])
        count = min(width, len(values))
        bounds = [round(i * len(values) / count) for i in range(count + 1)] if count else [0]
        return [_mean(values[a:b]) for a, b in itertools.pairwise(bounds)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def sparkline(values: Sequence[float], *, ascii_only: bool = False) -> str:
    """One character for each value, from the least to the largest one; the middle where all are equal."""
    steps = LEVELS[ascii_only]
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    if not 0 < high - low < math.inf:
        return steps[len(steps) // 2] * len(values)
    shares = [(value - low) / (high - low) if math.isfinite(value) else 0.0 for value in values]
    return "".join(steps[min(int(share * len(steps)), len(steps) - 1)] for share in shares)


def line(shown: Epoch, curve: Curve, width: int, *, ascii_only: bool = False) -> Text:
    """An epoch as one line of at most `width` characters.

    The phase, the bar, the time left and the main metric are always there.  What else has room is added, the
    most wanted first.  The bar and the curve take the rest.

    Args:
        shown: the epoch.
        curve: of the main metric.
        width: of the terminal, in characters.
        ascii_only: whether the terminal has no other characters.
    """
    from rich.text import Text

    name, value = shown.metrics[0] if shown.metrics else ("", "")
    left = f"{shown.left} left" if shown.left else ""
    always = [shown.phase, "-" * LEAST, left, *(["-" * LEAST, value] if value else [])]
    room = width + 1 - sum(cell_len(part) + 1 for part in always if part)
    count = f"{shown.epoch}/{shown.total}"
    (name, count, speed, elapsed), room = _kept([name, count, shown.speed, shown.elapsed], room)
    others, room = _kept([f"{other} {text}" for other, text in shown.metrics[1:]], room - SPARE)
    room = max(room + SPARE, 0)
    of_curve = min(room // 2, MOST - LEAST) if value else 0
    of_bar = min(room - of_curve, MOST - LEAST)
    done, rest = _bar(shown.epoch / max(shown.total, 1), LEAST + of_bar, ascii_only)
    drawn = sparkline(curve.levels(LEAST + of_curve), ascii_only=ascii_only)
    bar = Text.assemble((done, "cyan"), (rest, "dim"))
    texts = (
        Text(shown.phase, "bold cyan"), Text(elapsed), bar, Text(count), Text(speed), Text(left),
        Text(name, "dim"), Text(drawn if value else "", "cyan"), Text(value, "bold"),
        *(Text(other, "dim") for other in others),
    )  # fmt: skip
    text = Text(" ", no_wrap=True, overflow="crop").join(text for text in texts if text)
    text.truncate(width)
    return text


def _kept(wanted: Sequence[str], room: int) -> tuple[list[str], int]:
    """The first texts for which there is room, the others as "", and the room that is left."""
    kept = [""] * len(wanted)
    for i, text in enumerate(wanted):
        if cell_len(text) + 1 > room:
            break
        kept[i] = text
        room -= cell_len(text) + 1
    return kept, room


def _bar(share: float, width: int, ascii_only: bool) -> tuple[str, str]:
    """The part of a bar that is done, and the rest."""
    done = min(int(share * width), width)
    full, empty = BAR[ascii_only]
    return full * done, empty * (width - done)
