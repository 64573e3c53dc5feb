"""What is compared with what, and how it is drawn."""

import numpy as np

from hmrl_cli.report.arms import by_family
from hmrl_cli.report.comparison import read_arms
from hmrl_cli.report.drawing import svg
from hmrl_cli.report.profiles import compared, improvement_rows, profile_rows, profiles
from tests.storage.documents import FEASIBLE, FLAT, document, run


def arms_of(folder, rates, families=("one", "two"), **changes):
    """Arms whose every return goes so far of the way from flat to feasible."""
    paths = []
    for family in families:
        for name, rate in rates.items():
            returned = np.array(FLAT) + rate * (np.array(FEASIBLE) - np.array(FLAT))
            scores = np.broadcast_to(returned[None, :, None], (2, 4, 2))
            paths.append(run(folder / family, name, document(scores, rate, family=family, **changes)))
    return read_arms(paths)


def test_arms_of_all_families_are_compared_over_them(tmp_path):
    found = compared(by_family(arms_of(tmp_path, {"a": 0.75, "b": 0.25, "c": 0.25})))
    (one,) = found
    assert (one.families, one.split, one.reward, one.kind) == (("one", "two"), "test", "sparse", "fraction")
    profile = one.profiles["a"]
    assert profile["mean"][profile["tau"] < 0.74].min() == 1 and profile["mean"][-1] == 0
    wins = {(row["x"], row["y"]): row["probability"]["mean"] for row in one.improvements}
    assert wins == {("a", "b"): 1.0, ("a", "c"): 1.0, ("b", "c"): 0.5}
    rows = improvement_rows(found)
    assert rows[0]["families"] == "one two" and rows[0]["numbers"]["probability"]["mean"] == 1.0
    assert len(profile_rows(found)) == 3 * 51
    drawn = svg(profiles, found, ["a", "b", "c"])
    assert drawn.count("<!-- a &gt; b -->") == 1 and "<!-- P(X &gt; Y) -->" in drawn


def test_families_without_two_arms_in_common_are_compared_alone(tmp_path):
    arms = arms_of(tmp_path, {"a": 0.5, "b": 0.5}) + arms_of(tmp_path / "x", {"c": 0.5}, ("three",))
    found = compared(by_family(arms))
    assert [one.families for one in found] == [("one",), ("two",)]
    assert compared(by_family(arms[:1])) == []


def test_arms_with_other_tasks_have_profiles_and_no_improvement(tmp_path):
    """And without a feasible line, scores are success rates."""
    arms = arms_of(tmp_path, {"a": 0.5, "b": 0.5}, ("one",), feasible=None)
    arms[1] = arms[1]._replace(documents=[{**arms[1].documents[0], "tasks_sha256": "x"}])
    (one,) = compared(by_family(arms))
    assert one.kind == "success" and one.improvements == [] and {*one.profiles} == {"a", "b"}


def test_with_other_reference_lines_arms_have_no_improvement(tmp_path):
    """Other tasks then have a fraction."""
    arms = arms_of(tmp_path, {"a": 0.5, "b": 0.5}, ("one",))
    short = document(family="one", feasible=[-1.0, -4.0, -3.0, -1.0])
    arms[1] = arms[1]._replace(documents=[{**short, "flat": -4.0}])
    (one,) = compared(by_family(arms))
    assert one.kind == "fraction" and one.improvements == []
