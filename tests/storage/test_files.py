"""Files replaced as a whole, on file systems of any kind."""

import errno
import fcntl
import json
import os
import stat

import pytest

from hmrl_cli.errors import StorageError
from hmrl_cli.storage import files, reader
from hmrl_cli.storage.naming import open_run
from tests.storage.runs import TREE, failing, message, same, trained


def test_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "status.json"
    files.write_json(path, {"epoch": 1})

    def broken(*args):
        raise OSError(errno.EIO, "Input/output error")

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, broken)
            if call == "replace":
                patch.setattr("pathlib.Path.replace", broken)
            with pytest.raises(StorageError, match="Input/output error"):
                files.write_json(path, {"epoch": 2})
        assert json.loads(path.read_text()) == {"epoch": 1}
        assert [p.name for p in tmp_path.iterdir()] == ["status.json"]


def test_a_replaced_file_is_forced_to_disk_with_its_folder(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files, "sync", synced.append)
    files.write_json(tmp_path / "status.json", {})
    assert synced == [tmp_path]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP])
def test_without_locks_and_forcing_of_folders_a_run_goes_on(resolved, tmp_path, monkeypatch, number):
    real, told = os.fsync, []

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(fcntl, "flock", failing(number))
    with open_run(resolved, tmp_path / "r", resume=False, note=told.append) as run:
        trained(run, 3)
        assert reader.read(tmp_path / "r").status["state"] == "running"  # it cannot be told
        run.complete({})
    assert len(told) == 2 and "has no locks" in told[0] and "forcing of folders" in told[1]
    assert (tmp_path / "r" / "events.log").read_text().count("has no") == 2
    same(reader.read_checkpoint(reader.read(tmp_path / "r"), TREE).tree, TREE)


@pytest.mark.parametrize("call", ["flock", "fsync"])
def test_a_broken_disk_is_no_lacking_file_system(resolved, tmp_path, monkeypatch, call):
    with monkeypatch.context() as patch:
        patch.setattr(fcntl if call == "flock" else os, call, failing(errno.EIO))
        with pytest.raises(StorageError, match="Input/output error") as caught:
            open_run(resolved, tmp_path / "r", resume=False)
        message(caught)
    assert not (tmp_path / "r").exists()
