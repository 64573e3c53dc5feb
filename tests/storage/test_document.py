import copy
import json
import os

import pytest

from hmrl_cli.errors import InputError
from hmrl_cli.report import page as pages
from hmrl_cli.report.comparison import compare
from hmrl_cli.storage import document as documents
from tests.storage.documents import document, run

RAW = {  # what json.dumps does not write
    "deep": "[" * 50_000 + "]" * 50_000,
    "infinite": "1e999",
    "huge": "9" * 5_000,
    "nan": "NaN",
}


VALUES = [None, "x", -1, 0.5, [], {}, True, [[1.0]], *(f"@{name}@" for name in RAW)]


def places(value, path=()):
    """Every key of a document, and the first place of every list."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(min(len(value), 1)):
            yield (*path, key)
            yield from places(value[key], (*path, key))


def mutations():
    whole = document()
    for path in places(whole):
        for value in ("delete", *VALUES):
            changed = copy.deepcopy(whole)
            *parents, last = path
            holder = changed
            for key in parents:
                holder = holder[key]
            if value == "delete":
                del holder[last]
            else:
                holder[last] = value
            text = json.dumps(changed)
            for name, raw in RAW.items():
                text = text.replace(f'"@{name}@"', raw)
            yield f"{'.'.join(map(str, path))} = {value}", text


def test_any_change_of_a_document_is_read_or_refused_by_name(tmp_path):
    path = run(tmp_path, "a", document())
    file = path / "eval" / "test-sparse.json"
    read, refused = 0, 0
    for what, text in mutations():
        file.write_text(text)
        try:
            (row,) = compare([path])["rows"]
            read += 1
        except InputError as error:
            refused += 1
            assert str(file) in str(error) and len(str(error).splitlines()) == 2, what
            assert len(str(error)) < 1000, what
        else:
            assert row["run"] == "a", what
    assert refused > 300 and read > 100


def test_keys_of_a_newer_version_are_left_alone(tmp_path):
    newer = document(protocol={"name": "explore"}) | {"stars": [[[]]]}
    newer["per_task"]["goals"] = "x"
    newer["adaptation"]["protocol"] = "explore"
    newer["return"]["median"] = [None]
    (row,) = compare([run(tmp_path, "a", newer)])["rows"]
    assert row["adaptation"] == "rule refit, imitation_steps 2, protocol explore"
    assert (row["flat_success"], row["flat_reached"]) == (0.25, 0.25)


def test_documents_of_earlier_versions_are_read(tmp_path):
    older = document()
    for name in ("flat_success", "flat_reached", "feasible_success", "feasible_reached", "arrays_sha256"):
        del older[name]
    older["fraction"] = {"iqm": [0.0, 0.9], "low": [0.0, 0.1], "high": [0.0, 1.0]}  # which pairs nothing
    (row,) = compare([run(tmp_path, "a", older)])["rows"]
    assert row["flat_success"] is None and row["fraction"] == "0.00 [0.00, 0.00]"  # computed anew
    del older["per_task"]["flat"]
    (row,) = compare([run(tmp_path, "b", older)])["rows"]
    assert row["fraction"] is None
    assert "fraction" not in pages.write([tmp_path / "b"], tmp_path / "b.html").read_text().split("<p>")[0]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda file: os.symlink("nowhere", file)])
def test_what_is_no_file_is_refused(make, tmp_path):
    path = run(tmp_path, "a", document())
    make(path / "eval" / "hidden-sparse.json")
    with pytest.raises(InputError, match=r"hidden-sparse.json: cannot be read: is"):
        compare([path])


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "x.json").write_bytes(b'{"schema": 1, "run": "\xff"}')
    with pytest.raises(InputError, match=r"x\.json: is damaged: Invalid JSON"):
        documents.read(tmp_path / "x.json")
