"""What is noted of a run's origin: code, machine, seeds, skills."""

import os
import shutil

import jax
import pytest

from hmrl_cli import config, lazy
from hmrl_cli.cli.new import rendered
from hmrl_cli.errors import InputError
from hmrl_cli.storage import provenance, reader
from hmrl_cli.storage.naming import open_run
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import finished_skills, message

SECTIONS = ("versions", "machine", "numerics")


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
        assert set(info.provenance["machine"]) == {
            *("platform", "devices", "cores", "affinity", "xla_flags", "processes"),
        }
        run.complete({"success": 1.0})
    assert reader.read(run.path).status["summary"] == {"success": 1.0}


def test_another_environment_is_noted(resolved, tmp_path, monkeypatch):
    path = tmp_path / "r"
    RunDir.create(path, resolved).close()
    told = []
    RunDir.resume(path, resolved, note=told.append).close()
    assert told == []
    monkeypatch.setattr(os, "cpu_count", lambda: 640)
    RunDir.resume(path, resolved, note=told.append).close()
    assert "-> 640" in told[0]


@pytest.mark.parametrize(
    ("setting", "other", "is_pinned"),
    [
        ("jax_default_prng_impl", "rbg", True),
        ("jax_threefry_partitionable", False, True),
        ("jax_enable_x64", True, True),
        ("jax_default_matmul_precision", "bfloat16", False),
    ],
)
def test_what_changes_numbers_in_jax_is_pinned_or_noted(setting, other, is_pinned, monkeypatch):
    before = {"plugins": {}, **provenance.surroundings()}
    assert setting in before["numerics"]
    monkeypatch.setenv(setting.upper(), str(other))
    kept = getattr(jax.config, setting)
    jax.config.update(setting, other)  # as the import of jax does with the variable
    try:
        lazy.pin()
        found = provenance.changes(before, {"plugins": {}, **provenance.surroundings()})
    finally:
        jax.config.update(setting, kept)
    assert found == ("" if is_pinned else f"{setting} {kept!r} -> {other!r}")


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


def test_a_changed_file_of_a_plugin_stops_a_resumed_run(preset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    family = tmp_path / "walk.py"
    family.write_text(rendered("family", "walk"))
    asked = ("meta-train", preset, ["family.name=./walk.py"])
    RunDir.create(tmp_path / "r", config.resolve(*asked)).close()
    assert reader.read(tmp_path / "r").provenance["plugins"]["family"]["file"] == str(family)
    RunDir.resume(tmp_path / "r", config.resolve(*asked)).close()
    family.write_text(family.read_text().replace("0.2, gt=0", "0.1, gt=0"))  # and another default
    with pytest.raises(InputError) as caught:
        RunDir.resume(tmp_path / "r", config.resolve(*asked))
    assert "family.name: ./walk.py has changed since the run began: found SHA-256" in message(caught)


def test_another_version_of_a_package_is_noted():
    records = [{"plugins": {"family": {"name": "theirs", "package": f"pkg {n}"}}} for n in (1, 2)]
    assert provenance.changes(records[0], records[1] | {key: {} for key in SECTIONS}) == "pkg 1 -> pkg 2"
    assert provenance.changes({}, records[1] | {key: {} for key in SECTIONS}) == ""
