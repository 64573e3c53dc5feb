"""The guide on the command line."""

import json
import sys

from hmrl_cli.cli import main
from tests.test_docs import GUIDE, TOPICS


def test_guide_lists_topics_and_shows_pages(capsys):
    assert main.run(["guide"]) == 0
    listed = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in listed] == sorted(TOPICS)
    assert main.run(["guide", "runs"]) == 0
    assert capsys.readouterr().out == GUIDE["runs"].read_text()


def test_guide_as_json(capsys):
    assert main.run(["guide", "--json"]) == 0
    assert {row["topic"] for row in json.loads(capsys.readouterr().out)["topics"]} == TOPICS
    assert main.run(["guide", "skills", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == GUIDE["skills"].read_text()


def test_guide_is_formatted_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    assert main.run(["guide", "families"]) == 0
    shown = capsys.readouterr().out
    assert "Task families" in shown and "# Task families" not in shown and "<!--" not in shown
    assert "…" not in shown and "half_cheetah" in shown  # words are folded, and not cut


def test_an_unknown_topic_is_told(capsys):
    assert main.run(["guide", "skill"]) == 2
    error = capsys.readouterr().err
    assert "did you mean 'skills'?" in error and "must be one of: bonuses, " in error
