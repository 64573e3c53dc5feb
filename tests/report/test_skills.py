"""Skills on a page: numbers, picture and player."""

import html
import json
import re

from hmrl_cli.report import skills, viewer
from tests.report.test_viewer import HOSTILE, document


def of_skills(folder):
    folder.mkdir()
    numbers = {"epoch": 1, "accuracy": [0.25, 0.75], "arrived": [[1.0, 0.5], [0.5, 0.5]], "place": [[[0.0]]]}
    (folder / "skills.json").write_text(json.dumps(numbers))
    (folder / "skills.svg").write_text('<svg id="figure_1"><path d="M 1.23456 2\nL 3 4"/></svg>')
    (folder / "skills.html").write_text(viewer.page(document("skill 0", HOSTILE[0])))
    return folder


def test_numbers_picture_and_player(tmp_path):
    part = skills.part([("a<b>", of_skills(tmp_path / "a"))], 10**6)
    assert "<th>accuracy</th><th>arrived</th>" in part
    assert "<td>0.50 (0.25 to 0.75)</td><td>0.62 (0.50 to 0.75)</td>" in part
    assert 'd="M 1.23 2\nL 3 4"' in part and 'aria-label="Paths of the skills of a&lt;b&gt;"' in part
    (frame,) = re.findall(r"<iframe (.*?)></iframe>", part, re.DOTALL)
    assert 'sandbox="allow-scripts"' in frame and 'title="Player of the skills of a&lt;b&gt;"' in frame
    page = html.unescape(re.search('srcdoc="(.*?)"', frame, re.DOTALL)[1])
    assert page == viewer.page(document("skill 0", HOSTILE[0])) and "<script" not in part


def test_what_has_no_room_is_named(tmp_path):
    path = of_skills(tmp_path / "a")
    part = skills.part([("a", path)], 60)
    assert "<iframe" not in part and "<svg" not in part
    assert f"<code>{path / 'skills.svg'}</code>" in part and f"<code>{path / 'skills.html'}</code>" in part
    (path / "skills.html").write_text("broken")
    (path / "skills.svg").unlink()
    assert "<figure" not in skills.part([("a", path)], 10**6)
