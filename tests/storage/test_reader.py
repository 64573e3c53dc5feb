"""Runs as they are read: skills checked, states told, hostile files refused by name."""

import json
import os
import socket

import pytest

from hmrl_cli import config
from hmrl_cli.cli import main as cli
from hmrl_cli.errors import HmrlError, InputError
from hmrl_cli.lazy import np
from hmrl_cli.storage import checkpoints, provenance, reader, upstream
from hmrl_cli.storage.metrics import read_metrics
from hmrl_cli.storage.writer import RunDir
from tests.mutants import mutants, refused
from tests.storage.runs import TREE, finished_skills, flip, message, trained


def test_skills_are_checked(preset, tmp_path):
    def refusal(skills):
        experiment = config.resolve("meta-train", preset, flags={"hierarchy.skills": skills}).experiment
        with pytest.raises(InputError) as caught:
            upstream.open_skills(experiment)
        return message(caught)

    good = finished_skills(preset, tmp_path / "good")
    experiment = config.resolve("meta-train", preset, flags={"hierarchy.skills": good}).experiment
    upstream.open_skills(experiment)
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
    with pytest.raises(InputError, match="was edited; must be as it was when the run began"):
        reader.read(path)
    provenance = json.loads((path / "provenance.json").read_text())
    provenance["config_hash"] = reader.read_written(path).config_hash
    (path / "provenance.json").write_text(json.dumps(provenance))
    with RunDir.resume(path, resolved) as run:
        trained(run, 2)
    assert reader.read_checkpoint(reader.read(path), TREE).epoch == 2
    (path / "provenance.json").unlink()
    (path / "config.toml").write_text(text.replace("seed = 0", "seed = 1"))
    with pytest.raises(InputError, match="another configuration"):
        reader.read_checkpoint(reader.read(path), TREE)


def test_a_run_without_a_checkpoint_is_refused_with_the_next_command(resolved, tmp_path):
    path = tmp_path / "r"
    RunDir.create(path, resolved).close()
    run = reader.read(path)
    for state, remedy in (
        ("killed", f"to go on: hmrl resume {path}"),
        ("running", "its training has not reached the first one"),
        ("diverged", "to try again: another --seed, or a smaller learning rate"),
    ):
        with pytest.raises(InputError) as caught:
            reader.read_checkpoint(run._replace(status={"state": state}), TREE)
        assert message(caught).endswith(
            f"has no checkpoint yet; must be a run that has reached one\n{remedy}"
        )


def test_the_record_of_the_skills_is_checked(preset, tmp_path):
    skills = finished_skills(preset, tmp_path / "skills")
    resolved = config.resolve("meta-train", preset, flags={"hierarchy.skills": skills})
    RunDir.create(tmp_path / "r", resolved).close()
    file = tmp_path / "r" / "skills.toml"
    assert reader.read_skills(reader.read(tmp_path / "r")) == reader.read(tmp_path / "skills").experiment
    file.write_text(file.read_text().replace("seed = 0", "seed = 1"))
    with pytest.raises(InputError, match="is not of the skills that this run began with"):
        reader.read_skills(reader.read(tmp_path / "r"))
    file.unlink()
    with pytest.raises(InputError, match=r"skills.toml"):
        reader.read_skills(reader.read(tmp_path / "r"))


def test_damaged_skills_give_no_older_ones(preset, tmp_path, monkeypatch):
    """Before a directory is made, and the run that they are of can be resumed to have them again."""
    resolved = config.resolve("pretrain-skills", preset)
    with RunDir.create(tmp_path / "skills", resolved) as run:
        trained(run, 4)
        run.complete({})
        assert run.is_complete
    skills = str(tmp_path / "skills")
    meta = config.resolve("meta-train", preset, flags={"hierarchy.skills": skills})
    upstream.open_skills(meta.experiment)
    whole = checkpoints.fingerprint(tmp_path / "skills" / "checkpoints")
    flip(tmp_path / "skills" / "checkpoints" / "4" / "manifest.json")
    for act in (lambda: upstream.open_skills(meta.experiment), lambda: RunDir.create(tmp_path / "r", meta)):
        with pytest.raises(
            InputError, match=r"checkpoint 4 is damaged.*\nto restore it: hmrl resume .*skills"
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
    upstream.open_skills(meta.experiment)


def test_a_run_that_ends_while_it_is_looked_at_was_not_killed(resolved, tmp_path, monkeypatch):
    run = RunDir.create(tmp_path / "r", resolved)

    def is_locked(path):
        run.complete({})
        run.close()
        return False

    monkeypatch.setattr(reader, "is_locked", is_locked)
    assert reader.read(tmp_path / "r").status["state"] == "complete"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run over skills, and what it resumes with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(
        '[family]\nname = "point"\n[training]\nepochs = 1\n[pretrain-skills.algorithm]\nname = "diayn"\n'
        '[meta-train.algorithm]\nname = "maml"\n'
    )
    with RunDir.create(tmp_path / "skills", config.resolve("pretrain-skills", "tiny.toml")) as skills:
        skills.save(1, {"w": np.float32([1])})
        skills.epoch = 1
        skills.complete({})
    resolved = config.resolve("meta-train", "tiny.toml", flags={"hierarchy.skills": "skills"})
    with RunDir.create(tmp_path / "r", resolved) as run:
        run.record(1, {"loss": 1.0})
        run.save(1, {"w": np.float32([1])})
        run.complete({"metrics": {"loss": 1.0}})
    found = provenance.collect(resolved, [])
    monkeypatch.setattr(provenance, "collect", lambda *arguments: found)
    return tmp_path / "r", resolved


@pytest.mark.parametrize("name", ["status.json", "provenance.json"])
def test_every_key_may_be_anything(run, capsys, name):
    path, resolved = run
    read = {"status.json": reader.read_status, "provenance.json": reader.read_provenance}[name]
    for kind, keys, text in mutants(json.loads((path / name).read_text())):
        (path / name).write_text(text)
        problem = refused(lambda: read(path))
        assert not problem or name in problem, (kind, keys)
        if kind in ("infinite", "nan", "deep", "deep enough to be parsed", "large"):
            assert problem, (kind, keys)
        if keys == ("unknown",) and kind in ("null", "text", "negative", "list", "table", "true"):
            assert not problem, (kind, keys)  # what a newer version may write
        if len(keys) == 1 and kind in ("deleted", "text", "table", "deep enough to be parsed"):  # other doors
            refused(lambda: RunDir.resume(path, resolved).close())
            assert cli.run(["show", str(path), "--json"]) in (0, 65), (kind, keys)
    assert "Traceback" not in capsys.readouterr().err


def test_a_newer_schema_is_told(run):
    path, _ = run
    for name in ("status.json", "provenance.json"):
        document = json.loads((path / name).read_text())
        (path / name).write_text(json.dumps(document | {"schema": 2}))
        with pytest.raises(InputError, match=f"{name}: found schema 2; must be 1"):
            reader.read(path)
        (path / name).write_text(json.dumps(document))


def no_pipe(file):
    os.mkfifo(file)


def no_folder(file):
    file.mkdir()


def no_target(file):
    file.symlink_to(file.with_name("nowhere"))


def no_socket(file):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(file))


@pytest.mark.parametrize("put", [no_pipe, no_folder, no_target, no_socket])
def test_what_is_no_file_is_refused_and_not_waited_for(run, put, monkeypatch):
    path, resolved = run
    monkeypatch.chdir(path)  # names of sockets are short
    names = ("status.json", "provenance.json", "skills.toml", "metrics.jsonl", "config.toml", "events.log")
    for name in names:
        whole = (path / name).read_bytes()
        (path / name).unlink()
        put(path.__class__(name))
        if name not in ("metrics.jsonl", "events.log"):
            assert name in refused(lambda: reader.read_skills(reader.read(path))), name
        with pytest.raises(HmrlError) as caught:
            RunDir.resume(path, resolved)
        assert caught.value.exit_code in (65, 73), name
        if name == "metrics.jsonl":
            assert name in refused(lambda: read_metrics(path))
        (path / name).rmdir() if put is no_folder else (path / name).unlink()
        (path / name).write_bytes(whole)
    manifest = path / "checkpoints" / "1" / "manifest.json"
    manifest.unlink()
    put(manifest.relative_to(path))
    assert "damaged" in refused(lambda: checkpoints.fingerprint(path / "checkpoints"))
    (path / "lock").unlink()
    put(path.__class__("lock"))
    reader.read(path)
    with pytest.raises(HmrlError) as caught:
        RunDir.resume(path, resolved)
    assert caught.value.exit_code in (65, 73, 74)
