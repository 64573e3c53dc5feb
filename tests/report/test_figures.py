"""Pictures look the same whatever a user's own matplotlib is set to."""

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from hmrl_cli.errors import ConfigError
from hmrl_cli.report.figures import paths_svg

PATHS = np.cumsum(np.random.default_rng(0).normal(size=(1, 3, 2, 5, 2)), axis=3)


def test_a_users_style_changes_no_picture():
    plain = paths_svg(PATHS, "skills")
    theirs = {
        "text.usetex": True,
        "font.family": "none of it",
        "axes.facecolor": "red",
        "svg.fonttype": "none",
    }
    with matplotlib.rc_context(theirs):
        assert paths_svg(PATHS, "skills") == plain
        assert matplotlib.rcParams["text.usetex"]  # and theirs is as it was


def test_a_backend_that_is_not_here_is_not_asked_for():
    draws = "import numpy, os; from hmrl_cli.report import figures; " + (
        "figures.paths_svg(numpy.zeros((1, 2, 2, 3, 2)), 'skills'); print(os.environ['MPLBACKEND'])"
    )
    backend = "module://matplotlib_inline.backend_inline"  # what every notebook sets
    done = subprocess.run(
        [sys.executable, "-c", draws],
        env=os.environ | {"MPLBACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.returncode) == (backend, 0), done.stderr


def test_a_matplotlibrc_that_cannot_be_read_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as of an import that fails

    with pytest.raises(ConfigError, match="matplotlib cannot start"):
        paths_svg(PATHS, "skills")
