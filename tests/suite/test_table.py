"""Results of a suite: seeds pooled, an arm in a row, a family in a column."""

import numpy as np
import pytest

from hmrl_cli.errors import InputError
from hmrl_cli.report.comparison import compare
from hmrl_cli.suite import table
from hmrl_cli.suite.cells import cells
from hmrl_cli.suite.states import states
from tests.storage.documents import document
from tests.suite.stand_in import TINY, finish
from tests.suite.test_declaration import ONE

FAMILIES = ["point", "sparse_point"]


def results_of(found, folder):
    return table.results(table.evaluated(found, states(found, folder), folder))


def returns(seeds, better=0.0):
    return np.random.default_rng(0).normal(size=(3, 4, 2))[list(seeds)] + better


@pytest.fixture
def finished(read, tmp_path):
    """A suite of two seeds in runs of their own, all of it done; arms have other numbers of updates."""
    found = cells(read(TINY.replace("seeds = 2", "seeds = 2\nseeds_per_run = 1")))
    for cell in found:
        content = None
        if cell.kind == "eval":
            is_hmrl = cell.arm == "hmrl"
            content = document(
                returns(cell.seeds, float(is_hmrl)),
                success=0.75 if is_hmrl else 0.25,
                family=cell.family,
                split=cell.result.rpartition("/")[2].partition("-")[0],
                epoch=2,
                num_seeds=1,
                episodes=10 if is_hmrl else 5,
            )
        finish(cell, tmp_path, content)
    return found


def test_seeds_are_pooled_and_a_family_is_a_column(finished, tmp_path):
    result = results_of(finished, tmp_path)
    assert len(result["rows"]) == 8 and {row["seeds"] for row in result["rows"]} == {2}
    assert {(one["run"], one["minus"]) for one in result["differences"]} == {("hmrl", "maesn")}
    row = next(row for row in result["rows"] if (row["run"], row["split"]) == ("maesn", "test"))
    runs = [tmp_path / f"meta/point/maesn/seed{seed}" for seed in (0, 1)]
    assert row in compare(runs, "algorithm.name")["rows"]
    rows = table.matrix(result, FAMILIES, "success")
    assert [(row["arm"], row["split"]) for row in rows] == [
        *(("hmrl", "test"), ("hmrl", "train"), ("maesn", "test"), ("maesn", "train"))
    ]
    assert list(rows[0]) == ["arm", "split", "reward", *FAMILIES, "mean"]
    assert rows[0]["point"].startswith("0.75 [") and rows[0]["mean"].startswith("0.75 [")
    assert "mean" not in table.matrix(result, FAMILIES, "return")[0]
    result["rows"].reverse()
    arms = [row["arm"] for row in table.matrix(result, FAMILIES, "success", best_first=True)]
    assert arms == ["hmrl", "hmrl", "maesn", "maesn"]


def test_points_that_lack_a_family_come_last(finished, tmp_path):
    """Families are not equally hard, so their mean is no match for one over all."""
    result = results_of(finished, tmp_path)
    result["rows"] = [row for row in result["rows"] if (row["run"], row["family"]) != ("hmrl", "point")]
    arms = [row["arm"] for row in table.matrix(result, FAMILIES, "success", best_first=True)]
    assert arms == ["maesn", "maesn", "hmrl", "hmrl"]


def test_what_is_not_done_is_left_out(finished, tmp_path):
    for cell in finished:
        is_gone = cell.arm == "hmrl" or cell.seeds == (0,) or "train" in cell.result
        if cell.family == "point" and cell.kind == "eval" and is_gone:
            (tmp_path / cell.result).unlink()
    rows = table.matrix(results_of(finished, tmp_path), FAMILIES, "success")
    assert [(row["arm"], bool(row["point"])) for row in rows if row["split"] == "test"] == [
        *(("hmrl", False), ("maesn", True))
    ]
    assert list(rows[0])[3:5] == FAMILIES and rows[0]["sparse_point"]
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(InputError, match="no evaluation of the suite yet"):
        table.evaluated(finished, states(finished, elsewhere), elsewhere)


def test_a_damaged_evaluation_is_left_out(finished, tmp_path):
    """That of a cell, and one that is no cell's."""
    cell = next(one for one in finished if (one.family, one.arm, one.kind) == ("point", "hmrl", "eval"))
    (tmp_path / cell.result).write_text("{")
    (tmp_path / cell.run / "eval" / "hidden-sparse.json").write_text("{")
    rows = results_of(finished, tmp_path)["rows"]
    seeds = {(row["run"], row["split"]): row["seeds"] for row in rows if row["family"] == "point"}
    assert seeds.pop(("hmrl", "test")) == 1 and {*seeds.values()} == {2}
    (tmp_path / cell.result).write_text('{"epoch": 2}')  # which is no damaged JSON
    with pytest.raises(InputError, match=r"test-sparse\.json: is no evaluation .*\n.*: remove it, and then"):
        results_of(finished, tmp_path)


def test_ways_and_points_have_rows_of_their_own(read, tmp_path):
    text = ONE + '[eval]\nprotocol = ["own", "fast"]\n[grid]\nalgorithm.num_train_tasks = [4, 5]\n'
    found = cells(read(f"{text}[protocols.fast]\nset.evaluation.num_tasks = 1\n"))
    for cell in found:
        done = document(family="point", epoch=2, split="train")
        finish(cell, tmp_path, done if cell.kind == "eval" else None)
    arms = table.evaluated(found, states(found, tmp_path), tmp_path)
    names = [f"maesn, num_train_tasks-{number}, {way}" for number in (4, 5) for way in ("own", "fast")]
    assert [(arm.name, len(arm.documents)) for arm in arms] == [(name, 1) for name in names]


def test_arms_on_other_tasks_are_compared_with_their_likes(read, tmp_path):
    """Where settings of the family differ, tasks may; where they are equal, other tasks are a fault.

    The reward of training does not count: an evaluation names its own.
    """
    text = ONE
    for name, horizon in (("again", 20), ("short", 10), ("short_again", 10)):
        text += f'[arms.{name}]\npreset = "point/smoke"\nset.family.horizon = {horizon}\n'
    text += 'set.family.reward = "sparse"\n'
    found = cells(read(text))

    def finished_with(tasks):
        for cell in found:
            done = document(family="point", epoch=2, split="test", tasks_sha256=tasks.get(cell.arm, "ab"))
            finish(cell, tmp_path, done if cell.kind == "eval" else None)
        return results_of(found, tmp_path)

    result = finished_with({"short": "cd", "short_again": "cd"})
    pairs = [(one["run"], one["minus"]) for one in result["differences"]]
    assert pairs == [("maesn", "again"), ("short", "short_again")] and len(result["rows"]) == 4
    with pytest.raises(InputError, match=r"short_again.*its tasks are not those of .*short"):
        finished_with({"short": "cd"})
