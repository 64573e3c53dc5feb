"""Lists of runs: every state in a word, every run once, nothing that ends the list."""

import datetime
import json
import os
import shutil

import pytest

from hmrl_cli import config
from hmrl_cli.errors import Diverged, InputError
from hmrl_cli.storage import listing
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import trained

NOW = datetime.datetime(2026, 1, 3, tzinfo=datetime.UTC)


def created(path, day):
    file = path / "provenance.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"created": f"2026-01-0{day}T00:00:00+00:00"}))


def by_name(folder):
    return {run["name"]: run for run in listing.runs(folder, NOW)}


def test_states_and_what_a_run_is(preset, resolved, tmp_path):
    folder = tmp_path / "runs"
    with RunDir.create(folder / "whole", resolved) as run:
        trained(run, 4)
        run.complete({})
    (folder / "whole" / "eval").mkdir()
    for name, epoch in {"test-sparse.json": 4, "hidden-dense.json": 2, "notes.txt": 1}.items():
        (folder / "whole" / "eval" / name).write_text(json.dumps({"epoch": epoch, "steps": []}, indent=1))
    for name, error in (("stopped", RuntimeError), ("a/b/apart", lambda: Diverged("w", 2))):
        with pytest.raises((RuntimeError, Diverged)), RunDir.create(folder / name, resolved) as run:
            trained(run, 1)
            raise error()
    seeds = config.resolve("pretrain-skills", preset, ["training.seed=3", "training.num_seeds=2"])
    dead = RunDir.create(folder / "dead", seeds)
    dead.close()
    with RunDir.create(folder / "live", resolved):
        found = by_name(folder)
        states = {name: run["state"] for name, run in found.items()}
    assert states == {
        "whole": "complete",
        "stopped": "interrupted",
        "a/b/apart": "diverged",
        "dead": "killed",
        "live": "running",
    }
    whole = found["whole"]
    assert whole["evaluated"] == ["hidden-dense", "test-sparse"] and (whole["epoch"], whole["epochs"]) == (
        4,
        4,
    )
    assert whole["outdated"] == ["hidden-dense"]
    assert (whole["command"], whole["family"], whole["algorithm"]) == ("meta-train", "point", "maml")
    assert whole["run"] == str(folder / "whole") and whole["problem"] is None
    assert (found["dead"]["seeds"], found["dead"]["command"]) == ([3, 4], "pretrain-skills")
    assert found["stopped"]["epoch"] == 1
    json.dumps(found, allow_nan=False)


def test_a_link_to_itself_hides_nothing(resolved, tmp_path):
    RunDir.create(tmp_path / "runs" / "one", resolved).close()
    (tmp_path / "runs" / "loop").symlink_to("loop")
    assert [run["name"] for run in listing.runs(tmp_path / "runs", NOW)] == ["one"]


def test_the_youngest_comes_first_by_its_provenance(resolved, tmp_path):
    folder = tmp_path / "runs"
    for name, day in (("old", 1), ("young", 2), ("future", 9)):
        RunDir.create(folder / name, resolved).close()
        created(folder / name, day)
    found = listing.runs(folder, NOW)
    assert [(run["name"], run["age"]) for run in found] == [("future", 0), ("young", 86400), ("old", 172800)]
    for odd in ('{"created": 3}', '{"created": "yesterday"}', "{}"):  # the age of its configuration, then
        (folder / "old" / "provenance.json").write_text(odd)
        os.utime(folder / "old" / "config.toml", (NOW.timestamp() - 5, NOW.timestamp() - 5))
        assert by_name(folder)["old"]["age"] == 5


def test_what_cannot_be_read_is_a_row_that_says_why(resolved, tmp_path):
    folder = tmp_path / "runs"
    for name in ("status", "plugin", "edited", "config", "pipe", "lost", "results"):
        RunDir.create(folder / name, resolved).close()
    (folder / "status" / "status.json").write_text("{")
    text = (folder / "plugin" / "config.toml").read_text()
    (folder / "plugin" / "config.toml").write_text(text.replace('name = "maml"', 'name = "gone"'))
    (folder / "plugin" / "provenance.json").unlink()
    (folder / "edited" / "config.toml").write_text(text.replace("seed = 0", "seed = 1"))
    (folder / "config" / "config.toml").write_bytes(b"\xff\x00")
    (folder / "pipe" / "status.json").unlink()
    os.mkfifo(folder / "pipe" / "status.json")
    (folder / "lost" / "config.toml").unlink()
    for name in ("lock", "status.json", "provenance.json", "events.log"):
        (folder / "results" / name).unlink()
    (folder / "foreign").mkdir()
    (folder / "foreign" / "config.toml").write_text("[server]\nport = 1\n")
    found = by_name(folder)
    assert found["results"]["state"] == "unknown" and found["results"]["algorithm"] == "maml"
    del found["results"]
    for name, problem in {
        "status": "status.json: is no valid JSON",
        "plugin": "algorithm.name: found 'gone'",
        "edited": "config.toml: was edited; must be as",
        "config": "config.toml",
        "pipe": "status.json: cannot be read: is a pipe",
        "lost": "lost: holds no config.toml",
        "foreign": "names no family",
    }.items():
        run = found.pop(name)
        assert run["state"] == "unreadable" and problem in run["problem"], (name, run["problem"])
        assert "\n" not in run["problem"] and run["epoch"] is None and run["seeds"] == []
    assert found == {}


def test_an_algorithm_in_a_file_is_no_problem(resolved, tmp_path):
    """Its code is not run, and provenance.json tells the command."""
    RunDir.create(tmp_path / "run", resolved).close()
    text = (tmp_path / "run" / "config.toml").read_text()
    (tmp_path / "run" / "config.toml").write_text(text.replace('name = "maml"', 'name = "./mine.py"'))
    file = tmp_path / "run" / "provenance.json"
    kept = json.loads(file.read_text())
    del kept["config_hash"]  # of the other configuration
    file.write_text(json.dumps(kept))
    found = by_name(tmp_path)["run"]
    assert (found["command"], found["algorithm"], found["problem"]) == ("meta-train", "./mine.py", None)


def test_every_run_is_listed_once_and_nothing_in_it(resolved, tmp_path, monkeypatch):
    folder = tmp_path / "runs"
    RunDir.create(folder / "one", resolved).close()
    shutil.copytree(folder / "one", folder / ".hidden" / "two")
    shutil.copytree(folder / ".hidden" / "two", folder / "one" / "checkpoints" / "copy")
    (folder / "around").symlink_to(folder)
    (folder / "nowhere").symlink_to(folder / "nothing")
    assert [run["name"] for run in listing.runs(folder, NOW)] == ["one"]
    assert [run["name"] for run in listing.runs(folder / "one", NOW)] == ["one"]
    with pytest.raises(InputError, match="is no directory; must be a folder of runs"):
        listing.runs(folder / "one" / "config.toml", NOW)
    scandir = os.scandir

    def refuses(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    (folder / "closed").mkdir()
    monkeypatch.setattr(os, "scandir", refuses)
    closed = by_name(folder)["closed"]
    assert (
        closed["state"] == "unreadable" and "closed: cannot be listed: Permission denied" in closed["problem"]
    )
