"""Differences between runs, with intervals."""

import numpy as np

from hmrl_cli.report import differences
from hmrl_cli.report import page as pages
from hmrl_cli.report.comparison import compare
from hmrl_cli.report.differences import shown
from tests.evaluation.documents import document, run


def test_runs_without_a_feasible_line_are_compared(tmp_path):
    path = run(tmp_path, "a", document(feasible=None))
    (row,) = compare([path])["rows"]
    assert row["feasible"] is None and row["fraction"] is None and row["flat"] == -5
    page = pages.write([path], tmp_path / "x.html").read_text()
    assert "<th>feasible</th>" not in page and "<th>flat</th>" in page


def test_the_first_run_is_compared_with_each_of_the_others(tmp_path):
    """Tasks differ a lot, arms by a little, and in every task alike."""
    rng = np.random.default_rng(0)
    hard = 10 * rng.normal(size=(1, 4, 1)) + np.zeros((2, 1, 2))
    paths = [
        run(tmp_path, "hmrl", document(hard + 1.0, success=0.75), skills="s"),
        run(tmp_path, "scratch", document(hard, success=0.25), skills="s"),
        run(tmp_path, "flat", document(hard - 1.0, success=0.5)),
    ]
    same, other = compare(paths)["differences"]
    assert (same["run"], same["minus"], same["seeds"]) == ("hmrl", "scratch", "paired")
    assert (other["minus"], other["seeds"], other["split"]) == ("flat", "own", "test")
    for found, by in ((same["return"], 1.0), (other["return"], 2.0), (same["success"], 0.5)):
        np.testing.assert_allclose(list(found.values()), by, atol=1e-9)
    page = pages.write(paths, tmp_path / "x.html").read_text()
    assert "<th>hmrl minus</th>" in page and "<td>scratch</td>" in page and "+1.00 [1.00, 1.00]" in page
    assert compare(paths[:1])["differences"] == []


def test_runs_of_one_name_are_told_apart(tmp_path):
    paths = [run(tmp_path, f"{folder}/hmrl", document()) for folder in "ab"]
    assert [row["run"] for row in compare(paths)["rows"]] == ["a", "b"]


def test_a_small_loss_is_shown_as_no_negative_zero():
    assert shown({"mean": -1e-9, "low": -1e-20, "high": 0.0}) == "0.00 [0.00, 0.00]"
    assert shown({"mean": 0.004, "low": -0.004, "high": 0.01}, sign="+") == "0.00 [0.00, 0.01]"
    assert str(differences._rounded(-0.001)) == "0.0"
