"""Checkpoints: byte-exact, verified, and the last intact one where a newer is damaged."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli import config
from hmrl_cli.errors import ConfigError, InputError, StorageError
from hmrl_cli.storage import arrays_on_disk, checkpoints, reader
from hmrl_cli.storage.metrics import read_metrics
from hmrl_cli.storage.naming import open_run
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import TREE, failing, flip, message, same, trained


def test_checkpoints_are_byte_exact(resolved, tmp_path):
    with RunDir.create(tmp_path / "r", resolved) as run:
        assert run.load(TREE) is None
        trained(run, 3)
    assert checkpoints.epochs(tmp_path / "r" / "checkpoints") == [3, 2]
    template = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), TREE)
    with RunDir.resume(tmp_path / "r", resolved) as run:
        found = run.load(template)
        assert (found.epoch, found.note) == (3, "")
        same(found.tree, TREE)
    same(reader.read_checkpoint(reader.read(tmp_path / "r"), template).tree, TREE)


def test_jax_arrays_are_saved_from_the_device(tmp_path):
    tree = {"w": jnp.arange(3.0), "n": jnp.int32(4)}
    checkpoints.save(tmp_path, 1, tree, "hash")
    same(checkpoints.load(tmp_path, tree, "hash").tree, jax.device_get(tree))


def truncate(file):
    os.truncate(file, file.stat().st_size // 2)


def remove(file):
    file.unlink()


def empty(file):
    os.truncate(file, 0)


@pytest.mark.parametrize("damage", [flip, truncate, remove, empty])
def test_damage_falls_back(tmp_path, damage):
    checkpoints.save(tmp_path, 1, {"w": np.float32([1, 2])}, "hash")
    checkpoints.save(tmp_path, 2, {"w": np.float32([3, 4])}, "hash")
    template = {"w": np.zeros(2, np.float32)}
    files = [p.relative_to(tmp_path) for p in (tmp_path / "2").rglob("*") if p.is_file()]
    assert len(files) >= 5
    for number, file in enumerate(files):
        copy = tmp_path.with_name(f"{tmp_path.name}-{number}")
        shutil.copytree(tmp_path, copy)
        if (copy / file).stat().st_size == 0 and damage is not remove:
            continue
        damage(copy / file)
        found = checkpoints.load(copy, template, "hash")
        assert found.epoch == 1, file
        assert found.tree["w"].tolist() == [1, 2]
        assert "checkpoint 2 is damaged" in found.note
        shutil.rmtree(copy / "1")
        with pytest.raises(InputError) as caught:
            checkpoints.load(copy, template, "hash")
        assert "damaged" in message(caught)


def test_a_run_that_cannot_be_resumed_keeps_its_state(resolved, tmp_path):
    path = tmp_path / "run"
    with RunDir.create(path, resolved) as run:
        run.record(1, {"loss": 1.0})
        run.save(1, TREE)
        run.complete({"loss": 1.0})
    before = (path / "status.json").read_text()
    (path / "checkpoints" / "1" / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="damaged"), RunDir.resume(path, resolved) as run:
        run.load(TREE)
    assert (path / "status.json").read_text() == before
    assert "not resumed: " in (path / "events.log").read_text()


def test_a_damaged_checkpoint_is_set_aside(resolved, tmp_path):
    path = tmp_path / "r"
    with RunDir.create(path, resolved) as run:
        trained(run, 3)
    flip(path / "checkpoints" / "3" / "manifest.json")
    told = []
    with RunDir.resume(path, resolved, note=told.append) as run:
        found = run.load(TREE)
        assert found.epoch == run.epoch == 2
        assert told == [found.note]
        assert len(read_metrics(path)) == 2
        trained(run, 3)
        assert checkpoints.epochs(path / "checkpoints") == [3, 2]
    assert "damaged" in (path / "events.log").read_text()
    assert len(list((path / "checkpoints").glob("3.damaged-*"))) == 1


def test_stray_entries_and_unfinished_saves_are_passed_over(tmp_path):
    for name in ("notes", "12.orbax-checkpoint-tmp", ".9.tmp", "007", "-3", "²"):
        (tmp_path / name).mkdir()
    for name in ("99", ".8.tmp", "1"):
        (tmp_path / name).write_text("a file")
    assert checkpoints.load(tmp_path, TREE, "hash") is None
    checkpoints.save(tmp_path, 1, {"w": np.float32(1)}, "hash")
    assert checkpoints.epochs(tmp_path) == [1]
    assert not (tmp_path / ".9.tmp").exists() and not (tmp_path / ".8.tmp").exists()
    assert (tmp_path / "notes").exists()


def test_saving_an_epoch_again_replaces_it(tmp_path):
    for value in (1, 2):
        checkpoints.save(tmp_path, 1, {"w": np.float32(value)}, "hash")
    assert checkpoints.load(tmp_path, {"w": np.float32(0)}, "hash").tree["w"] == 2


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from hmrl_cli import errors
from hmrl_cli.storage import checkpoints
folder = Path(sys.argv[1])
checkpoints.save(folder, 1, {"w": np.zeros(3, np.float32)}, "hash")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    checkpoints.save(folder, 2, {"w": np.random.rand(100_000).astype(np.float32)}, "hash")
except errors.StorageError as error:
    assert len(str(error).splitlines()) <= 2
    sys.exit(error.exit_code)
"""


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 74, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["1"]
    assert checkpoints.load(tmp_path, {"w": np.zeros(3, np.float32)}, "hash").epoch == 1


@pytest.mark.parametrize("name", ["file_sha256", "reading.open_file"])
def test_a_share_that_does_not_answer_is_no_damage(tmp_path, monkeypatch, name):
    for epoch in (1, 2):
        checkpoints.save(tmp_path, epoch, {"w": np.zeros(2, np.float32)}, "hash")
    monkeypatch.setattr(f"hmrl_cli.storage.manifest.{name}", failing(errno.ESTALE))
    with pytest.raises(StorageError, match=r"2: cannot be read: Stale file handle"):
        checkpoints.fingerprint(tmp_path)
    monkeypatch.setattr(f"hmrl_cli.storage.manifest.{name}", failing(errno.EIO))
    with pytest.raises(InputError, match="checkpoint 2 is damaged"):
        checkpoints.fingerprint(tmp_path)


def stale(monkeypatch, folder, times):
    """Let the first listings of the folder be followed by two saves, which drop all that was listed."""
    real, left = checkpoints.epochs, iter(range(times))

    def epochs(folder):
        listed = real(folder)
        if listed and next(left, None) is not None:
            with monkeypatch.context() as inner:
                inner.setattr(checkpoints, "epochs", real)
                for epoch in (listed[0] + 1, listed[0] + 2):
                    checkpoints.save(folder, epoch, {"w": np.float32([epoch])}, "hash")
        return listed

    monkeypatch.setattr(checkpoints, "epochs", epochs)


def test_what_is_dropped_while_it_is_listed_is_no_damage(tmp_path, monkeypatch):
    template = {"w": np.float32([0])}
    checkpoints.save(tmp_path, 1, {"w": np.float32([1])}, "hash")
    with monkeypatch.context() as patch:
        stale(patch, tmp_path, 2)
        found = checkpoints.load(tmp_path, template, "hash")
    assert (found.epoch, found.tree["w"].tolist(), found.note) == (5, [5], "")
    with monkeypatch.context() as patch:
        stale(patch, tmp_path, 1)
        assert checkpoints.fingerprint(tmp_path)[0] == 7
    stale(monkeypatch, tmp_path, 1000)
    with pytest.raises(InputError, match="replaced faster than they can be read") as caught:
        checkpoints.fingerprint(tmp_path)
    message(caught)


@pytest.mark.parametrize("locks", [True, False])
def test_what_is_read_is_not_dropped(tmp_path, monkeypatch, locks):
    """Where the file system has no locks it is, and then a newer one is read."""
    if not locks:
        monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    real, epoch = arrays_on_disk.read, iter((2, 4))

    def read_slowly(path, manifest):
        first = next(epoch, None)
        for later in (first, first + 1) if first else ():
            checkpoints.save(tmp_path, later, {"w": np.float32([later])}, "hash")
        return real(path, manifest)

    checkpoints.save(tmp_path, 1, {"w": np.float32([1])}, "hash")
    monkeypatch.setattr(arrays_on_disk, "read", read_slowly)
    found = checkpoints.load(tmp_path, {"w": np.float32([0])}, "hash")
    assert (found.epoch, found.note) == ((1, "") if locks else (5, ""))
    assert found.tree["w"].tolist() == [found.epoch]
    checkpoints.save(tmp_path, 9, {"w": np.float32([9])}, "hash")
    assert len(checkpoints.epochs(tmp_path)) == 2 and not list(tmp_path.glob(".*"))


def test_a_path_that_checkpoints_cannot_have_is_refused(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9")  # of an archive made elsewhere
    path.mkdir()
    for refuses in (
        lambda: checkpoints.load(path, {}, "hash"),
        lambda: open_run(config.resolve("meta-train", "point/smoke"), path / "run", resume=False),
    ):
        with pytest.raises(ConfigError, match=r"'.*caf\\udce9.*': holds bytes that are no letters here"):
            refuses()
    assert not any(path.iterdir())
