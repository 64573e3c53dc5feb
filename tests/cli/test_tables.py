"""Tables that fit a terminal, with nothing cut."""

import pytest

from hmrl_cli.cli import tables

ROW = {
    "run": "hmrl",
    "split": "test",
    "reward": "sparse",
    "seeds": 3,
    "env_steps": 100_000,
    "flat": 148.95,
    "flat_success": 0.1,
    "flat_reached": 0.0,
    "feasible": 321.83,
    "before": 150.2,
    "return": "239.4 [201.2, 250.1]",
    "success": "0.61 [0.48, 0.74]",
    "reached": "0.93 [0.83, 0.97]",
    "fraction": "0.56 [0.46, 0.69]",
    "adaptation": "rule refit, imitation_steps 200, fallback 0.3",
}


OTHER = ROW | {"run": "maesn_repeat", "split": "hidden", "before": -1234.5, "fraction": "0.10 [0.02, 0.17]"}


def test_a_comparison_fits_the_terminal(hmrl, fakes, on_a_terminal):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    number = {"mean": 0.23, "low": 0.06, "high": 0.4}
    difference = {"run": "hmrl", "minus": "maesn_repeat", "split": "test", "reward": "sparse", "seeds": "own"}
    difference |= {
        "return": {"mean": 120.0, "low": 80.0, "high": 131.2},
        "success": number,
        "reached": number,
    }
    fakes.compare = lambda *_: {"rows": [ROW, OTHER], "differences": [difference]}
    rows, _ = on_a_terminal(75, "compare", run)
    assert [line.strip() for line in rows if line.strip() in ("run", "hmrl", "maesn_repeat")]
    assert sum(f"{ROW['return']}  {ROW['success']}  {ROW['reached']}" in line for line in rows) == 2
    rows, _ = on_a_terminal(85, "compare", run)
    assert rows[0].split() == ["run", "split", "return", "success", "reached"]
    assert all(cell in rows[1] for cell in (ROW["return"], ROW["success"], ROW["reached"]))
    text = " ".join(" ".join(rows).split())
    assert "in every row: reward sparse, seeds 3, env_steps 100000, flat 148.9, flat_success 0.1" in text
    assert "in a wider terminal, or with --json: before, fraction" in text
    assert "hmrl minus split return success reached maesn_repeat test +120.0" in text
    assert "+0.23 [0.06, 0.40]" in text and "in every row: reward sparse, seeds own" in text
    wide, _ = on_a_terminal(120, "compare", run)
    assert wide[0].split() == ["run", "split", "before", "return", "success", "reached", "fraction"]
    plain = hmrl("compare", run).out.splitlines()
    assert "adaptation" in plain[0] and "flat_reached" not in plain[0]
    fakes.compare = lambda *_: {"rows": [ROW]}
    alone, _ = on_a_terminal(85, "compare", run)
    assert alone[0].split() == ["run", "split", "return", "success", "reached"] and len(alone) > 2


def test_results_have_the_digits_that_are_shown(hmrl, fakes):
    """In the order and with the names of a comparison, and without what rounding leaves of a sum."""
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    curve = {"mean": [-2.7e-20, 1e-3], "low": [-2.7e-20, -1e-9], "high": [0.1, 0.1]}
    curves = {name: curve for name in ("fraction", "reached", "success")} | {
        "return": curve | {"iqm": [1.0, 250.0]}
    }
    fakes.evaluate = lambda path, **kwargs: {"steps": [0, 1], "flat": -2.7e-20, "feasible": 1.0, **curves}
    header, first, second, lines = hmrl("eval", run).err.splitlines()[-4:]
    assert header.split() == ["updates", "return", "success", "reached", "fraction"]
    assert first.split(maxsplit=1)[1].startswith("1.00 [0.00, 0.10]  0.00 [0.00, 0.10]") and "-" not in first
    assert second.split()[1] == "250.0" and lines == "flat 0, feasible 1"


def test_a_column_of_prose_gets_the_room(hmrl, on_a_terminal):
    lines, _ = on_a_terminal(80, "list")
    assert lines.count("") == 4  # between the five tables
    row = ["a" * 26, "pretrain-skills, meta-train", "word " * 20]
    _, fitted = tables.fitted([["presets", "command", "description"], row], 80)
    assert (
        fitted[0] == f"{'a' * 26}  pretrain-skills,  word word word word word word word" and len(fitted) == 3
    )


@pytest.mark.parametrize("columns", [80, 60, 20])
def test_nothing_is_ever_cut(columns, hmrl, fakes, on_a_terminal):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    curve = {"mean": [-1234.5] * 2, "low": [-2345.6] * 2, "high": [-123.4] * 2}
    curves = {name: curve for name in ("success", "reached", "fraction")} | {
        "return": {**curve, "iqm": [0.5, 1.0]}
    }
    lines = {"flat": -200.0, "flat_success": 0.1, "flat_reached": 0.33, "feasible": -90.0}
    fakes.evaluate = lambda path, **kwargs: {"steps": [0, 1], **lines, **curves}
    fakes.compare = lambda *_: {"rows": [ROW, OTHER]}
    long = {"reward": {"flat": -1.0, "per_task": {"flat": [1.0] * 40}}, "feature": "y" * 90}
    fakes.describe_family = lambda *_: long
    for argv in (
        ("list",),
        ("list", "algorithms", "maesn"),
        ("list", "families", "point", "--split", "test"),
        ("show", "room/tiny"),
        ("meta-train", "room/tiny", "--dry-run"),
        ("eval", run),
        ("compare", run),
        ("doctor",),
    ):
        stdout, stderr = on_a_terminal(columns, *argv)
        told = " ".join(" ".join(stdout + stderr).split())
        plain = hmrl(*argv)
        lost = {word for word in (plain.out + plain.err).split() if word not in told}
        assert argv[0] in ("compare", "doctor") or not lost, (argv, lost)
        assert "…" not in told, argv
        # lines of TOML are broken by the terminal, and words as long as a line stay whole
        too_long = [line for line in stdout if len(line.rstrip().rpartition(" ")[0]) >= columns]
        assert argv[0] == "show" or not too_long, (argv, too_long)
    eval_text = " ".join(" ".join(on_a_terminal(columns, "eval", run)[1]).split())
    assert "flat -200 (success 0.1, reached 0.33), feasible -90" in eval_text
