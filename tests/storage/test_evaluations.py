"""Names of evaluation documents, of which none replaces one of other settings."""

import errno
import json
import os

import pytest

from hmrl_cli.errors import InputError
from hmrl_cli.storage import evaluations
from tests.storage.documents import document


@pytest.mark.parametrize(
    ("split", "protocol", "changed", "name"),
    [
        ("test", None, {}, "test-sparse"),
        ("hidden", "explore", {}, "hidden-sparse-explore"),
        ("test", None, {"episodes": 50, "rule": "refit"}, "test-sparse-episodes=50-rule=refit"),
        ("test", "tune", {"tuning.learning_rate": 1e-05}, "test-sparse-tune-tuning.learning_rate=1e-05"),
        ("tasks-a-dense-b", "own", {"deterministic": True}, "tasks-a-dense-b-sparse-own-deterministic=true"),
    ],
)
def test_a_name_says_what_differs(split, protocol, changed, name):
    assert evaluations.stem(split, "sparse", protocol, changed) == name
    way = name.partition("-sparse")[2].removeprefix("-")
    assert evaluations.parsed(name) == (split, "sparse", way)


def test_a_long_name_has_a_hash_and_room():
    many = {f"relabel.setting_{number}": number / 7 for number in range(9)}
    first, second = (evaluations.stem("test", "sparse", "own", many | {"x": x}) for x in (1, 2))
    assert first != second and len(first) == len("test-sparse-own-12345678") == len(second)
    longest = evaluations.stem("tasks-" + "x" * 200, "sparse", "relabel", {"episodes": 5})
    assert len(f".{longest}.json.4194304.tmp") <= 255 and longest != evaluations.stem(
        "tasks-" + "x" * 200, "sparse", "relabel", {"episodes": 6}
    )


def test_the_epoch_of_a_document_is_in_its_first_bytes(tmp_path):
    file = tmp_path / "eval" / "test-sparse.json"
    changed = {f"relabel.setting_{number}": number / 7 for number in range(40)}
    evaluations.write(file, document(epoch=12, protocol={"name": None, "changed": changed}), print)
    assert evaluations.epoch_of(file, 99) == 12
    file.write_text("{}")
    assert [evaluations.epoch_of(one, 99) for one in (file, tmp_path / "none")] == [99, 99]


def test_a_document_older_than_a_setting_has_what_the_setting_was_worth_then(tmp_path):
    file, notes = tmp_path / "eval" / "test-sparse.json", []
    evaluations.write(file, document(), notes.append)  # it names no `relabel.turned`
    for turned, kept in ((0.0, 0), (0.5, 1)):
        settings = {**document()["adaptation"], "relabel.turned": turned}
        evaluations.write(file, document(adaptation=settings), notes.append)
        assert len(notes) == kept


def test_no_earlier_epoch_replaces_a_later_one(tmp_path):
    file = tmp_path / "eval" / "test-sparse.json"
    evaluations.check_not_later(file, 1, tmp_path)
    evaluations.write(file, document(epoch=4), print)
    evaluations.check_not_later(file, 4, tmp_path)
    with pytest.raises(
        InputError, match=r"is of epoch 4, whose checkpoint is damaged or gone; the newest is 2"
    ):
        evaluations.check_not_later(file, 2, tmp_path)
    file.write_text("{")
    evaluations.check_not_later(file, 2, tmp_path)


def test_a_folder_of_documents_that_is_closed_to_the_user_is_no_empty_one(tmp_path, monkeypatch):
    assert evaluations.files_of(tmp_path) == []
    evaluations.write(tmp_path / "eval" / "test-sparse.json", document(), print)
    (tmp_path / "eval" / "notes.txt").touch()
    assert [file.name for file in evaluations.files_of(tmp_path)] == ["test-sparse.json"]
    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(PermissionError):
        evaluations.files_of(tmp_path)


def denied(path):
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_equal_settings_replace_equal_ones_and_no_others(tmp_path):
    file, notes = tmp_path / "eval" / "test-sparse.json", []
    evaluations.write(file, document(), notes.append)
    newer = document(epoch=5, adaptation={**document()["adaptation"], "selectivity": 10.0, "least_gain": 0.3})
    evaluations.write(file, newer, notes.append)  # a default that was not told, and a calibrated number
    assert json.loads(file.read_text()) == newer and notes == []
    for changes in (
        {"tasks_sha256": "ef"},
        {"num_tasks": 5},
        {"episodes": 9},
        {"adaptation": {"rule": "refit"}},
    ):
        before = file.read_text()
        evaluations.write(file, document(**changes), notes.append)
        kept = file.with_name(notes[-1].rsplit(" ", 1)[1])
        assert kept.read_text() == before and json.loads(file.read_text()) == document(**changes)
    assert len(notes) == len(list(file.parent.iterdir())) - 1 == 4
    for damaged in ("", "[]", '{"adaptation": 3}'):
        file.write_text(damaged)
        evaluations.write(file, newer, notes.append)
    assert len(notes) == 4
