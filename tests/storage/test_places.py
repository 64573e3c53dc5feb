"""Where a run may begin: no foreign folder, none inside another run."""

import errno
from pathlib import Path

import pytest

from hmrl_cli.cli import main as cli
from hmrl_cli.errors import InputError, RunDirError, StorageError
from hmrl_cli.storage import reader, writer
from hmrl_cli.storage.naming import open_run
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import message


def test_resume_of_a_run_killed_before_it_began(resolved, tmp_path):
    path = tmp_path / "r"
    RunDir.create(path, resolved).close()
    (path / "config.toml").unlink()
    (path / ".config.toml.123.tmp").write_text("[fam")
    RunDir.resume(path, resolved).close()
    assert (path / "config.toml").is_file()
    assert not list(path.glob("*.tmp"))


def test_resume_refuses_a_foreign_directory(resolved, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "diary").write_text("dear")
    with pytest.raises(RunDirError, match=r"config\.toml"):
        RunDir.resume(tmp_path / "home", resolved)


def test_directories_that_cannot_be_created(resolved, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirError, match="cannot be created") as caught:
        RunDir.create(tmp_path / "file" / "run", resolved)
    message(caught)

    def full(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.mkdir", full)
    with pytest.raises(StorageError, match="No space left"):
        RunDir.create(tmp_path / "run", resolved)


def test_a_folder_of_something_else_is_not_touched(resolved, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunDirError, match="must be a run directory, or a new name"):
        RunDir.resume(tmp_path, resolved)
    assert not (tmp_path / "lock").exists()


def test_a_run_cannot_be_created_where_nothing_can_be_written(resolved):
    with pytest.raises(RunDirError, match="cannot be created"):
        RunDir.create(writer.Path("/proc/run"), resolved)


def test_a_run_that_is_not_there_is_looked_for_under_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("runs/hmrl", "runs/point-maesn-seed0", "suite/meta/seed0"):
        Path(name).mkdir(parents=True)
        Path(name, "config.toml").touch()
    (tmp_path / "file").touch()

    def told(path):
        with pytest.raises(InputError) as caught:
            reader.read(Path(path))
        return message(caught)

    assert told("hmrl") == "hmrl: does not exist; did you mean 'runs/hmrl'? (see: hmrl runs)"
    assert "did you mean 'runs/point-maesn-seed0'?" in told("runs/point-maesn-seed1")
    assert "did you mean 'suite/meta/seed0'?" in told("suite/meta/seed1")
    assert told("maml") == "maml: does not exist; must be a run directory (see: hmrl runs)"
    assert told("file") == "file: holds no config.toml; must be a run directory (see: hmrl runs)"


def test_no_run_lies_in_another(resolved, preset, tmp_path, capsys):
    RunDir.create(tmp_path / "r", resolved).close()
    for inside in (tmp_path / "r" / "x", tmp_path / "r" / "checkpoints" / "new" / "x"):
        with pytest.raises(RunDirError, match="lies in the run") as caught:
            open_run(resolved, inside, resume=True)
        message(caught)
        assert cli.run(["meta-train", preset, "--run-dir", str(inside), "--dry-run"]) == 73
    assert not (tmp_path / "r" / "x").exists()
