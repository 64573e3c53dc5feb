"""Figures and numbers as files."""

import pytest

from hmrl_cli.errors import ConfigError
from hmrl_cli.report import folder
from hmrl_cli.report.drawing import grid
from hmrl_cli.report.elements import drawn
from tests.storage.documents import document, run


def test_every_figure_is_svg_and_pdf_and_every_table_csv(tmp_path):
    out = tmp_path / "deep" / "figures"
    one = drawn("curves", "A label", "A caption.", lambda: grid(1, 1)[0])
    folder.check(out)
    folder.write(out, [one], {"results": [{"run": "a", "success": 0.5}], "none": []})
    folder.check(out)  # is ours now
    assert {file.name for file in out.iterdir()} == {
        "captions.txt",
        "curves.svg",
        "curves.pdf",
        "results.csv",
    }
    assert (out / "curves.pdf").read_bytes().startswith(b"%PDF")
    assert (out / "results.csv").read_text() == "run,success\na,0.5\n"
    assert "A caption." in (out / "captions.txt").read_text()
    (out / "mine.csv").write_text("of the user")
    folder.write(out, [], {"other": [{"run": "b"}]})  # of another page: nothing of the first stays
    assert {file.name for file in out.iterdir()} == {"captions.txt", "other.csv", "mine.csv"}


def test_a_folder_of_others_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.csv").write_text("")
    with pytest.raises(ConfigError, match=r"--figures: .*mine holds files of others; must be a new"):
        folder.check(tmp_path / "mine")
    with pytest.raises(ConfigError, match="and is no folder"):
        folder.check(tmp_path / "mine" / "results.csv")
    path = run(tmp_path, "a", document())
    (path / "lock").touch()
    with pytest.raises(ConfigError, match="lies in the run"):
        folder.check(path / "figures")
