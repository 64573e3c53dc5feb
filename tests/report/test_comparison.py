"""Runs that met the same tasks are compared, on a page that stands alone."""

import json

import pytest

from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.report import page as pages
from hmrl_cli.report.comparison import compare
from hmrl_cli.runner import evaluate
from hmrl_cli.runner.progress import Silent
from hmrl_cli.storage import reader
from tests.evaluation.documents import document, run

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


def test_reports_compare_what_met_the_same_tasks_and_stand_alone(runs, tmp_path):
    for name in ("maml", "maesn"):
        evaluate.evaluate(reader.read(runs / name), split="test", progress=Silent())
    compared = compare([runs / "maml", runs / "maesn"])
    rows = compared["rows"]
    assert {(row["run"], row["split"]) for row in rows} >= {("maml", "test"), ("maesn", "test")}
    assert ("maml", "maesn", "test") in {
        (one["run"], one["minus"], one["split"]) for one in compared["differences"]
    }
    assert {row["adaptation"] for row in rows} >= {"own update"}
    other = runs / "maesn" / "eval" / "test-sparse.json"
    document = json.loads(other.read_text())
    document["adaptation"] |= {"rule": "refit", "imitation_steps": 2}
    other.write_text(json.dumps(document))
    (row,) = [row for row in compare([runs / "maesn"])["rows"] if row["split"] == "test"]
    assert row["adaptation"] == "rule refit, imitation_steps 2"
    assert row["env_steps"] == document["env_steps"][-1] > 0
    page = pages.write([runs / "maml", runs / "maesn", runs / "diayn"], tmp_path / "r.html").read_text()
    assert page.count("<svg") == 2 and "default-src 'none'" in page and "<script" not in page
    assert not [link for link in page.split('"') if link.startswith("http") and "w3.org" not in link]
    with pytest.raises(InputError, match="diayn: is a run of skills, which do not adapt"):
        pages.write([runs / "diayn"], tmp_path / "skills.svg")
    with pytest.raises(ConfigError, match=r"-o: found 'r.pdf'; must end in .html"):
        pages.write([runs / "maml"], tmp_path / "r.pdf")
    assert pages.write([runs / "maml"], tmp_path / "r.svg").read_text().startswith("<svg")
    assert (
        page == pages.write([runs / "maml", runs / "maesn", runs / "diayn"], tmp_path / "s.html").read_text()
    )
    newest = runs / "maml" / "checkpoints" / "4"
    newest.rename(tmp_path / "4")
    with pytest.raises(InputError, match="is of epoch 4, and not of the newest checkpoint, 2") as caught:
        compare([runs / "maml"])
    assert str(caught.value).endswith(" --reward sparse")
    (tmp_path / "4").rename(newest)
    other.write_text(json.dumps(document | {"tasks_sha256": "0"}))
    with pytest.raises(InputError, match="test-sparse: its tasks are not those of the other runs"):
        compare([runs / "maml", runs / "maesn"])


def test_a_protocol_is_compared_alone(tmp_path):
    """By its name, or by what differs; without one, the run's own."""
    paths = [run(tmp_path, name, document()) for name in ("a", "b")]
    ways = {"explore": {"name": "explore"}, "episodes=9": {"changed": {"episodes": 9}}}
    for way, asked in ways.items():
        changed = json.dumps(document(episodes=9, protocol=asked))
        (paths[0] / "eval" / f"test-sparse-{way}.json").write_text(changed)
        assert [row["episodes"] for row in compare(paths[:1], way)["rows"]] == [9]
        assert pages.write(paths[:1], tmp_path / "r.html", way).read_text().count("<td>9</td>") == 1
    assert [row["episodes"] for row in compare(paths)["rows"]] == [5, 5]
    with pytest.raises(
        InputError, match=r"b: holds no evaluation by 'explore'; first: hmrl eval .*b --protocol"
    ):
        compare(paths, "explore")
    with pytest.raises(InputError, match=r"by 'explroe'; did you mean 'explore'.*\n.*: episodes=9, explore"):
        compare(paths, "explroe")
    (paths[0] / "eval" / "test-sparse.json").unlink()
    with pytest.raises(InputError, match="a: holds no evaluation by its own settings; first: hmrl eval"):
        pages.write(paths[:1], tmp_path / "r.html")
    (paths[0] / "eval" / "test-sparse-explore.json").unlink()
    assert compare(paths[:1])["rows"][0]["episodes"] == 9  # a quick look is all that there is
