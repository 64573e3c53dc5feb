"""A preset of one family and two algorithms, and what it resolves to."""

import pytest

from hmrl_cli import config

PRESET = """
[family]
name = "point"
[training]
epochs = 4
[meta-train.algorithm]
name = "maml"
[pretrain-skills.algorithm]
name = "diayn"
"""


@pytest.fixture
def preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.toml"
    path.write_text(PRESET)
    return str(path)


@pytest.fixture
def resolved(preset):
    return config.resolve("meta-train", preset)
