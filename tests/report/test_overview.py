"""Arms and families at a glance."""

from hmrl_cli.report import overview
from hmrl_cli.report.arms import by_family
from hmrl_cli.report.comparison import compared, read_arms
from hmrl_cli.report.drawing import svg
from tests.storage.documents import document, run


def test_a_row_for_each_arm_and_a_panel_for_each_family(tmp_path):
    rates = {("one", "a"): 0.25, ("one", "b"): 0.5, ("two", "a"): 0.75}
    arms = read_arms(
        [
            run(tmp_path / family, name, document(None, rate, family=family))
            for (family, name), rate in rates.items()
        ]
    )
    rows = overview.rows(by_family(arms), compared(arms)["aggregate"])
    assert [row["run"] for row in rows] == ["a", "b"]
    a, b = rows
    assert a["one"].startswith("0.25 [") and a["two"].startswith("0.75 [")
    assert a[overview.MEAN].startswith("0.50 [") and b["two"] is None and b[overview.MEAN] is None
    drawn = svg(overview.dots, rows, ["a", "b"])
    for text in ("one", "two", overview.MEAN, "test tasks, sparse reward"):
        assert f"<!-- {text} -->" in drawn
