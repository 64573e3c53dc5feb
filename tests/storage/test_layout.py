"""What makes a directory a run."""

import pytest

from hmrl_cli.storage import layout


@pytest.mark.parametrize(
    ("names", "is_one"),
    [
        ({"config.toml", "status.json"}, True),
        ({"provenance.json", "lock", "notes.txt"}, True),  # its config.toml is gone
        ({"config.toml"}, False),  # archived results, or another program's
        ({"checkpoints", "eval", "config.toml"}, False),  # folders that other projects have too
        (set(), False),
    ],
)
def test_two_files_of_a_run_make_one(names, is_one):
    assert layout.seems_run(names) == is_one


def test_a_run_has_a_configuration(tmp_path):
    assert not layout.is_run(tmp_path)
    (tmp_path / "config.toml").mkdir()
    assert not layout.is_run(tmp_path)
    (tmp_path / "config.toml").rmdir()
    (tmp_path / "config.toml").touch()
    assert layout.is_run(tmp_path)
