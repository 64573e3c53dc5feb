"""TensorBoard: there, and never fatal."""

import resource
import sys

from hmrl_cli.storage.metrics import read_metrics
from hmrl_cli.storage.writer import RunDir
from tests.storage.runs import trained


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
