"""Evaluation documents of other versions, damaged ones and hostile ones; and what is told of good ones."""

import copy
import json
import os

import numpy as np
import pytest

from hmrl_cli.errors import InputError
from hmrl_cli.evaluation import adaptation
from hmrl_cli.evaluation import document as documents
from hmrl_cli.report import page as pages
from hmrl_cli.report.comparison import compare
from hmrl_cli.report.differences import shown
from hmrl_cli.types import Adaptation

FLAT, FEASIBLE = [-10.0, -8.0, -4.0, -2.0], [-2.0, -4.0, -3.0, -1.0]


def document(returned=None, success=0.5, feasible=FEASIBLE, **changes):
    """One as `hmrl eval` writes it: two seeds, four tasks, one update."""
    returned = np.array(FLAT)[None, :, None] + np.zeros((2, 1, 2)) if returned is None else returned
    rates = np.full(returned.shape, success)
    lines = {name: -5.0 for name in ("flat", "feasible")}
    lines |= {f"{line}_{rate}": 0.25 for line in ("flat", "feasible") for rate in ("success", "reached")}
    lines["per_task"] = {"flat": FLAT, "feasible": feasible}
    if feasible is None:
        lines |= {name: None for name in lines if name.startswith("feasible")}
    return {
        "schema": 1,
        "run": "runs/a",
        "family": "toy",
        "algorithm": "maml",
        "epoch": 4,
        "arrays_sha256": "ab",
        "num_seeds": 2,
        "episodes": 5,
        "env_steps": [0, 30],
        "adaptation": {"rule": "refit", "imitation_steps": 2, "tune_after": None},
        "split": "test",
        "reward": "sparse",
        "num_tasks": 4,
        **adaptation.curve_document(Adaptation(returned, rates, rates), lines),
        "tasks_sha256": "cd",
    } | changes


def run(folder, name, content, skills=None):
    """A run directory that holds one evaluation, and the hash of its skills."""
    (folder / name / "eval").mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name / "eval" / "test-sparse.json").write_text(text)
    provenance = {"skills": skills and {"arrays_sha256": skills}}
    (folder / name / "provenance.json").write_text(json.dumps(provenance))
    return folder / name


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
    make(path / "eval" / "x.json")
    with pytest.raises(InputError, match=r"x.json: cannot be read: is"):
        compare([path])


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "x.json").write_bytes(b'{"schema": 1, "run": "\xff"}')
    with pytest.raises(InputError, match=r"x.json: is no evaluation of this version"):
        documents.read(tmp_path / "x.json")


def test_runs_without_a_feasible_line_are_compared(tmp_path):
    path = run(tmp_path, "a", document(feasible=None))
    (row,) = compare([path])["rows"]
    assert row["feasible"] is None and row["fraction"] is None and row["flat"] == -5
    page = pages.write([path], tmp_path / "x.html").read_text()
    assert "<th>feasible</th>" not in page and "<th>flat</th>" in page


def test_the_first_run_is_compared_with_each_of_the_others(tmp_path):
    """Tasks differ a lot, arms by a little, and in every task alike."""
    rng = np.random.default_rng(0)
    hard = 10 * rng.normal(size=(1, 4, 1)) + np.zeros((2, 1, 2))
    paths = [
        run(tmp_path, "hmrl", document(hard + 1.0, success=0.75), skills="s"),
        run(tmp_path, "scratch", document(hard, success=0.25), skills="s"),
        run(tmp_path, "flat", document(hard - 1.0, success=0.5)),
    ]
    same, other = compare(paths)["differences"]
    assert (same["run"], same["minus"], same["seeds"]) == ("hmrl", "scratch", "paired")
    assert (other["minus"], other["seeds"], other["split"]) == ("flat", "own", "test")
    for found, by in ((same["return"], 1.0), (other["return"], 2.0), (same["success"], 0.5)):
        np.testing.assert_allclose(list(found.values()), by, atol=1e-9)
    page = pages.write(paths, tmp_path / "x.html").read_text()
    assert "<th>hmrl minus</th>" in page and "<td>scratch</td>" in page and "+1.00 [1.00, 1.00]" in page
    assert compare(paths[:1])["differences"] == []


def test_runs_of_one_name_are_told_apart(tmp_path):
    paths = [run(tmp_path, f"{folder}/hmrl", document()) for folder in "ab"]
    assert [row["run"] for row in compare(paths)["rows"]] == [str(path) for path in paths]


def test_a_small_loss_is_shown_as_no_negative_zero():
    assert shown({"mean": -1e-9, "low": -1e-20, "high": 0.0}) == "0.00 [0.00, 0.00]"
