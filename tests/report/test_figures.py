"""Pictures look the same whatever a user's own matplotlib is set to, and one run the same in all panels."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from hmrl_cli.errors import ConfigError
from hmrl_cli.report import figures
from hmrl_cli.report.figures import curves_svg, paths_svg

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


def test_a_run_has_one_colour_and_one_entry_in_the_legend(monkeypatch):
    """Where a run was evaluated on one split alone, too."""
    curve = {"iqm": [0.0, 1.0], "mean": [0.0, 1.0], "low": [0.0, 0.5], "high": [0.0, 1.0]}
    lines = {"flat": 0.0, "feasible": 1.0, "flat_success": None, "flat_reached": None}
    document = {"reward": "sparse", "steps": [0, 1], "env_steps": [0, 10], **lines}
    document |= dict.fromkeys(("return", "success", "reached"), curve)
    splits = {"one": ("test",), "both": ("test", "hidden"), "other": ("hidden",)}
    monkeypatch.setattr(figures, "compare", lambda *_: None)
    monkeypatch.setattr(
        figures, "evaluations", lambda path, _: [document | {"split": split} for split in splits[path.name]]
    )
    drawn = curves_svg([Path(name) for name in splits])
    for name in (*splits, "flat", "feasible"):
        assert drawn.count(f"<!-- {name} -->") == 1
    colours = re.findall(r"stroke: (#\w{6}); stroke-width: 1.5; stroke-linecap: square", drawn)
    panels = [colours[i] for i in range(12)]  # two runs in each of six panels, before the legend
    blue, vermilion, green = figures.PALETTE[:3]
    assert panels.count(blue) == panels.count(green) == 3 and panels.count(vermilion) == 6


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
