"""A run's directory that is moved, removed or replaced while it is written."""

import shutil

import pytest

from hmrl_cli.errors import RunDirError
from hmrl_cli.storage import arrays_on_disk, checkpoints, provenance
from hmrl_cli.storage.locks import take_lock
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import TREE, message, trained


def removed(path):
    shutil.rmtree(path)


def moved(path):
    path.rename(path.with_name("elsewhere"))


def replaced(path):
    path.rename(path.with_name("elsewhere"))
    shutil.copytree(path.with_name("elsewhere"), path)


def begun_anew(path):
    shutil.rmtree(path)
    path.mkdir()
    take_lock(path).close()


def unlocked(path):
    (path / "lock").unlink()


@pytest.mark.parametrize("away", [removed, moved, replaced, begun_anew, unlocked])
def test_a_run_that_went_away_is_written_to_no_more(resolved, tmp_path, away):
    path = tmp_path / "r"
    with pytest.raises(RunDirError) as caught, RunDir.create(path, resolved) as run:
        trained(run, 1)
        away(path)
        before = contents(path)
        for write in (
            lambda: run.record(2, {"loss": 1}),
            lambda: run.save(2, TREE),
            lambda: run.event("x"),
            lambda: run.complete({}),
            lambda: run.load(TREE),
            run.check,
        ):
            with pytest.raises(RunDirError, match="was moved, removed or replaced"):
                write()
        trained(run, 2)
    assert "hmrl resume" in message(caught)
    assert contents(path) == before
    if away is moved:
        RunDir.resume(tmp_path / "elsewhere", resolved).close()


def test_a_run_that_is_begun_anew_while_it_begins_is_left_alone(resolved, tmp_path, monkeypatch):
    def collect(*arguments):
        begun_anew(tmp_path / "r")
        return {}

    monkeypatch.setattr(provenance, "collect", collect)
    with pytest.raises(RunDirError, match="was moved, removed or replaced"):
        RunDir.create(tmp_path / "r", resolved)
    assert [file.name for file in (tmp_path / "r").iterdir()] == ["lock"]


def contents(path):
    return {str(file): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_run_behind_a_link_that_leads_elsewhere_is_written_to_no_more(resolved, tmp_path):
    for name in ("a", "b"):
        RunDir.create(tmp_path / name, resolved).close()
    (tmp_path / "r").symlink_to("a")
    with RunDir.resume(tmp_path / "r", resolved) as run:
        (tmp_path / "r").unlink()
        (tmp_path / "r").symlink_to("b")
        with pytest.raises(RunDirError, match="was moved"):
            run.save(1, TREE)
    assert not list((tmp_path / "b" / "checkpoints").iterdir())


@pytest.mark.parametrize("step", [(arrays_on_disk, "write"), (checkpoints, "write_manifest")])
def test_a_run_that_goes_away_while_it_is_saved_is_not_begun_anew(resolved, tmp_path, monkeypatch, step):
    """Before Orbax writes, which makes the folders it needs, or after."""
    real = getattr(*step)

    def write(*arguments):
        moved(tmp_path / "r")
        real(*arguments)

    with RunDir.create(tmp_path / "r", resolved) as run:
        trained(run, 1)
        monkeypatch.setattr(*step, write)
        with pytest.raises(RunDirError, match="was moved"):
            run.save(2, TREE)
    assert not (tmp_path / "r").exists()
