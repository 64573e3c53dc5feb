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
from hmrl_cli.report.arms import Arm
from hmrl_cli.report.drawing import PALETTE, own_style, svg
from hmrl_cli.report.figures import _thinned, curves_svg, paths, paths_svg, training
from tests.storage.documents import document

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


def arm(name, *documents, seeds=(0,)):
    return Arm(name, (Path(name),), {"algorithm.name": "maml"}, {}, seeds, None, documents)


def test_a_run_has_one_colour_and_one_entry_in_the_legend():
    """Where a run was evaluated on one split alone, too."""
    splits = {"one": ("test",), "both": ("test", "hidden"), "other": ("hidden",)}
    lines = {"flat_success": None, "flat_reached": None, "per_task": None}
    arms = [arm(name, *(document(split=split, **lines) for split in own)) for name, own in splits.items()]
    drawn = curves_svg(arms)
    for name in (*splits, "flat", "feasible"):
        assert drawn.count(f"<!-- {name} -->") == 1
    colours = re.findall(r"stroke: (#\w{6}); stroke-width: 1.5; stroke-linecap: square", drawn)
    panels = [colours[i] for i in range(12)]  # two runs in each of six panels, before the legend
    blue, vermilion, green = PALETTE[:3]
    assert panels.count(blue) == panels.count(green) == 3 and panels.count(vermilion) == 6
    assert drawn.count("<!-- flat -5.00 -->") == 2  # beside the line


@pytest.mark.parametrize(("seeds", "skills"), [(1, 16), (1, 20), (5, 8)])
def test_the_legend_of_skills_covers_no_data(seeds, skills):
    figure = own_style()(paths)(np.zeros((seeds, skills, 1, 2, 2)), "skills")
    figure.draw_without_rendering()
    (legend,) = [*figure.legends, *(axis.get_legend() for axis in figure.axes if axis.get_legend())]
    place = legend.get_window_extent()
    assert not any(place.overlaps(axis.get_tightbbox()) for axis in figure.axes)
    assert place.x0 >= 0 and place.x1 <= figure.bbox.x1
    assert [text.get_text() for text in legend.get_texts()] == [str(which) for which in range(skills)]


def test_every_seed_has_a_thin_line():
    thin = "stroke-width: 0.6"
    assert curves_svg([arm("a", document())]).count(thin) == 2 * 3
    assert curves_svg([arm("a", document(per_task=None))]).count(thin) == 0
    epochs = [
        {"epoch": i, "env_steps": 10 * i, "return": [i, -i], "loss": [0.0, 1.0]} for i in range(1, 2000)
    ]
    drawn = svg(training, {"ppo": epochs, "one": [{"epoch": 1, "env_steps": 4, "loss": 2.0}] * 2})
    assert drawn.count(thin) == 2 * 2 and drawn.index("<!-- return -->") < drawn.index("<!-- loss -->")
    assert len(_thinned(epochs, 100)) <= 100 and _thinned(epochs, 100)[-1] is epochs[-1]


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
