"""The page: for screens of any width, in light and dark, for readers of the screen and for paper."""

import base64
import html
import json
import re

import numpy as np
import pytest

from hmrl_cli.errors import InputError
from hmrl_cli.report import page as pages
from hmrl_cli.report import viewer
from hmrl_cli.report.comparison import compare, read_arms
from hmrl_cli.report.formats import csv_text
from tests.report.test_skills import of_skills
from tests.report.test_viewer import browse
from tests.storage.documents import document, run

WIDTHS = (390, 1280, 1920)  # px
EXCESS = """addEventListener("load", () => {
  const roots = [...document.querySelectorAll("iframe")].map(frame => frame.contentDocument.documentElement);
  const excess = roots.map(root => root.scrollWidth - root.clientWidth);
  document.title = [...excess, ...roots.map(root => root.querySelectorAll("section").length)].join(" ");
})"""  # in px, of what is wider than the screen; and the number of sections


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    ways = [{"rule": "refit", "imitation_steps": 2}, {"rule": "gradient"}]
    return [
        run(folder, name, document(adaptation=way, success=rate), sets=(f"algorithm.discount={rate}",))
        for name, way, rate in zip(("a<b>", "c"), ways, (0.75, 0.25), strict=True)
    ]


@pytest.fixture(scope="module")
def page(two, tmp_path_factory):
    return pages.write(two, tmp_path_factory.mktemp("page") / "x.html").read_text()


def test_it_begins_with_what_was_found(page):
    first = re.findall("<p.*?</p>", page)[0]
    assert first.startswith('<p class="finding">On 4 test tasks of toy') and "a&lt;b&gt;" in first
    assert "0.50 [0.02, 0.75] more than c" in first and page.index(first) < page.index("<table")


def test_it_fits_every_screen_and_paper(page):
    head = page.partition("</head>")[0]
    assert 'name="viewport" content="width=device-width, initial-scale=1"' in head
    assert "@media (prefers-color-scheme: dark)" in head and "@media print" in head
    assert head.index("Content-Security-Policy") < head.index("<style")
    wide = re.findall(r"<(?:table|svg)\b", page)
    boxes = re.findall(
        r'<div class="scroll" role="region" tabindex="0" aria-label="[^"]+"><(?:table|svg)', page
    )
    assert len(wide) == len(boxes) > 3 and ".scroll { overflow-x: auto" in head
    assert "<script" not in page and len(page) < 5 * 2**20


def test_the_table_begins_with_the_numbers_and_has_no_prose(page):
    table = re.findall("<table.*?</table>", page)[0]
    columns = re.findall("<th>(.*?)</th>", table)
    assert columns == ["run", "split", "success", "mean_success", "reached", "return", "fraction"]
    assert "a&lt;b&gt;: rule refit, imitation_steps 2" in page and "In every row: reward sparse" in page


def test_figures_are_named_and_take_the_colours_of_the_page(page):
    curves, profiles = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    label = re.search('role="img" aria-label="(.*?)"', curves)[1]
    assert "episodes on toy, of a&lt;b&gt;, c" in label
    assert 'aria-label="Performance profiles, and probabilities' in profiles
    for figure in (profiles, curves):
        assert "#000000" not in figure and "currentColor" in figure and "fill: #ffffff" not in figure
    ids = re.findall(r'\bid="(.*?)"', page)
    assert len(ids) == len({*ids}) and {*re.findall(r'href="#(.*?)"', page)} <= {*ids}


def test_the_numbers_are_in_it_as_csv(page, two):
    data = re.search('download="hmrl-report.csv" href="data:text/csv;base64,(.*?)"', page)[1]
    assert base64.b64decode(data).decode() == csv_text(compare(two)["rows"])


def test_it_has_the_settings_that_differ_and_where_runs_are_from(page):
    assert "<td>algorithm.discount</td><td>0.75</td><td>0.25</td>" in page
    assert "training.seed" not in page and page.count("<td>maesn</td><td>0, 1</td>") == 2


def test_a_run_that_was_never_evaluated_shows_its_training(two, tmp_path):
    """As of PPO, which has no adaptation to show."""
    path = run(tmp_path, "ppo", document())
    (path / "eval" / "test-sparse.json").unlink()
    with pytest.raises(InputError, match="ppo: holds no evaluation; first: hmrl eval"):
        pages.write([path], tmp_path / "x.html")
    epochs = [{"epoch": i, "env_steps": 96 * i, "return": [0.5, -i], "kl": [0.0, 0.1]} for i in (1, 2)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    page = pages.write([path], tmp_path / "x.html").read_text()
    assert page.count("<svg") == 1 and "<!-- return -->" in page and "ppo was not evaluated" in page
    assert "Metrics of training on point against environment steps, of ppo" in page
    page = pages.write([*two, path], tmp_path / "x.html").read_text()
    assert page.count("<svg") == 3 and "highest success" in page
    other = run(tmp_path, "other", document(), sets=("family.reward='sparse'",))
    (other / "metrics.jsonl").write_text((path / "metrics.jsonl").read_text())
    page = pages.write([path, other], tmp_path / "x.html").read_text()
    assert page.count("<svg") == 3 and "Training on toy, sparse reward;" in page  # returns of two kinds


def test_families_have_a_section_each(tmp_path):
    paths = [run(tmp_path / family, "a", document(family=family)) for family in ("one", "two")]
    page = pages.write(paths, tmp_path / "x.html").read_text()
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles == [
        "Success in 2 families",
        "Adaptation to new tasks of one",
        "Adaptation to new tasks of two",
        "Provenance",
    ]
    links = re.findall('<li><a href="#(.*?)">', page)
    assert links == re.findall('<section id="(.*?)">', page) and len(links) == 4
    assert re.findall('<p class="finding">.*?</p>', page)[0].startswith('<p class="finding">Over 2 families')
    assert page.count("<svg") == 3 and page.index("<svg") < page.index("<table")
    assert page.count('<p class="finding">') == 1


def test_seeds_of_separate_runs_are_pooled(tmp_path):
    """Their training as well."""
    paths = []
    for seed in (0, 1):
        sets = ("training.num_seeds=1", f"training.seed={seed}")
        paths.append(run(tmp_path, f"s{seed}", document(np.zeros((1, 4, 2)), num_seeds=1), sets=sets))
        line = json.dumps({"epoch": 1, "env_steps": 8, "return": [float(seed)]})
        (paths[-1] / "metrics.jsonl").write_text(line + "\n")
    page = pages.write(paths, tmp_path / "x.html", group="algorithm.name").read_text()
    assert "maesn has a success of" in page and "seeds 2" in page
    (arm,) = read_arms(paths, "algorithm.name")
    assert pages._metrics(arm)[0]["return"].tolist() == [0.0, 1.0]
    assert page.count(str(tmp_path / "s")) == 2  # where each run is from


def test_the_policy_of_the_page_admits_the_player_and_nothing_else(page):
    policy = re.search('Content-Security-Policy" content="(.*?)"', page)[1]
    assert policy == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src {viewer.script_source()}; base-uri 'none'; form-action 'none'"
    )


@pytest.mark.slow
def test_a_browser_shows_it_without_complaint(tmp_path):
    """The player in its frame as well, whose script the policy admits."""
    explored = {"cell": 0.5, "counts": ["0 0 2"], "goals": [[[1.0, 0.0, 0.2]]] * 4}
    paths = [run(tmp_path, name, document(explored=explored)) for name in ("a", "b")]
    of_skills(tmp_path / "skills")
    for file in (tmp_path / "skills").iterdir():
        file.rename(paths[0] / file.name)
    dom, log = browse(pages.write(paths, tmp_path / "x.html"))
    assert "CONSOLE" not in log and "</iframe>" in dom and dom.count("<svg") == 4


@pytest.mark.slow
def test_it_is_as_wide_as_the_screen_in_a_browser(tmp_path):
    """Five arms on three families, on a phone and on small and large screens: nothing scrolls but boxes."""
    explored = {"cell": 0.5, "counts": ["0 0 2"], "goals": [[[1.0, 0.0, 0.2]]] * 4}
    paths = [
        run(tmp_path / family, f"{arm} with a long name", document(explored=explored, family=family))
        for family in ("one", "two", "three")
        for arm in ("a", "b", "c", "d", "e")
    ]
    page = pages.write(paths, tmp_path / "x.html").read_text()
    framed = html.escape(page)
    frames = [f'<iframe width="{width}" height="900" srcdoc="{framed}"></iframe>' for width in WIDTHS]
    outside = tmp_path / "screens.html"
    outside.write_text("".join(frames) + f"<title></title><script>{EXCESS}</script>", encoding="utf-8")
    dom, _ = browse(outside)
    sections = page.count("<section ")
    assert sections > 3
    assert re.search("<title>(.*?)</title>", dom)[1] == f"0 0 0 {sections} {sections} {sections}"
