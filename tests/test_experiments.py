"""What `experiments` holds: small studies that open with question and answer, and presets that ship."""

import importlib
import json
import re
import runpy
import tomllib
from pathlib import Path

import numpy as np
import pytest

from hmrl_cli.config import layers, presets, protocols
from hmrl_cli.report.figures import paths_svg
from hmrl_cli.suite import cells, declaration

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "experiments"
STUDIES = sorted(file.parent for file in (EXPERIMENTS / "studies").glob("*/README.md"))
KB, MB = 1000, 1_000_000
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def sentences(text: str) -> list[str]:
    """Of everything but code, tables and headings."""
    lines = [line for line in text.splitlines() if not line.startswith(("|", "#", "    ", "!["))]
    text = re.sub(r"\[[^\]]*\]|`[^`]*`", "X", "\n".join(lines))  # an interval, a link or a name is one word
    return [one.strip() for one in re.split(r"(?<=[.:?;])[*]*\s+", text) if one.strip()]


NUMBER = r"-?\d+(?:\.\d+)?"
INTERVAL = re.compile(rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\]")
DECIMAL = re.compile(r"(?<![\w.:-])-?\d+\.\d+(?![\w:])")
ELSEWHERE = {  # numbers of a README that are in no summary: published ones, settings, and those told here
    "ablation": {"1.8", "10.6", "3.5"},  # million steps of library and prior; m/s
    "combination": {
        *(
            "-0.29 [-0.36, -0.22]",
            "-0.20 [-0.30, -0.09]",
        ),  # differences over other libraries, of per_task.npz
        *("1.3", "6.2"),  # million steps of the libraries
    },
    "few_step_baseline": {"0.48 [0.36, 0.63]", "0.64 [0.53, 0.76]", "0.56 [0.47, 0.66]", "0.19"},  # before
    "gym": {"0.78"},  # the public PEARL's million steps
    "inner_loops": {"-37.9", "-0.49"},  # the reference lines, as in the study of MAML
    "locomotion": {"0.78", "0.74 [0.62, 0.82]"},  # the public PEARL's million steps, an earlier PEARL
    "maml": {"-40.4", "-11.7", "-3.2", "0.117", "11.7"},  # published
    "outer_steps": {"0.58", "0.57"},  # medians of per_task.npz
    "turned": {"0.09 [0.02, 0.14]"},  # a lead with fewer seeds, on another draw
    "rl2_and_pearl": {"0.96", "8.6"},  # an earlier PEARL
    "skill_libraries": {"10.1", "7.0", "2.3"},  # of VIC's learned prior in the end, of per_task.npz
    "uses_of_skills": {"12.5"},  # million steps of the library
}


def lists(value):
    """Every list of numbers, and every number as a list of one."""
    if isinstance(value, dict):
        for one in value.values():
            yield from lists(one)
    elif isinstance(value, list):
        if value and all(isinstance(one, int | float) for one in value):
            yield value
        for one in value:
            yield from lists(one)
    elif isinstance(value, int | float):
        yield [value]


def told(text, values):
    """Whether a number is one of some values at its digits, which a summary has to five decimals."""
    return np.abs(values - float(text)) <= 0.5 * 10.0 ** -len(text.partition(".")[2]) + 6e-6


def untold(text, summaries):
    """Intervals and decimal numbers of a text that are not in the summaries."""
    found = [numbers for file in summaries for numbers in lists(json.loads(file.read_text()))]
    triples = np.array(
        [one for one in found if len(one) == 3]
        + [[sum(one) / len(one), min(one), max(one)] for one in found if len(one) > 1]  # over seeds
    )
    steps = [
        row["env_steps"] / 1e6 for file in summaries for row in json.loads(file.read_text())["runs"].values()
    ]
    values = np.array([*(number for numbers in found for number in numbers), *steps])
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)
    missing = {
        match[0]
        for match in INTERVAL.finditer(text)
        if not np.logical_and.reduce([told(match[i + 1], triples[:, i]) for i in range(3)]).any()
    }
    alone = DECIMAL.findall(INTERVAL.sub("", text))
    return missing | {number for number in alone if not told(number, values).any()}


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_numbers_of_a_study_are_those_of_its_summary(study):
    readme = study / "README.md"
    linked = [(study / link).parent / "summary.json" for link in LINK.findall(readme.read_text())]
    summaries = [
        study / "summary.json",
        *(file for file in linked if file.is_file() and file.parent != study),
    ]
    assert untold(readme.read_text(), summaries) == ELSEWHERE.get(study.name, set())


@pytest.mark.parametrize("readme", [ROOT / "README.md", EXPERIMENTS / "studies" / "README.md"])
def test_intervals_of_an_overview_are_those_of_the_studies(readme):
    """Of the rows of its table of studies."""
    studies = {study.name: study / "summary.json" for study in STUDIES}
    rows = [
        (row, studies[name[1]])
        for row in readme.read_text().splitlines()
        if row.startswith("|") and (name := re.search(r"(\w+)/README\.md", row)) and name[1] in studies
    ]
    assert len(rows) >= 8
    assert {number for row, summary in rows for number in untold(row, [summary])} <= {"-11.7"}  # published


def test_all_studies_together_are_small():
    assert size(EXPERIMENTS / "studies") <= 6 * MB
    assert len(STUDIES) >= 12


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_study_has_its_parts(study):
    assert (study / "run.sh").is_file() and (study / "gather.py").is_file()
    assert (study / "summary.json").stat().st_size <= 30 * KB
    figures = list(study.glob("*.svg"))
    assert 1 <= len(figures) <= 3 and all(figure.stat().st_size <= 80 * KB for figure in figures)
    text = (study / "README.md").read_text()
    captioned = re.findall(r"^!\[.*\]\((.*)\)\n\n(?=[A-Z`].*\.\n\n)", text, re.MULTILINE)
    assert sorted(captioned) == sorted(figure.name for figure in figures)
    with np.load(study / "per_task.npz") as arrays:
        assert {arrays[name].dtype.kind for name in arrays} <= {"f", "S"}
        assert {arrays[name].dtype.itemsize for name in arrays if arrays[name].dtype.kind == "f"} == {4}


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_study_opens_with_its_question_and_answer(study):
    text = (study / "README.md").read_text()
    heading, empty, answer = text.splitlines()[:3]
    assert heading.startswith("# ") and heading.endswith("?") and not empty
    assert answer.startswith("**") and answer.endswith(".**") and re.search(r"-?\d\.\d+ \[", answer)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Protocol",
        "## Results",
        "## What falls short",
        "## Command",
    ]
    assert len(text.splitlines()) <= 120


READMES = [
    EXPERIMENTS / "README.md",
    *EXPERIMENTS.glob("*/README.md"),
    *EXPERIMENTS.glob("studies/*/README.md"),
]


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.parent.name)
def test_prose_is_short_and_links_lead_somewhere(readme):
    text = readme.read_text()
    assert [one for one in sentences(text) if len(one.split()) > 25] == []
    shown = LINK.sub("", text)  # the address of a link is not read
    cells = [cell.strip() for line in shown.splitlines() if line.startswith("|") for cell in line.split("|")]
    assert [cell for cell in cells if len(cell) > 120] == []
    links = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (readme.parent / link).exists()] == []


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_figures_have_one_decimal(study):
    for figure in study.glob("*.svg"):
        coordinates = re.findall(r' (?:d|x|y)="([^"]*)"', figure.read_text())
        assert coordinates and not re.search(r"\.\d\d", " ".join(coordinates))


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "studies"))
    return lambda name: importlib.import_module(f"shared.{name}")


def test_an_arm_has_one_colour_in_every_study(shared):
    figures = shared("figures")
    assert len({*figures.ARMS.values()}) == len(figures.ARMS)
    assert (
        figures.colour_of("MAML over skills")
        != figures.colour_of("MAML without skills")
        == figures.ARMS["MAML"]
    )
    assert [*figures._styles(["MAESN, refit", "MAML", "MAESN, own update"]).values()] == ["-", "--", "-"]
    known = {*figures.COLOURS.values(), *figures.PALETTE, "#000000", "#ffffff", "#b0b0b0"}  # frame and grid
    for figure in EXPERIMENTS.glob("studies/*/*.svg"):
        assert {*re.findall(r"#[0-9a-f]{6}\b", figure.read_text())} <= known, figure


ONE_STUDY = next(study for study in STUDIES if study.name == "rl2_and_pearl")


@pytest.mark.parametrize(
    "study", [one if one == ONE_STUDY else pytest.param(one, marks=pytest.mark.slow) for one in STUDIES]
)
def test_figures_are_those_of_the_data(shared, study, tmp_path):
    """What is drawn anew has the words, colours and number of lines of what is there."""
    gather = runpy.run_path(str(study / "gather.py"))
    gather["draw"](tmp_path, *shared("results").read(study))
    drawn = {figure.name: figure.read_text() for figure in tmp_path.glob("*.svg")}
    assert {*drawn} == {figure.name for figure in study.glob("*.svg")}
    for name, text in drawn.items():
        kept = (study / name).read_text()
        for part in (r"<text[^>]*>([^<]*)<", r"#[0-9a-f]{6}\b", r"<path "):
            assert re.findall(part, text) == re.findall(part, kept), (name, part)


def evaluation(**changes):
    """A document of one seed, two tasks and two steps."""
    curve = {"mean": [0.0, 0.5], "low": [0.0, 0.1], "high": [0.2, 0.9], "iqm": [0.0, 0.4]}
    per_task = {name: [[[0.0, 0.1], [0.0, 0.9]]] for name in ("return", "success", "reached")}
    return {
        "split": "test",
        "reward": "sparse",
        "num_seeds": 1,
        "num_tasks": 2,
        "episodes": 5,
        "steps": [0, 1],
        "flat": 0.0,
        "feasible": 1.0,
        "tasks_sha256": "0" * 64,
        "adaptation": {"rule": "gradient"},
        **{name: curve for name in ("return", "success", "reached", "fraction")},
        "per_task": per_task | {"flat": [0.0, 0.0], "feasible": None},
        **changes,
    }


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"rule": "gradient"}, "own"),
        ({"rule": "refit", "tune_after": 10}, "tuned"),
        ({"rule": "refit", "imitation_steps": 200}, "imitation"),
        ({"rule": "refit", "fallback": 0.3}, "exploring"),
        ({"rule": "relabel"}, "relabel"),
    ],
)
def test_an_evaluation_is_named_by_how_it_adapts(shared, settings, name):
    assert shared("results").rule(evaluation(adaptation=settings)) == name


def test_every_number_of_an_evaluation_is_kept(shared):
    results = shared("results")
    arrays = results.as_kept(results.evaluation_arrays("arm/test-sparse-own", evaluation()))
    returned = arrays["arm/test-sparse-own/return"]
    assert returned.dtype == np.float32 and returned.tolist() == [
        [[0.0, np.float32(0.1)], [0.0, np.float32(0.9)]]
    ]
    assert arrays["arm/test-sparse-own/flat"].shape == (2,) and arrays["arm/test-sparse-own/feasible"] == 1
    protocols = []
    row = results.evaluation_row(evaluation(), protocols)
    assert row["return"].tolist() == [0.4, 0.1, 0.9] and row["success"].tolist() == [0.5, 0.1, 0.9]
    assert row["protocol"] == 0 and protocols[0]["updates"] == 1 and protocols[0]["rule"] == "gradient"


def test_a_study_grows_arm_by_arm(shared, tmp_path, capsys):
    """An arm that the folder has not stays, unless the suite declares it otherwise now."""
    results, study = shared("results"), EXPERIMENTS / "studies" / "rl2_and_pearl"
    summary, arrays = results.gather_suite(study, tmp_path / "empty")
    before, kept = results.read(study)
    assert summary["evaluations"] == before["evaluations"] and summary["runs"] == before["runs"]
    assert {*arrays} == {*kept} and all(np.array_equal(arrays[name], kept[name]) for name in kept)
    (other := tmp_path / study.name).mkdir()
    arm, *others = before["runs"]
    text = kept[f"{arm}/config"].item().replace(b'name = "sparse_point"', b'name = "point"')
    results.write(other, before, kept | {f"{arm}/config": np.bytes_(text)})
    assert [*results.gather_suite(other, tmp_path / "empty")[0]["runs"]] == others
    assert capsys.readouterr().err == f"{arm}: left out, for it was trained with another family.name\n"


def test_paths_are_read_back_from_a_picture(shared, tmp_path):
    walks = np.cumsum(np.random.default_rng(0).normal(size=(2, 3, 1, 101, 2)), axis=3)
    (tmp_path / "skills.svg").write_text(paths_svg(walks, "skills"))
    found = shared("paths").read(tmp_path / "skills.svg")
    assert found["seed_and_which"].tolist() == [[seed, which] for seed in range(2) for which in range(3)]
    ends = [line[~np.isnan(line[:, 0])][[0, -1]] for line in found["points"]]
    assert np.allclose(ends, walks[..., [0, -1], :].reshape(6, 2, 2), atol=1e-3)


def test_presets_protocols_and_one_script_are_in_the_wheel_and_small():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert build["force-include"] == {
        "experiments/presets": "hmrl_cli/presets",
        "experiments/batch/requeue.sh": "hmrl_cli/suite/requeue.sh",
    }
    assert presets.folder() == EXPERIMENTS / "presets"
    assert size(EXPERIMENTS / "presets") < 1 * MB
    everything = list((EXPERIMENTS / "presets").rglob("*.toml"))
    assert len(presets.files()) + len(protocols.files()) == len(everything)


SUITES = sorted((EXPERIMENTS / "suites").glob("*.toml"))
OF_GOALS = {"family.goals", "family.goal_radius", "family.sector"}  # which libraries of skills do not see
ANEW = {  # settings in which a suite trains otherwise than the runs that its study shows, as the README tells
    "combination": {"training.num_seeds"},
    "maesn": {
        *("algorithm.mean_step_size", "algorithm.log_std_step_size"),  # of LatentSpace
        *("family.substeps", "training.epochs"),  # of the authors' pusher, and of the longest training
    },
}
KEPT = {  # runs that a study shows and its suite no longer makes, as they are of earlier versions
    "combination": 5,
    "maesn": 3,
}


@pytest.mark.parametrize("study", [one for one in STUDIES if one.name in {file.stem for file in SUITES}])
def test_a_suite_declares_the_runs_that_its_study_shows(study):
    """A setting of a preset that has changed since must be told by the suite."""
    with np.load(study / "per_task.npz") as arrays:
        shown = {
            name.removesuffix("/config"): dict(layers.leaves(tomllib.loads(arrays[name].item().decode())))
            for name in arrays
            if name.endswith("/config")
        }
    free, unlike = {"hierarchy.skills", "training.checkpoint_every", *ANEW.get(study.name, ())}, {}
    for cell in cells.cells(declaration.read(EXPERIMENTS / "suites" / f"{study.name}.toml")):
        name = f"{cell.family}/{'skills/' if cell.kind == 'skills' else ''}{cell.arm}"
        if cell.kind == "eval" or name not in shown:
            continue
        then, now = shown.pop(name), dict(layers.leaves(cell.experiment.model_dump(mode="json")))
        for key in then.keys() & now.keys() - free - (OF_GOALS if cell.kind == "skills" else set()):
            if then[key] != now[key] and not key.startswith("evaluation."):
                unlike[name, key] = then[key], now[key]
    assert unlike == {} and len(shown) == KEPT.get(study.name, 0)


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.stem)
def test_every_suite_can_be_planned_and_has_a_page(file):
    suite = declaration.read(file)
    planned = cells.cells(suite)
    assert suite.name == file.stem and {cell.arm for cell in planned} >= {*suite.arms, *suite.skills}
    assert file.read_text().count("\n") <= 140
