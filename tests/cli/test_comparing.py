"""Commands that lay evaluated runs side by side: compare, report."""

import json
from pathlib import Path

import pytest

from tests.cli.rows import OTHER, ROW

MEAN = {"run": "hmrl", "split": "test", "reward": "sparse", "families": 2}
MEAN |= {"success": {"mean": 0.5, "low": 0.4, "high": 0.6}, "fraction": None}


def test_compare_and_report(hmrl, fakes):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    compared = hmrl("compare", run)
    assert "a return is an interquartile mean" in compared.err and "paired" not in compared.err
    assert not hmrl("compare", run, "--json").err and not hmrl("compare", run, "--csv").err
    table = compared.out
    assert table.splitlines()[1] == "[red]  0.5123   [0.4, 0.6]"
    assert "\x1b" not in table
    assert json.loads(hmrl("compare", run, "--json").out)["rows"][0]["arm"] == "[red]"
    assert hmrl("report", run).out == f"{run}/report.html\n"
    assert hmrl("compare", run, "--protocol", "explore").code == 0
    assert hmrl("report", run, "--protocol", "episodes=50").code == 0
    assert fakes.calls[-2:] == [("compare", "explore"), ("report", "episodes=50", None, None)]
    other = hmrl("meta-train", "room/tiny", "-q").out.strip()
    assert hmrl("report", run, other).out == "report.html\n"
    assert json.loads(hmrl("report", run, "-o", "x.html", "--json").out) == {"report": "x.html"}
    grouped = hmrl("report", run, "--group", "algorithm.name", "--figures", "figures", "--json")
    assert json.loads(grouped.out) == {"report": f"{run}/report.html", "figures": "figures"}
    assert fakes.calls[-1][2:] == ("algorithm.name", Path("figures"))
    wrong = hmrl("report", run, "--figures", "new", "-o", "x.svg")
    assert wrong.code == 2 and "--figures: found together with -o x.svg" in wrong.err
    assert not Path("new").exists()
    wrong = hmrl("report", run, "--figures", f"{run}/figures")
    assert wrong.code == 2 and "--figures" in wrong.err and "lies in the run" in wrong.err


@pytest.mark.parametrize("command", ["compare", "report"])
def test_a_run_given_twice_is_refused(hmrl, fakes, command):
    """Under one path, or under another path of the same directory."""
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    other = hmrl("meta-train", "room/tiny", "-q").out.strip()
    for twice, told in ((run, f"found {run} twice;"), (f"./{run}/../{run[5:]}", "twice, also as " + run)):
        wrong = hmrl(command, run, other, twice)
        assert (wrong.code, wrong.out, len(wrong.error)) == (2, "", 1)
        assert told in wrong.error[0] and wrong.error[0].endswith("; must be different runs")
    assert not {name for name, *_ in fakes.calls} & {"compare", "report"}


def test_every_family_has_a_table_and_all_have_one_of_their_means(hmrl, fakes):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    rows = [ROW | {"family": "one", "run": "hmrl"}, ROW | {"family": "two", "run": "hmrl"}]
    fakes.compare = lambda paths, group, protocol: {"rows": rows, "differences": [], "aggregate": [MEAN]}
    blocks = hmrl("compare", run).out.split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["family one", "family two", "mean over 2 families"]
    assert blocks[0].splitlines()[1].split()[:3] == ["run", "split", "reward"]
    assert blocks[2].splitlines()[1].split() == ["run", "split", "reward", "families", "success"]
    left_out = (
        "left out of the mean, because a family lacks them or their numbers of each task: alone test sparse"
    )
    assert left_out not in blocks[2]
    rows.append(ROW | {"family": "two", "run": "alone"})
    assert hmrl("compare", run).out.endswith(f"\n\n{left_out}\n")
    score = {"mean": 0.5, "low": 0.4, "high": 0.6}
    minus = {
        "run": "a",
        "minus": "b",
        "split": "test",
        "reward": "sparse",
        "pairing": "by task",
        "family": "one",
    }
    minus |= {"return": score, "success": score, "reached": score, "mean_success": score}
    fakes.compare = lambda paths, group, protocol: {"rows": rows, "differences": [minus], "aggregate": []}
    assert "intervals; a difference is the mean of paired differences\n" in hmrl("compare", run).err
    assert "no mean over families" in hmrl("compare", run).out


def test_rows_are_named_after_the_setting_that_groups_them(hmrl, fakes):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    asked = []
    fakes.compare = lambda paths, group, protocol: (
        asked.append(group) or {"rows": [ROW, OTHER], "differences": []}
    )
    table = hmrl("compare", run, "--group", "algorithm.name").out
    assert asked == ["algorithm.name"] and table.split()[:2] == ["algorithm.name", "split"]
    header, first, *_ = hmrl("compare", run, "--group", "algorithm.name", "--csv").out.splitlines()
    assert header.startswith("algorithm.name,split,reward") and first.startswith("hmrl,test,sparse")


def test_other_formats_are_all_of_stdout(hmrl, fakes):
    run = hmrl("meta-train", "room/tiny", "-q").out.strip()
    fakes.compare = lambda paths, group, protocol: {"rows": [ROW, OTHER], "differences": []}
    lines = hmrl("compare", run, "--csv").out.splitlines()
    assert len(lines) == 3 and lines[0].startswith("run,split,reward,seeds") and "adaptation" in lines[0]
    tabular = hmrl("compare", run, "--latex").out
    assert tabular.startswith("% in every row: reward sparse") and tabular.count("\\begin{tabular}") == 1
    assert "maesn\\_repeat & hidden" in tabular and "\x1b" not in tabular
    wrong = hmrl("compare", run, "--csv", "--json")
    assert wrong.code == 2 and "--csv and --json: found together; must be one of them" in wrong.err
