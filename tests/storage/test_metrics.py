"""Metrics: exact after any interruption."""

import re
import shutil

import numpy as np
import pytest

from hmrl_cli.errors import Diverged, InputError
from hmrl_cli.storage import reader
from hmrl_cli.storage.metrics import epoch_of, read_metrics
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import TREE, trained


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
    remedy = f"the checkpoint is of 2\nto go on from an earlier one: rm -r {tmp_path}/r/checkpoints/2"
    with pytest.raises(InputError, match=re.escape(remedy)), RunDir.resume(tmp_path / "r", resolved) as run:
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


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b"1",
        b'{"epoch": 1e999}',
        b'{"epoch": "1"}',
        b'{"epoch": true}',
        b'{"epoch": 1, "loss": NaN}',
        b'{"epoch": 1, "loss": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        b"\xff\xfe",
        b"",
    ],
)
def test_lines_of_metrics_that_are_none_are_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"epoch": 1}\n' + line + b"\n" + b'{"epoch": 3}\n{"epo')
    with pytest.raises(InputError, match=r"metrics.jsonl: line 2"):
        read_metrics(tmp_path)
    assert epoch_of(line + b"\n") is None


@pytest.mark.parametrize(
    "damaged", ['"?"', "null", "true", "[1.0, [2.0]]", "[1.0, 2.0, 3.0]", "1" + 30 * "0"]
)
def test_a_value_that_is_no_number_or_of_another_shape_is_damage(tmp_path, damaged):
    (tmp_path / "metrics.jsonl").write_text(
        f'{{"epoch": 1, "loss": [1.0, 2.0]}}\n{{"epoch": 2, "loss": {damaged}}}\n'
    )
    with pytest.raises(InputError, match=r"metrics\.jsonl: line 2: found .* for 'loss'; must be numbers"):
        read_metrics(tmp_path)
