"""A run on disk: never overwritten, one writer, verified checkpoints, exact metrics."""

import contextlib
import errno
import fcntl
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli import config
from hmrl_cli.cli import main as cli
from hmrl_cli.errors import ConfigError, Diverged, InputError, Interrupted, RunDirError, StorageError
from hmrl_cli.storage import checkpoints, files, manifest, provenance, reader, writer
from hmrl_cli.storage.locks import take_lock
from hmrl_cli.storage.manifest import sha256
from hmrl_cli.storage.metrics import read_metrics
from hmrl_cli.storage.naming import NAME, auto_name, named, open_run
from hmrl_cli.storage.writer import RunDir

PRESET = """
[family]
name = "point"
[training]
epochs = 4
[meta-train.algorithm]
name = "maml"
[pretrain-skills.algorithm]
name = "diayn"
"""
TREE = {
    "params": {"layer/0": np.arange(6, dtype=np.float32).reshape(2, 3), "flag": np.array(True)},
    "count": np.array(3, np.int32),
    "half": np.asarray(jnp.array(1.5, jnp.bfloat16)),
    "empty": np.zeros((0, 3), np.float32),
    "keys": (np.array([1, 2**32 - 1], np.uint32), None),
    "tricky": np.array([-0.0, 1e-45, 3.4e38], np.float32),
}


@pytest.fixture
def preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.toml"
    path.write_text(PRESET)
    return str(path)


@pytest.fixture
def resolved(preset):
    return config.resolve("meta-train", preset)


def trained(run, epochs, tree=TREE):
    for epoch in range(run.epoch + 1, epochs + 1):
        run.record(epoch, {"loss": np.float32(1 / epoch), "return": np.arange(2) * epoch})
        run.save(epoch, tree)


def message(caught):
    text = str(caught.value)
    assert 1 <= len(text.splitlines()) <= 2
    return text


def same(one, other):
    flat = manifest.flatten(other)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for path, leaf in manifest.flatten(one).items():
        assert isinstance(leaf, np.ndarray)
        assert (leaf.dtype, leaf.shape) == (flat[path].dtype, flat[path].shape)
        assert leaf.tobytes() == flat[path].tobytes()


# The directory.


def test_create_writes_what_a_run_depends_on(resolved):
    with open_run(resolved, None, resume=False, argv=["hmrl", "meta-train"]) as run:
        assert str(run.path) == "runs/tiny-seed0"
        assert config.load(run.path / "config.toml") == resolved.experiment
        info = reader.read(run.path)
        assert info.status["state"] == "running"
        assert info.provenance["versions"]["jax"] == jax.__version__
        assert info.provenance["origins"]["training.epochs"].startswith("preset ")
        assert info.provenance["argv"] == ["hmrl", "meta-train"]
        assert info.provenance["seeds"] == [0]
        assert set(info.provenance["machine"]) == {"platform", "devices", "cores", "affinity", "xla_flags"}
        run.complete({"success": 1.0})
    assert reader.read(run.path).status["summary"] == {"success": 1.0}


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


def test_another_environment_is_noted(resolved, tmp_path, monkeypatch):
    path = tmp_path / "r"
    RunDir.create(path, resolved).close()
    told = []
    RunDir.resume(path, resolved, tell=told.append).close()
    assert told == []
    monkeypatch.setattr(os, "cpu_count", lambda: 640)
    RunDir.resume(path, resolved, tell=told.append).close()
    assert "-> 640" in told[0]


@pytest.mark.parametrize(
    ("error", "state"), [(Interrupted(2, signal.SIGTERM), "interrupted"), (Diverged("w", 2), "diverged")]
)
def test_how_it_ended(resolved, tmp_path, error, state):
    with pytest.raises(type(error)), RunDir.create(tmp_path / "r", resolved) as run:
        trained(run, 2)
        raise error
    status = reader.read(tmp_path / "r").status
    assert (status["state"], status["epoch"], status["epochs"]) == (state, 2, 4)
    assert "stopped: " in (tmp_path / "r" / "events.log").read_text()


HOLD = """
import sys, time
from pathlib import Path
from hmrl_cli.storage.locks import take_lock
fd = take_lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_one_writer(resolved, tmp_path):
    path = tmp_path / "r"
    RunDir.create(path, resolved).close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunDirError) as caught:
            RunDir.resume(path, resolved)
        assert f"process {holder.pid} is writing" in message(caught)
        assert reader.read(path).status["state"] == "running"
        holder.kill()
        holder.wait()
    assert reader.read(path).status["state"] == "killed"
    RunDir.resume(path, resolved).close()  # a killed holder's lock is free at once


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


def test_a_folder_of_something_else_is_not_touched(resolved, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunDirError, match="must be a run directory, or a new name"):
        RunDir.resume(tmp_path, resolved)
    assert not (tmp_path / "lock").exists()


def test_a_run_cannot_be_created_where_nothing_can_be_written(resolved):
    with pytest.raises(RunDirError, match="cannot be created"):
        RunDir.create(writer.Path("/proc/run"), resolved)


# Checkpoints.


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
    same(reader.read_checkpoint(tmp_path / "r", template).tree, TREE)


def test_jax_arrays_are_saved_from_the_device(tmp_path):
    tree = {"w": jnp.arange(3.0), "n": jnp.int32(4)}
    checkpoints.save(tmp_path, 1, tree, "hash")
    same(checkpoints.load(tmp_path, tree, "hash").tree, jax.device_get(tree))


@pytest.mark.parametrize(
    ("name", "leaf"),
    [
        ("count", np.array(3, np.int64)),
        ("count", np.array(3, np.float32)),
        ("count", np.array([3], np.int32)),
        ("half", np.array(1.5, np.float16)),
        ("more", np.array(1)),
        ("count", None),
    ],
)
def test_strict_comparison(tmp_path, name, leaf):
    tree = {"count": TREE["count"], "half": TREE["half"]}
    checkpoints.save(tmp_path, 1, tree, "hash")
    with pytest.raises(InputError) as caught:
        checkpoints.load(tmp_path, tree | {name: leaf}, "hash")
    assert name in message(caught)
    with pytest.raises(InputError, match="another configuration"):
        checkpoints.load(tmp_path, tree, "other hash")


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


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


def test_every_bit_of_the_manifest_counts(tmp_path):
    checkpoints.save(tmp_path, 1, {"w": np.float32([1, 2])}, "hash")
    manifest = tmp_path / "1" / "manifest.json"
    intact = manifest.read_bytes()
    template = {"w": np.zeros(2, np.float32)}
    for position in range(0, len(intact), 7):
        content = bytearray(intact)
        content[position] ^= 4
        manifest.write_bytes(content)
        with contextlib.suppress(InputError):
            assert checkpoints.load(tmp_path, template, "hash").tree["w"].tolist() == [1, 2]


HOSTILE = {
    "a file above": lambda manifest: manifest["files"].update({"../secret": sha256(b"secret")}),
    "a file elsewhere": lambda manifest: manifest["files"].update(
        {str(writer.Path(__file__)): files.file_sha256(writer.Path(__file__))}
    ),
    "a link to itself": lambda manifest: manifest["files"].update({"loop": "0"}),
    "a device": lambda manifest: manifest["files"].update({"/dev/zero": "0"}),
    "a link": lambda manifest: manifest["files"].update({"link": sha256(b"secret")}),
    "no name": lambda manifest: manifest["files"].update({"\0": "0"}),
    "a missing key": lambda manifest: manifest.pop("leaves"),
    "another kind": lambda manifest: manifest.update(files=[]),
    "a leaf that is none": lambda manifest: manifest["leaves"].update(w=[1]),
    "another schema": lambda manifest: manifest.update(schema=2),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_manifest_leads_to_nothing_but_its_checkpoint(tmp_path, change):
    """Not even one that vouches for itself."""
    folder, tree = tmp_path / "checkpoints", {"w": np.float32([1, 2])}
    checkpoints.save(folder, 1, tree, "hash")
    (tmp_path / "checkpoints" / "secret").write_text("secret")
    (folder / "1" / "link").symlink_to(folder / "secret")
    (folder / "1" / "loop").symlink_to(folder / "1" / "loop")
    file = folder / "1" / "manifest.json"
    manifest = json.loads(file.read_text())["manifest"]
    change(manifest)
    digest = sha256(json.dumps(manifest, sort_keys=True).encode())
    file.write_text(json.dumps({"sha256": digest, "manifest": manifest}))
    with pytest.raises(InputError, match="checkpoint 1 is damaged"):
        checkpoints.load(folder, tree, "hash")


def test_a_damaged_checkpoint_is_set_aside(resolved, tmp_path):
    path = tmp_path / "r"
    with RunDir.create(path, resolved) as run:
        trained(run, 3)
    flip(path / "checkpoints" / "3" / "manifest.json")
    told = []
    with RunDir.resume(path, resolved, tell=told.append) as run:
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


# Metrics.


def test_metrics_are_cut_at_the_checkpoint(resolved, tmp_path):
    path = tmp_path / "r"
    with RunDir.create(path, resolved) as run:
        trained(run, 4)
        expected = (path / "metrics.jsonl").read_bytes()
    shutil.rmtree(path / "checkpoints" / "4")
    with (path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"epoch": 5, "los')
    assert [line["epoch"] for line in read_metrics(path)] == [1, 2, 3, 4]
    with RunDir.resume(path, resolved) as run:
        assert run.load(TREE).epoch == 3
        assert len(read_metrics(path)) == 3
        trained(run, 4)
    assert (path / "metrics.jsonl").read_bytes() == expected


def test_metrics_are_cut_to_nothing_without_a_checkpoint(resolved, tmp_path):
    with RunDir.create(tmp_path / "r", resolved) as run:
        run.record(1, {"loss": 1})
    with RunDir.resume(tmp_path / "r", resolved) as run:
        assert run.load(TREE) is None
    assert (tmp_path / "r" / "metrics.jsonl").read_bytes() == b""


def test_lost_metrics_are_an_error(resolved, tmp_path):
    with RunDir.create(tmp_path / "r", resolved) as run:
        trained(run, 2)
    (tmp_path / "r" / "metrics.jsonl").unlink()
    with (
        pytest.raises(InputError, match="must reach epoch 2"),
        RunDir.resume(tmp_path / "r", resolved) as run,
    ):
        run.load(TREE)


def test_a_damaged_line_costs_no_other(resolved, tmp_path):
    path = tmp_path / "r"
    with RunDir.create(path, resolved) as run:
        trained(run, 3)
    lines = (path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (path / "metrics.jsonl").write_bytes(lines[0] + b"?" + lines[1] + lines[2])
    with pytest.raises(InputError, match="or the next line is damaged"), RunDir.resume(path, resolved) as run:
        run.load(TREE)
    assert (path / "metrics.jsonl").read_bytes().endswith(lines[2])


@pytest.mark.parametrize("bad", [np.nan, np.inf, np.float32([0, -np.inf])])
def test_a_metric_that_is_not_finite_diverges(resolved, tmp_path, bad):
    with pytest.raises(Diverged, match="metric loss"), RunDir.create(tmp_path / "r", resolved) as run:
        run.record(1, {"loss": bad})
    assert reader.read(tmp_path / "r").status["state"] == "diverged"


def test_tensorboard_is_never_fatal(resolved, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX.record_writer", None)
    with RunDir.create(tmp_path / "r", resolved) as run:
        trained(run, 2)
    assert (tmp_path / "r" / "events.log").read_text().count("no TensorBoard from epoch 1") == 1


def test_tensorboard_gives_up_on_a_full_disk(resolved, tmp_path):
    """In the thread that trains: one of its own could die, and leave the training to wait for it."""
    metrics = {f"metric{number}": number for number in range(20)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with RunDir.create(tmp_path / "r", resolved) as run:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))
        try:
            for epoch in range(1, 100):
                run.record(epoch, metrics)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(read_metrics(tmp_path / "r")) == 99
    assert (tmp_path / "r" / "events.log").read_text().count("no TensorBoard from epoch") == 1


def test_tensorboard_has_the_metrics(resolved, tmp_path):
    with RunDir.create(tmp_path / "r", resolved) as run:
        trained(run, 2)
    (file,) = (tmp_path / "r" / "tb").iterdir()
    assert b"return/1" in file.read_bytes()


# Skills.


def finished_skills(preset, path, sets=(), complete=True):
    with RunDir.create(path, config.resolve("pretrain-skills", preset, sets)) as run:
        trained(run, 1)
        if complete:
            run.complete({})
    return str(path)


def test_skills_are_checked(preset, tmp_path):
    def refusal(skills):
        experiment = config.resolve("meta-train", preset, flags={"hierarchy.skills": skills}).experiment
        with pytest.raises(InputError) as caught:
            reader.check_skills(experiment)
        return message(caught)

    good = finished_skills(preset, tmp_path / "good")
    experiment = config.resolve("meta-train", preset, flags={"hierarchy.skills": good}).experiment
    reader.check_skills(experiment)
    assert "is no directory" in refusal("nowhere")
    assert "config.toml" in refusal(str(tmp_path))
    assert "must be complete" in refusal(finished_skills(preset, tmp_path / "half", complete=False))
    foreign = finished_skills(preset, tmp_path / "foreign", ["family.name=sparse_point"])
    assert "family 'sparse_point'; must be of 'point'" in refusal(foreign)
    RunDir.create(tmp_path / "meta", config.resolve("meta-train", preset)).close()
    assert "is a run of meta-train" in refusal(str(tmp_path / "meta"))


def test_a_run_of_before_there_was_a_setting_is_read_and_resumed(resolved, tmp_path):
    path = tmp_path / "r"
    RunDir.create(path, resolved).close()
    text = (path / "config.toml").read_text()
    (path / "config.toml").write_text("".join(x for x in text.splitlines(True) if "latent_std" not in x))
    with RunDir.resume(path, resolved) as run:
        trained(run, 2)
    assert reader.read_checkpoint(path, TREE).epoch == 2
    (path / "config.toml").write_text(text.replace("seed = 0", "seed = 1"))
    with pytest.raises(InputError, match="another configuration"):
        reader.read_checkpoint(path, TREE)


def test_changed_skills_stop_a_resumed_run(preset, tmp_path):
    skills = finished_skills(preset, tmp_path / "skills")
    resolved = config.resolve("meta-train", preset, flags={"hierarchy.skills": skills})
    with RunDir.create(tmp_path / "r", resolved) as run:
        assert reader.read(run.path).provenance["skills"]["epoch"] == 1
    RunDir.resume(tmp_path / "r", resolved).close()
    shutil.rmtree(skills)
    finished_skills(preset, tmp_path / "skills", ["training.seed=1"])
    with pytest.raises(InputError) as caught:
        RunDir.resume(tmp_path / "r", resolved)
    assert "has changed since this run began" in message(caught)


def test_the_record_of_the_skills_is_checked(preset, tmp_path):
    skills = finished_skills(preset, tmp_path / "skills")
    resolved = config.resolve("meta-train", preset, flags={"hierarchy.skills": skills})
    RunDir.create(tmp_path / "r", resolved).close()
    file = tmp_path / "r" / "skills.toml"
    assert reader.read_skills(tmp_path / "r") == reader.read(tmp_path / "skills").experiment
    file.write_text(file.read_text().replace("seed = 0", "seed = 1"))
    with pytest.raises(InputError, match="is not of the skills that this run began with"):
        reader.read_skills(tmp_path / "r")
    file.unlink()
    with pytest.raises(InputError, match=r"skills.toml"):
        reader.read_skills(tmp_path / "r")


def test_damaged_skills_give_no_older_ones(preset, tmp_path, monkeypatch):
    """Before a directory is made, and the run that they are of can be resumed to have them again."""
    resolved = config.resolve("pretrain-skills", preset)
    with RunDir.create(tmp_path / "skills", resolved) as run:
        trained(run, 4)
        run.complete({})
        assert run.is_complete
    skills = str(tmp_path / "skills")
    meta = config.resolve("meta-train", preset, flags={"hierarchy.skills": skills})
    reader.check_skills(meta.experiment)
    whole = checkpoints.fingerprint(tmp_path / "skills" / "checkpoints")
    flip(tmp_path / "skills" / "checkpoints" / "4" / "manifest.json")
    for act in (lambda: reader.check_skills(meta.experiment), lambda: RunDir.create(tmp_path / "r", meta)):
        with pytest.raises(
            InputError, match=r"checkpoint 4 is damaged.*\nto restore it: .* --resume"
        ) as caught:
            act()
        message(caught)
    assert cli.run(["meta-train", preset, "--skills", skills, "--run-dir", "r", "--dry-run"]) == 65
    assert not (tmp_path / "r").exists()
    with RunDir.resume(tmp_path / "skills", resolved) as run:
        assert not run.is_complete and run.load(TREE).epoch == 3
        trained(run, 4)
        run.complete({})
    assert checkpoints.fingerprint(tmp_path / "skills" / "checkpoints") == whole
    reader.check_skills(meta.experiment)


def test_a_complete_run_without_checkpoints_is_not_trained_again(resolved, tmp_path):
    with RunDir.create(tmp_path / "r", resolved) as run:
        trained(run, 4)
        run.complete({})
        shutil.rmtree(tmp_path / "r" / "checkpoints" / "4")
        assert not run.is_complete  # an earlier one is there to go on from
        shutil.rmtree(tmp_path / "r" / "checkpoints" / "3")
        assert run.is_complete


# Readers beside a writer, and what becomes of the directory meanwhile.


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
    real, epoch = checkpoints._read_arrays, iter((2, 4))

    def read_slowly(path, manifest):
        first = next(epoch, None)
        for later in (first, first + 1) if first else ():
            checkpoints.save(tmp_path, later, {"w": np.float32([later])}, "hash")
        return real(path, manifest)

    checkpoints.save(tmp_path, 1, {"w": np.float32([1])}, "hash")
    monkeypatch.setattr(checkpoints, "_read_arrays", read_slowly)
    found = checkpoints.load(tmp_path, {"w": np.float32([0])}, "hash")
    assert (found.epoch, found.note) == ((1, "") if locks else (5, ""))
    assert found.tree["w"].tolist() == [found.epoch]
    checkpoints.save(tmp_path, 9, {"w": np.float32([9])}, "hash")
    assert len(checkpoints.epochs(tmp_path)) == 2 and not list(tmp_path.glob(".*"))


def test_a_run_that_ends_while_it_is_looked_at_was_not_killed(resolved, tmp_path, monkeypatch):
    run = RunDir.create(tmp_path / "r", resolved)

    def is_locked(path):
        run.complete({})
        run.close()
        return False

    monkeypatch.setattr(reader, "is_locked", is_locked)
    assert reader.read(tmp_path / "r").status["state"] == "complete"


def failing(number):
    def fail(*arguments, **more):
        raise OSError(number, os.strerror(number))

    return fail


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
    assert "--resume" in message(caught)
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


@pytest.mark.parametrize("step", ["_write_arrays", "write_manifest"])
def test_a_run_that_goes_away_while_it_is_saved_is_not_begun_anew(resolved, tmp_path, monkeypatch, step):
    """Before Orbax writes, which makes the folders it needs, or after."""
    real = getattr(checkpoints, step)

    def write(*arguments):
        moved(tmp_path / "r")
        real(*arguments)

    with RunDir.create(tmp_path / "r", resolved) as run:
        trained(run, 1)
        monkeypatch.setattr(checkpoints, step, write)
        with pytest.raises(RunDirError, match="was moved"):
            run.save(2, TREE)
    assert not (tmp_path / "r").exists()


# File systems that have less, and directories that cannot begin.


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP])
def test_without_locks_and_forcing_of_folders_a_run_goes_on(resolved, tmp_path, monkeypatch, number):
    real, told = os.fsync, []

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(fcntl, "flock", failing(number))
    with open_run(resolved, tmp_path / "r", resume=False, tell=told.append) as run:
        trained(run, 3)
        assert reader.read(tmp_path / "r").status["state"] == "running"  # it cannot be told
        run.complete({})
    assert len(told) == 2 and "has no locks" in told[0] and "forcing of folders" in told[1]
    assert (tmp_path / "r" / "events.log").read_text().count("has no") == 2
    same(reader.read_checkpoint(tmp_path / "r", TREE).tree, TREE)


@pytest.mark.parametrize("call", ["flock", "fsync"])
def test_a_broken_disk_is_no_lacking_file_system(resolved, tmp_path, monkeypatch, call):
    with monkeypatch.context() as patch:
        patch.setattr(fcntl if call == "flock" else os, call, failing(errno.EIO))
        with pytest.raises(StorageError, match="Input/output error") as caught:
            open_run(resolved, tmp_path / "r", resume=False)
        message(caught)
    assert not (tmp_path / "r").exists()


def test_a_reader_that_looks_for_the_lock_keeps_no_writer_out(resolved, tmp_path, monkeypatch):
    RunDir.create(tmp_path / "r", resolved).close()
    with (tmp_path / "r" / "lock").open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        monkeypatch.setattr("time.sleep", lambda seconds: fcntl.flock(reader, fcntl.LOCK_UN))
        RunDir.resume(tmp_path / "r", resolved).close()


def test_what_could_not_begin_is_not_in_the_way(resolved, tmp_path):
    path = tmp_path / "r"
    for error in (InputError("skills"), MemoryError(), StorageError("full")):
        with pytest.raises(type(error)), RunDir.create(path, resolved):
            raise error
        assert not path.exists()
    with pytest.raises(InputError), RunDir.create(path, resolved):
        (path / "notes").write_text("mine")
        raise InputError("skills")
    assert (path / "notes").read_text() == "mine"
    for later in (Interrupted(0, signal.SIGTERM), Diverged("w", 1)):
        with pytest.raises(type(later)), RunDir.create(tmp_path / type(later).__name__, resolved):
            raise later
        assert (tmp_path / type(later).__name__ / "config.toml").is_file()
    with pytest.raises(StorageError), RunDir.create(tmp_path / "s", resolved) as run:
        trained(run, 1)
        raise StorageError("full")
    assert reader.read(tmp_path / "s").status["state"] == "interrupted"


def test_no_run_lies_in_another(resolved, preset, tmp_path, capsys):
    RunDir.create(tmp_path / "r", resolved).close()
    for inside in (tmp_path / "r" / "x", tmp_path / "r" / "checkpoints" / "new" / "x"):
        with pytest.raises(RunDirError, match="lies in the run") as caught:
            open_run(resolved, inside, resume=True)
        message(caught)
        assert cli.run(["meta-train", preset, "--run-dir", str(inside), "--dry-run"]) == 73
    assert not (tmp_path / "r" / "x").exists()


# Interrupted in every way, in processes of their own.

TRAINER = """
import sys, time
import numpy as np
from hmrl_cli import errors
from hmrl_cli.cli import main as cli
from hmrl_cli.runner import startup
from hmrl_cli.runner import train as deed

def train(resolved, run, resume, shows, stop):
    tree = {"w": np.zeros(50, np.float32), "n": np.array(0, np.int32)}
    found = run.load(tree) if resume else None
    epoch, tree = (found.epoch, found.tree) if found else (0, tree)
    for epoch in range(epoch + 1, resolved.experiment.training.epochs + 1):
        noise = np.random.default_rng(epoch).normal(size=50).astype(np.float32)
        tree = {"w": tree["w"] * np.float32(0.9) + noise, "n": tree["n"] + 1}
        run.record(epoch, {"loss": tree["w"].mean(), "n": tree["n"]})
        print(epoch, file=sys.stderr, flush=True)
        if epoch % 3 == 0 or stop():
            run.save(epoch, tree)
        if stop():
            raise errors.Interrupted(epoch, stop())
        time.sleep(0.02)
    run.save(epoch, tree)
    return {"sum": float(tree["w"].sum())}

deed.train, deed.check = train, lambda resolved: {}
startup.prepare = lambda: ""
cli.main()
"""


def train_in_a_process(preset, name, *more, stop_at=None, by=None):
    """Run to the end, or send a signal once an epoch is reached; the exit code and stdout."""
    command = [sys.executable, "-c", TRAINER, "meta-train", preset, "--name", name, "-q", *more]
    command += ["--set", "training.epochs=40"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        if stop_at is not None:
            for line in process.stderr:
                if line.strip() == str(stop_at):
                    process.send_signal(by)
                    break
        out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.returncode, out


def test_killed_and_resumed_is_as_never_killed(preset, tmp_path):
    assert train_in_a_process(preset, "whole") == (0, "runs/whole\n")
    code, out = train_in_a_process(preset, "cut", stop_at=8, by=signal.SIGKILL)
    assert (code, out) == (-signal.SIGKILL, "")
    assert reader.read(tmp_path / "runs" / "cut").status["state"] == "killed"
    code, out = train_in_a_process(preset, "cut", "--resume", stop_at=20, by=signal.SIGTERM)
    assert (code, out) == (75, "")
    assert reader.read(tmp_path / "runs" / "cut").status["state"] == "interrupted"
    assert train_in_a_process(preset, "cut", "--resume") == (0, "runs/cut\n")
    whole, cut = tmp_path / "runs" / "whole", tmp_path / "runs" / "cut"
    assert (whole / "metrics.jsonl").read_bytes() == (cut / "metrics.jsonl").read_bytes()
    assert checkpoints.fingerprint(whole / "checkpoints") == checkpoints.fingerprint(cut / "checkpoints")
    assert reader.read(whole).status["summary"] == reader.read(cut).status["summary"]


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", range(1, 40, 2))
def test_killed_at_any_time(preset, tmp_path, stop_at):
    train_in_a_process(preset, "cut", stop_at=stop_at, by=signal.SIGKILL)
    train_in_a_process(preset, "cut", "--resume", stop_at=min(stop_at + 7, 39), by=signal.SIGKILL)
    assert train_in_a_process(preset, "cut", "--resume")[0] == 0
    train_in_a_process(preset, "whole")
    whole, cut = tmp_path / "runs" / "whole", tmp_path / "runs" / "cut"
    assert (whole / "metrics.jsonl").read_bytes() == (cut / "metrics.jsonl").read_bytes()
    assert checkpoints.fingerprint(whole / "checkpoints") == checkpoints.fingerprint(cut / "checkpoints")


@pytest.mark.parametrize("call", ["fsync", "rename", "replace"])
def test_any_failing_call_leaves_a_run_that_resumes(resolved, tmp_path, monkeypatch, call):
    """The n-th forcing to disk or renaming fails, for every n of a short training."""
    real = getattr(os, call)
    for fails_at in range(1, 100):
        calls = iter(range(1, 1000))

        def fail(*args, calls=calls, fails_at=fails_at, **kwargs):
            if next(calls) == fails_at:
                raise OSError(errno.EIO, "Input/output error")
            return real(*args, **kwargs)

        path = tmp_path / f"run{fails_at}"
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            try:
                with RunDir.create(path, resolved) as run:
                    trained(run, 1, {"w": np.float32([1])})
                    run.complete({})
            except (StorageError, RunDirError) as error:
                assert len(str(error).splitlines()) <= 2
            else:
                break
        with open_run(resolved, path, resume=True) as run:  # anew, where it could not begin
            run.load({"w": np.float32([0])})
            trained(run, 2, {"w": np.float32([1])})
        assert [line["epoch"] for line in read_metrics(path)] == [1, 2]
    assert fails_at > 1
