"""Where arms explored."""

import pytest

from hmrl_cli.report import maps
from hmrl_cli.report.drawing import svg
from tests.report.test_figures import arm
from tests.storage.documents import document

EXPLORED = {"cell": 0.5, "counts": ["-1 0 3", "2 1 1"], "goals": [[[1.0, 0.0, 0.2]], [[0.0, 1.0, 0.2]]] * 2}


def test_what_was_recorded_is_drawn_and_the_rest_is_named():
    arms = [arm("new", document(explored=EXPLORED)), arm("old", document())]
    found = maps.recorded(arms)
    assert list(found) == ["new"]
    assert maps.missing(arms) == ["Not recorded, before hmrl eval is run again: old."]
    assert maps.missing(arms[:1]) == []
    assert "the goals are speeds" in maps.missing(arms[1:])[0]
    drawn = svg(maps.explored, found)
    assert drawn.count("<image ") == 1 and "data:image/png;base64," in drawn
    for text in ("new", "x in m", "goal, met by all seeds", "goal, met by none"):
        assert f"<!-- {text} -->" in drawn
    assert "<!-- y in m -->" in drawn
    beside = svg(maps.explored, {"beside": document(explored=EXPLORED | {"upward": True})})
    assert "<!-- z in m -->" in beside
    most = document(explored=EXPLORED | {"counts": [f"0 0 {10**15 - 1}"]})  # that a document may tell
    assert svg(maps.explored, {"most": most}).count("<image ") == 1
    assert svg(maps.explored, {"still": document(explored=EXPLORED | {"counts": []})}).count("<image ") == 0


@pytest.mark.parametrize("arms", [1, 2, 5, 6])
def test_titles_are_within_the_figure(arms):
    figure = maps.explored({f"arm {number}": document(explored=EXPLORED) for number in range(arms)})
    figure.draw_without_rendering()
    tops = [axis.title.get_window_extent().y1 for axis in figure.axes]
    assert 0 < max(tops) <= figure.bbox.y1
