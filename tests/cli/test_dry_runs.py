"""Sizes with units; `test_train.py` has whole plans."""

import pytest

from hmrl_cli.cli import dry_runs


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (5.5 * 2**20, "5.5 MiB"),
        (2**40, "1.02e+03 GiB"),
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
    assert dry_runs.rows(plan) == [("state", "2 KiB"), ("memory of a device", "at least 10 bytes of 1 GiB")]
