"""A small suite of two families, a library of skills, two arms and two splits."""

import pytest

from hmrl_cli.suite import cells, declaration
from tests.suite.stand_in import TINY


@pytest.fixture
def read(tmp_path):
    """The suite of a text."""

    def call(text):
        file = tmp_path / "tiny.toml"
        file.write_text(text)
        return declaration.read(file)

    return call


@pytest.fixture
def tiny(read):
    """The cells of the small suite."""
    return cells.cells(read(TINY))
