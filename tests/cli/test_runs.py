"""The list of runs as a table and as JSON."""

import json
from pathlib import Path

import pytest

from hmrl_cli.cli import runs


@pytest.fixture
def some(hmrl):
    """Runs of two commands and one that cannot be read."""
    for seed in ("0", "3"):
        hmrl("meta-train", "room/tiny", "-q", "--seed", seed, "--num-seeds", "2", "--name", f"maml-{seed}")
    hmrl("pretrain-skills", "room/tiny", "-q", "--name", "skills-of-a-long-name")
    Path("runs/maml-3/eval").mkdir()
    for name in ("test-sparse-explore", "test-sparse", "hidden-sparse-explore", "train-dense-own"):
        document = {"epoch": 1 if name.startswith("hidden") else 2, "steps": []}
        Path(f"runs/maml-3/eval/{name}.json").write_text(json.dumps(document, indent=1))
    Path("runs/maml-0/status.json").write_text("[")


def test_a_table_of_runs(hmrl, some):
    lines = hmrl("runs").out.splitlines()
    assert lines[0].split() == [
        "name",
        "state",
        "age",
        "command",
        "seeds",
        "preset",
        "family",
        "algorithm",
        "epoch",
        "evaluated",
    ]
    rows = {line.split()[0]: line for line in lines[1:]}
    assert rows["maml-3"].split("  ")[0] == "maml-3" and " complete " in rows["maml-3"]
    assert all(cell in rows["maml-3"] for cell in ("meta-train", "3-4", "point", "maml", "2/2"))
    assert rows["maml-3"].endswith("hidden old, test 2, train")  # the whole names are in --json
    assert "unreadable" in rows["maml-0"] and "pretrain-skills" in rows["skills-of-a-long-name"]
    assert lines[-1].startswith("maml-0: runs/maml-0/status.json: ")
    document = json.loads(hmrl("runs", "--json").out)
    assert document["folder"] == "runs" and len(document["runs"]) == 3
    found = {run["name"]: run for run in document["runs"]}
    assert found["maml-3"]["evaluated"][0] == "hidden-sparse-explore"
    assert found["maml-3"]["preset"] == "room/tiny" and found["maml-0"]["preset"] is None
    assert found["maml-3"]["seeds"] == [3, 4] and found["maml-3"]["run"] == "runs/maml-3"
    assert found["maml-0"]["state"] == "unreadable" and "status.json" in found["maml-0"]["problem"]


@pytest.mark.parametrize("columns", [80, 40])
def test_the_table_fits_and_nothing_is_cut(columns, some, on_a_terminal):
    lines, _ = on_a_terminal(columns, "runs")
    table = [line for line in lines if not line.startswith(("in ", "maml-0: "))]
    text = " ".join(lines)
    assert all(len(line) <= columns for line in table) and "..." not in text and "…" not in text
    for word in ("skills-of-a-long-name", "unreadable", "complete", "2/2"):
        assert word in text
    if columns == 80:  # cells are broken between words before a column is left out
        # and the name has lines of its own
        assert lines[0] == "name"
        assert lines[1].split()[2:] == ["seeds", "preset", "family", "algorithm", "epoch", "evaluated"]
        assert "train" in text and lines[-2] == "in a wider terminal, or with --json: command"


def test_columns_of_one_value_are_a_caption(hmrl, on_a_terminal):
    for seed in ("0", "1"):
        hmrl("meta-train", "room/tiny", "-q", "--seed", seed)
    lines, _ = on_a_terminal(80, "runs")
    assert lines[0].split() == ["name", "state", "age", "seeds", "epoch"]
    assert lines[-1] == "in every row: command meta-train, preset room/tiny, family point, algorithm maml"


def test_no_runs(hmrl):
    assert (hmrl("runs").code, hmrl("runs").out) == (0, "no runs in runs\n")
    assert json.loads(hmrl("runs", "--json").out) == {"folder": "runs", "runs": []}
    wrong = hmrl("runs", "nowhere")
    assert (wrong.code, wrong.error) == (65, ["error: nowhere: is no directory; must be a folder of runs"])


def test_some_of_the_runs(hmrl, some):
    def named(*options):
        return {run["name"] for run in json.loads(hmrl("runs", *options, "--json").out)["runs"]}

    assert named("--state", "unreadable") == {"maml-0"}
    assert named("--state", "unreadable", "--state", "complete", "--only", "maml*") == {"maml-0", "maml-3"}
    assert named("--only", "room/*") == {"maml-3", "skills-of-a-long-name"}  # by the preset
    assert named("--only", "maml-0", "--only", "maml-3") == {"maml-0", "maml-3"}
    assert hmrl("runs", "--only", "nothing").out == "no such runs in runs\n"
    wrong = hmrl("runs", "--state", "done")
    assert wrong.code == 2 and "--state: found 'done'\nmust be one of: running, interrupted" in wrong.err


def test_a_folder_that_was_removed_holds_no_runs(hmrl, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    wrong = hmrl("runs")
    told = "error: the current folder was removed; change to one that exists"
    assert (wrong.code, wrong.error) == (73, [told])
    monkeypatch.chdir(tmp_path)


def test_ages_have_a_unit():
    seconds = (0.4, 59, 60, 3599, 3600, 86_399, 86_400, 1e7)
    told = ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d", "115 d"]
    assert [runs.age(number) for number in seconds] == told
