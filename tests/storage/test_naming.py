"""Names of runs: never overwritten, resumed by name or by equal configuration."""

import os

import pytest

from hmrl_cli import config
from hmrl_cli.errors import ConfigError, RunDirError
from hmrl_cli.storage.naming import NAME, auto_name, named, open_run
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
