"""The live line at every width, and the curve in it."""

import io
import math

import pytest
from rich.console import Console

from hmrl_cli.cli import live

SHOWN = live.Epoch(
    *("training", "2m30s", 120, 300, "3m45s", "123k steps/s"),
    [("mutual_information", "-5.996"), ("discriminator_accuracy", "0.25"), ("loss", "0.0123")],
)


def rising(count=120):
    curve = live.Curve()
    for epoch in range(count):
        curve.add(epoch / count)
    return curve


def test_wide_letters_take_the_room_that_they_have():
    """A letter of Japanese takes two cells of a terminal."""
    metrics = [("相互情報量相互情報量", "-5.996"), ("損失", "0.01")]
    for width in range(60, 201):
        text = live.line(SHOWN._replace(metrics=metrics), rising(), width)
        assert text.cell_len <= width and " -5.996" in text.plain


@pytest.mark.parametrize("main", ["return", "return_after", "mutual_information"])
def test_the_line_is_one_line_at_every_width(main):
    metrics = [(main, "-5.996"), *SHOWN.metrics[1:]]
    kept = 0
    for width in range(60, 201):
        line = live.line(SHOWN._replace(metrics=metrics), rising(), width)
        stream = io.StringIO()
        Console(file=stream, width=width).print(line)
        (text,) = stream.getvalue().splitlines()
        assert len(text) <= width
        assert {"training", main, "-5.996"} <= {*text.split()}
        assert "━━─" in text and "█" in text and " 3m45s left " in text
        if width >= 80:
            assert "120/300" in text and "123k steps/s" in text
        kept, before = len(text.split()), kept
        assert kept >= before, "a wider terminal shows no less"
    assert "discriminator_accuracy 0.25 loss 0.0123" in text and "2m30s" in text


@pytest.mark.parametrize("width", [1, 10, 40])
def test_a_narrower_terminal_gets_what_fits(width):
    assert len(live.line(SHOWN, rising(), width)) <= width


def test_what_is_not_known_is_left_out():
    line = live.line(SHOWN._replace(left="", metrics=[]), live.Curve(), 80).plain
    assert "left" not in line and "  " not in line and line.endswith("123k steps/s")
    whole = live.line(SHOWN._replace(epoch=300), rising(), 80, ascii_only=True).plain
    assert whole.isascii() and "#####" in whole and "-----" not in whole


def test_a_curve_keeps_the_whole_training_in_few_numbers():
    curve = rising(10_000)
    assert len(curve._means) < 2 * live.POINTS
    levels = curve.levels(40)
    assert len(levels) == 40 and levels == sorted(levels)
    assert levels[0] < 0.03 and levels[-1] > 0.97
    assert rising(3).levels(40) == [0, 1 / 3, 2 / 3] and live.Curve().levels(40) == []


def test_sparklines():
    assert live.sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert live.sparkline([2, 2, 2]) == "▅▅▅" and live.sparkline([]) == ""
    assert live.sparkline([0, math.nan, 1, math.inf]) == "▁▁█▁"
    assert live.sparkline([0, 1], ascii_only=True) == "_#"
