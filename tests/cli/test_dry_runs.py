"""Sizes with units; `test_train.py` has whole plans."""

import pytest

from hmrl_cli.cli import dry_runs
from hmrl_cli.experiment import Training


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (5.5 * 2**20, "5.5 MiB"),
        (1023 * 1024, "0.999 MiB"),
        (2**20 - 1, "1 MiB"),
        (2**40, "1 TiB"),
        (1234 * 2**40, "1,234 TiB"),
    ],
)
def test_sizes(count, text):
    assert dry_runs.size(count) == text


def test_what_does_not_exist_is_left_out():
    plan = {
        "skills": None,
        "buffer_bytes": 0,
        "state_bytes": 2048,
        "device_bytes": 10,
        "device_limit_bytes": 2**30,
    }
    assert dry_runs.rows(plan, Training(epochs=1)) == [
        ("state", "2 KiB"),
        ("memory of a device", "at least 10 bytes of 1 GiB"),
    ]


def test_updates_are_told_by_epochs():
    told = dry_runs.rows({"updates": 20_000}, Training(epochs=2000, updates_per_epoch=10))
    assert told == [("updates", "20,000 (2,000 epochs of 10)")]
