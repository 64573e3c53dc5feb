"""Tables that fit a terminal, with nothing cut."""

import re

import pytest

from hmrl_cli.cli import tables
from tests.cli.rows import OTHER, ROW


def test_a_comparison_fits_the_terminal(hmrl, fakes, on_a_terminal):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    number = {"mean": 0.23, "low": 0.06, "high": 0.4}
    difference = {
        "run": "hmrl",
        "minus": "maesn_repeat",
        "split": "test",
        "reward": "sparse",
        "pairing": "by task",
    }
    difference |= {
        "return": {"mean": 120.0, "low": 80.0, "high": 131.2},
        "success": number,
        "reached": number,
        "mean_success": number,
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
    assert "in a wider terminal, or with --csv: before, fraction" in text
    assert "hmrl minus split return success reached maesn_repeat test +120.0" in text
    assert "+0.23 [0.06, 0.40]" in text and "in every row: reward sparse, pairing by task" in text
    wide, _ = on_a_terminal(120, "compare", run)
    assert wide[0].split() == ["run", "split", "before", "return", "success", "reached", "fraction"]
    plain = hmrl("compare", run).out.splitlines()
    assert "adaptation" in plain[0] and "flat_reached" not in plain[0]
    fakes.compare = lambda *_: {"rows": [ROW]}
    alone, _ = on_a_terminal(85, "compare", run)
    assert alone[0].split() == ["run", "split", "return", "success", "reached"] and len(alone) > 2


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_a_comparison_has_its_main_columns_at_every_width(columns, hmrl, fakes, on_a_terminal):
    """Whole, and with a note on those that are not there; long names are broken after a slash alone."""
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    long = "wheeled/seed0/exploring_with_refits_of_the_latent"
    number = {"mean": -0.23, "low": -0.6, "high": 0.4}
    difference = {"run": long, "minus": "b", "split": "test", "reward": "sparse", "pairing": "by task"}
    difference |= dict.fromkeys(("return", "success", "reached", "mean_success"), number)
    rows = [ROW | {"run": long}, OTHER | {"return": "-1337.4 [-1498.9, -1174.2]"}]
    fakes.compare = lambda paths, group, protocol: {"rows": rows, "differences": [difference]}
    lines, _ = on_a_terminal(columns, "compare", run)
    text = "\n".join(lines)
    assert "..." not in text and "…" not in text and max(map(len, lines)) <= columns
    for row in rows:
        for column in ("split", "return", "success", "reached"):
            assert all(word in text for word in tables._words(row[column])), column
    header = text[: text.index("test")].split()
    assert header[:2] == ["run", "split"] and {"return", "success", "reached"} <= {*header}
    assert long in re.sub(r"/\n", "/", text)
    shown = {column for column in ROW if column in header}
    told = " ".join(text.split())
    # in a column, the same in every row, or in the note; nothing is ever reached
    assert all(column in told for column in ROW if column != "flat_reached")
    assert ({*ROW} - shown and "in a wider terminal, or with --csv: " in told) or columns == 200
    plain = hmrl("compare", run).out
    assert plain.splitlines()[0].split() == [column for column in ROW if column != "flat_reached"]


def test_a_name_is_broken_after_a_slash_where_that_saves_the_table():
    rows = [{"run": "wheeled/seed0/meta", "success": "0.61"}, {"run": "b", "success": "0.5"}]
    assert tables.names_in_parts(rows, "run", 40) == rows
    (long, _) = tables.names_in_parts(rows, "run", 24)
    assert long["run"] == "wheeled/seed0/\nmeta"
    _, first, _ = tables.fitted([["run", "success"], *(list(x.values()) for x in (long, rows[1]))], 24)
    assert first == ["wheeled/seed0/  0.61", "meta"]
    (long, _) = tables.names_in_parts(rows, "run", 12)  # no part fits: on lines of its own
    assert long["run"] == "wheeled/\nseed0/meta"


def test_the_most_wanted_columns_come_first():
    rows = [{"run": name, "a": "1" * 20, "b": name * 20, "c": name * 10, "d": "same"} for name in "xy"]
    assert tables.chosen(rows, ["run"], ["c", "b"], 30) == (["run", "c"], ["a", "d"], ["b"])
    assert tables.chosen(rows, ["run"], ["b", "c"], 30) == (["run", "b"], ["a", "d"], ["c"])


def test_results_have_the_digits_that_are_shown(hmrl, fakes):
    """In the order and with the names of a comparison, and without what rounding leaves of a sum."""
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    curve = {"mean": [-2.7e-20, 1e-3], "low": [-2.7e-20, -1e-9], "high": [0.1, 0.1]}
    curves = {name: curve for name in ("fraction", "reached", "success")} | {
        "return": curve | {"iqm": [1.0, 250.0]}
    }
    usual, lines = fakes.evaluate, {"flat": -2.7e-20, "feasible": 1.0}
    fakes.evaluate = lambda path, **kwargs: {**usual(path), **lines, **curves}
    header, first, second, lines = hmrl("eval", run).err.splitlines()[-4:]
    assert header.split() == ["updates", "return", "success", "reached", "fraction"]
    assert first.split(maxsplit=1)[1].startswith("1.00 [0.00, 0.10]  0.00 [0.00, 0.10]") and "-" not in first
    assert second.split()[1] == "250.0" and lines == "flat 0, feasible 1"


def test_wide_letters_shift_no_column():
    """A letter of Japanese takes two cells of a terminal."""
    cells = [["run", "success"], ["探索の実行", "0.61"], ["b", "0.5"]]
    lines = [
        "run         success",
        "探索の実行  0.61",
        "b           0.5",
    ]
    assert [line for row in tables.fitted(cells) for line in row] == lines
    assert [line for row in tables.fitted(cells, 19) for line in row] == lines
    grouped = tables.fitted([[*row, "0.1"] for row in cells], 18)  # for which there are 22 cells to show
    assert grouped[1] == ["探索の実行", "  0.61     0.1"]
    rows = [{"run": "探索/実行", "success": "0.61"}]
    assert tables.names_in_parts(rows, "run", 17)[0]["run"] == "探索/\n実行"
    assert tables.wrapped("探索 の 実行", 8) == ["探索 の", "  実行"]
    assert tables.chosen(rows * 2, ["run"], ["success"], 40)[1] == ["success"]


def test_a_column_of_prose_gets_the_room(hmrl, on_a_terminal):
    lines, _ = on_a_terminal(80, "list")
    assert lines.count("") == 5  # between the six tables
    row = ["a" * 26, "pretrain-skills, meta-train", "word " * 20]
    _, fitted = tables.fitted([["presets", "command", "description"], row], 80)
    assert (
        fitted[0] == f"{'a' * 26}  pretrain-skills,  word word word word word word word" and len(fitted) == 3
    )


@pytest.mark.parametrize("columns", [200, 120, 80, 60, 20])
def test_nothing_is_ever_cut(columns, hmrl, fakes, on_a_terminal):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    curve = {"mean": [-1234.5] * 2, "low": [-2345.6] * 2, "high": [-123.4] * 2}
    curves = {name: curve for name in ("success", "reached", "fraction")} | {
        "return": {**curve, "iqm": [0.5, 1.0]}
    }
    lines = {"flat": -200.0, "flat_success": 0.1, "flat_reached": 0.33, "feasible": -90.0}
    usual = fakes.evaluate
    fakes.evaluate = lambda path, **kwargs: {**usual(path), **lines, **curves}
    fakes.compare = lambda *_: {"rows": [ROW, OTHER]}
    long = {
        "reward": {"flat": -1.0, "per_task": {"flat": [1.0] * 40}},
        "feature": "y" * 90,
        "meaning": "obs\nr",
    }
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
