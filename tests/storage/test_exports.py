"""Files of an export: cards read or refused by name, nothing foreign replaced."""

import json
import os

import pytest
import safetensors.numpy

from hmrl_cli import config
from hmrl_cli.cli.new import rendered
from hmrl_cli.config import recorded
from hmrl_cli.errors import ConfigError, InputError, StorageError
from hmrl_cli.lazy import np
from hmrl_cli.storage import exports
from tests.mutants import mutants, refused


def test_every_key_of_a_card_may_be_anything(tmp_path):
    experiment = config.resolve("pretrain-skills", "point/smoke").experiment
    _, card = exports.encode({"w": np.float32([1])}, "skills", experiment, None, 1)
    file = tmp_path / "s.json"
    needed = {("kind",), ("epoch",), ("sha256",), ("config",), ("skills_config",)}
    for kind, keys, text in mutants(card):
        file.write_text(text)
        problem = refused(lambda: exports.read_card(tmp_path / "s.safetensors", "skills"))
        assert not problem or "s.json" in problem or "s.safetensors" in problem
        if keys in needed and kind in ("deleted", "list", "nan", "true"):
            assert problem, (kind, keys)
        if keys == ("unknown",) and kind in ("null", "text", "list"):
            assert not problem


def test_a_card_keeps_which_file_its_family_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.py").write_text(rendered("family", "walk"))
    experiment = config.resolve("pretrain-skills", "point/smoke", ["family.name=./walk.py"]).experiment
    _, card = exports.encode(ARRAYS, "skills", experiment, None, 1)
    assert card["family"] == "walk"
    (tmp_path / "s.json").write_text(json.dumps(card))
    assert exports.read_card(tmp_path / "s.safetensors", "skills").experiment == experiment
    (tmp_path / "walk.py").unlink()
    gone = exports.read_card(tmp_path / "s.safetensors", "skills").experiment.family
    with pytest.raises(InputError, match="which does not exist; must be the file of SHA-256"):
        recorded.identity(gone)


ARRAYS = {"w": np.float32([1])}


def test_equal_arrays_have_equal_bytes():
    experiment = config.resolve("pretrain-skills", "point/smoke").experiment
    encoded = {exports.encode(ARRAYS, "skills", experiment, None, 1)[0] for _ in range(30)}
    assert len(encoded) == 1


def test_an_export_replaces_an_export_and_nothing_else(tmp_path):
    experiment = config.resolve("pretrain-skills", "point/smoke").experiment
    data, card = exports.encode(ARRAYS, "skills", experiment, None, 1)
    file, card_file = tmp_path / "x" / "package.safetensors", tmp_path / "x" / "package.json"
    exports.check_output(file, experiment)
    file.write_bytes(data)
    card_file.write_text(json.dumps(card | {"schema": 2, "more": None}))
    exports.check_output(file, experiment)  # of any version
    foreign_card = json.dumps({"name": "package", "schema": 1})
    foreign_data = safetensors.numpy.save(ARRAYS)
    for path, content in (
        (card_file, foreign_card.encode()),
        (file, foreign_data),
        (file, b"text"),
        (file, b""),
    ):
        kept = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=f"{path.name} is there already, and was not written by hmrl"):
            exports.check_output(file, experiment)
        path.write_bytes(kept)
    card_file.unlink()
    for put in (lambda: os.mkfifo(card_file), card_file.mkdir, lambda: card_file.symlink_to("nowhere")):
        put()
        with pytest.raises(ConfigError, match=r"package\.json is there already"):
            exports.check_output(file, experiment)
        card_file.rmdir() if card_file.is_dir() else card_file.unlink()
    with pytest.raises(StorageError, match="cannot be written"):
        exports.check_output(tmp_path / "x" / "package.safetensors" / "y.safetensors", experiment)


def test_an_export_does_not_replace_the_skills_its_run_acts_through(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = {"hierarchy.skills": "s.safetensors"}
    experiment = config.resolve("meta-train", "point/smoke", flags=flags).experiment
    with pytest.raises(ConfigError, match="holds the skills that the run acts through"):
        exports.check_output(tmp_path / "s.safetensors", experiment)
    exports.check_output(tmp_path / "policy.safetensors", experiment)
