"""Differences between runs, with intervals."""

import json

import numpy as np
import pytest

from hmrl_cli.errors import InputError
from hmrl_cli.report import differences
from hmrl_cli.report import page as pages
from hmrl_cli.report.comparison import compare
from hmrl_cli.report.differences import shown
from tests.storage.documents import document, run


def test_runs_without_a_feasible_line_are_compared(tmp_path):
    path = run(tmp_path, "a", document(feasible=None))
    (row,) = compare([path])["rows"]
    assert row["feasible"] is None and row["fraction"] is None and row["flat"] == -5
    page = pages.write([path], tmp_path / "x.html").read_text()
    assert "<th>feasible</th>" not in page and "<th>flat</th>" in page


def test_reference_lines_of_several_runs_are_told_once(tmp_path):
    """As columns they would make the table wider than a screen."""
    paths = [run(tmp_path, name, document()) for name in "ab"]
    page = pages.write(paths, tmp_path / "x.html").read_text()
    assert "<th>feasible</th>" not in page and "<th>flat</th>" not in page
    assert "Returns without learning: test, sparse: flat -5.0, feasible -5.0." in page


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
    assert (same["run"], same["minus"], same["pairing"]) == ("hmrl", "scratch", "by task and seed")
    assert (other["minus"], other["pairing"], other["split"]) == ("flat", "by task", "test")
    for found, by in ((same["return"], 1.0), (other["return"], 2.0), (other["success"], 0.25)):
        np.testing.assert_allclose(list(found.values()), by, atol=1e-9)
    # rates of eight trials that are as near to 0 and 1 as these are not certain
    assert same["success"]["mean"] == 0.5 and 0 < same["success"]["low"] < 0.5 < same["success"]["high"]
    page = pages.write(paths, tmp_path / "x.html").read_text()
    assert "<th>hmrl minus</th>" in page and "<td>scratch</td>" in page and "+1.00 [1.00, 1.00]" in page
    assert compare(paths[:1])["differences"] == []


def test_mean_success_is_the_mean_of_a_line_through_the_updates():
    """A straight line has the same mean however many updates share the episodes."""
    for count in (2, 3, 11):
        success = np.linspace(0.2, 0.6, count)[None, None] + np.zeros((2, 4, 1))
        np.testing.assert_allclose(differences.mean_success({"per_task": {"success": success}}), 0.4)
    alone = {"per_task": {"success": np.full((2, 4, 1), 0.3)}}
    np.testing.assert_array_equal(differences.mean_success(alone), 0.3)


def test_arms_may_divide_their_episodes_into_other_numbers_of_updates(tmp_path):
    """Of 10 episodes, two updates of 5 or five of 2; another budget is refused, with both of them."""
    often = {"steps": [0, 5], "episodes": 2} | {"adaptation": {"rule": "refit"}}
    paths = [run(tmp_path, "a", document(steps=[0, 2])), run(tmp_path, "b", document(**often))]
    assert len(compare(paths)["differences"]) == 1
    paths.append(run(tmp_path, "c", document(steps=[0, 3])))
    told = r"c: test-sparse: its budget is 3 updates of 5 episodes, that of .*a 2 updates of 5 episodes\n"
    told += (
        r"must have .*; first: hmrl eval \S*c --adapt-steps 2 --episodes 5, then compare with: --protocol "
    )
    with pytest.raises(InputError, match=told):
        compare(paths)


def test_a_way_by_its_settings_is_the_runs_own_where_it_has_these(tmp_path):
    own = run(tmp_path, "own", document(steps=[0, 2]))
    asked = run(tmp_path, "asked", document(steps=[0, 9]))
    as_asked = asked / "eval" / "test-sparse-adapt_steps=2-episodes=5.json"
    as_asked.write_text(json.dumps(document(steps=[0, 2])))
    rows = compare([own, asked], protocol="adapt_steps=2-episodes=5")["rows"]
    assert [row["updates"] for row in rows] == [2, 2]
    fine = {"adaptation": {"rule": "gradient", "imitation.learning_rate": 1e-5}}
    paths = [run(tmp_path, name, document(**fine)) for name in ("fine", "coarse")]
    way = "imitation.learning_rate=1e-05-rule=gradient"
    (paths[1] / "eval" / f"test-sparse-{way}.json").write_text(json.dumps(document(**fine)))
    assert len(compare(paths, protocol=way)["rows"]) == 2  # the number has a hyphen of its own
    only = r"own: holds no evaluation by 'adapt_steps=3'\nit has, by its own settings: without --protocol$"
    with pytest.raises(InputError, match=only):
        compare([own], protocol="adapt_steps=3")


def test_a_run_that_is_not_trained_to_its_end_is_marked(tmp_path):
    half = run(tmp_path, "half", document(epoch=2))
    rows = compare([run(tmp_path, "whole", document()), half])["rows"]
    assert [row["unfinished"] for row in rows] == [None, "epoch 2 of 4"]
    assert "<td>epoch 2 of 4</td>" in pages.write([half], tmp_path / "x.html").read_text()


def test_runs_of_one_name_are_told_apart(tmp_path):
    paths = [run(tmp_path, f"{folder}/hmrl", document()) for folder in "ab"]
    assert [row["run"] for row in compare(paths)["rows"]] == ["a", "b"]


def test_a_small_loss_is_shown_as_no_negative_zero():
    assert shown({"mean": -1e-9, "low": -1e-20, "high": 0.0}) == "0.00 [0.00, 0.00]"
    assert shown({"mean": 0.004, "low": -0.004, "high": 0.01}, sign="+") == "0.00 [0.00, 0.01]"
    assert str(differences._rounded(-0.001)) == "0.0"
