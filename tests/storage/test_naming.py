"""Names of runs: never overwritten, resumed by name or by equal configuration."""

import os
from pathlib import Path

import pytest

from hmrl_cli import config
from hmrl_cli.errors import ConfigError, InputError, RunDirError
from hmrl_cli.storage import upstream
from hmrl_cli.storage.naming import NAME, auto_name, check_run, named, open_run
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import message


def test_never_overwritten(resolved, tmp_path):
    path = tmp_path / "runs" / "mine"
    RunDir.create(path, resolved).close()
    before = (path / "provenance.json").read_bytes()
    with pytest.raises(RunDirError) as caught:
        open_run(resolved, path, resume=False)
    assert "--resume" in message(caught) and "--name" in message(caught)
    assert (path / "provenance.json").read_bytes() == before


def test_names(resolved, preset):
    opened = [open_run(resolved, None, resume=False) for _ in range(3)]
    assert [run.path.name for run in opened] == ["tiny-seed0", "tiny-seed0-2", "tiny-seed0-3"]
    for run in opened:
        run.close()
    again = config.resolve("meta-train", "runs/tiny-seed0-2/config.toml", flags={"training.seed": 5})
    assert auto_name(again) == "tiny-seed5"
    assert auto_name(resolved._replace(preset="ant_goal/hmrl")) == "ant_goal-hmrl-seed0"
    assert NAME.fullmatch(auto_name(resolved._replace(preset="./ü/[x]/.toml")))
    for bad in ("", ".x", "a/b", "a" * 101, "a\n", "[red]", "../x"):
        with pytest.raises(ConfigError):
            named(bad)
    assert str(named("a.B-1")) == "runs/a.B-1"


@pytest.mark.parametrize("name", ["c/x", "runs/c/x"])
def test_a_name_in_a_folder_is_told_the_option_for_it(name):
    with pytest.raises(ConfigError) as caught:
        named(name)
    assert message(caught).endswith("\nfor a folder: --run-dir runs/c/x")


def test_another_process_may_take_a_name_meanwhile(resolved, preset, monkeypatch):
    """Both choose the same name, and each gets a run."""
    create, raced = RunDir.create, []

    def late(path, *rest):
        if not raced:
            raced.append(create(path, *rest))  # the other process
        return create(path, *rest)

    monkeypatch.setattr(RunDir, "create", late)
    with open_run(resolved, None, resume=False) as run:
        assert (raced[0].path.name, run.path.name) == ("tiny-seed0", "tiny-seed0-2")
    raced[0].close()


def test_what_is_no_name_that_is_taken_is_not_tried_again(resolved, preset, monkeypatch):
    RunDir.create(Path("runs"), resolved).close()
    with pytest.raises(RunDirError) as caught:
        open_run(resolved, None, resume=False)
    assert "lies in the run" in message(caught)


def test_a_check_refuses_what_a_run_would_and_writes_nothing(resolved, preset, tmp_path, monkeypatch):
    sources = upstream.open_sources(resolved.experiment)
    path = tmp_path / "deep" / "r"
    check_run(resolved, path, False, sources)
    check_run(resolved, None, True, sources)
    assert not path.parent.exists() and not Path("runs").exists()
    open_run(resolved, path, resume=False).close()
    check_run(resolved, path, True, sources)
    other = config.resolve("meta-train", preset, ["training.epochs=5"])
    for checks in (lambda: check_run(other, path, True, sources), lambda: open_run(other, path, True)):
        with pytest.raises(ConfigError, match=r"training.epochs: found 5, where the run has 4\nto resume"):
            checks()
    status = (path / "status.json").read_bytes()
    (path / "status.json").write_text("{")
    with pytest.raises(InputError, match="no valid JSON"):
        check_run(resolved, path, True, sources)
    (path / "status.json").write_bytes(status)
    (path / "config.toml").rename(path / "gone.toml")
    with pytest.raises(RunDirError, match=r"holds no config.toml"):
        check_run(resolved, path, True, sources)
    (tmp_path / "file").touch()
    with pytest.raises(RunDirError, match="file is no folder"):
        check_run(resolved, tmp_path / "file" / "r", False, sources)
    monkeypatch.setattr(os, "access", lambda folder, mode: False)
    for place in (tmp_path / "new" / "r", None):
        with pytest.raises(RunDirError, match=r"cannot be created: .* cannot be written to"):
            check_run(resolved, place, False, sources)


def test_resume_without_a_name_takes_the_newest_equal_run(resolved, preset):
    other = config.resolve("meta-train", preset, ["training.epochs=9"])
    for which in (resolved, resolved, other):
        open_run(which, None, resume=False).close()
    os.utime("runs/tiny-seed0-2/config.toml", ns=(2**62, 2**62))
    with open_run(resolved, None, resume=True) as run:
        assert run.path.name == "tiny-seed0-2"
    with open_run(other, None, resume=True) as run:
        assert run.path.name == "tiny-seed0-3"
    third = config.resolve("meta-train", preset, ["training.epochs=10"])
    with open_run(third, None, resume=True) as run:
        assert run.path.name == "tiny-seed0-4"


def test_resume_wants_the_same_configuration(resolved, preset, tmp_path):
    path = tmp_path / "r"
    open_run(resolved, path, resume=True).close()  # a missing directory starts afresh
    other = config.resolve("meta-train", preset, ["training.epochs=5"])
    with pytest.raises(ConfigError) as caught:
        open_run(other, path, resume=True)
    assert message(caught).startswith("training.epochs: found 5, where the run has 4")
    open_run(resolved, path, resume=True).close()  # the lock was let go
