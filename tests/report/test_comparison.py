"""Runs that met the same tasks are compared, on a page that stands alone."""

import json

import numpy as np
import pytest

from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.evaluation.exploration import cells_of
from hmrl_cli.report import comparison
from hmrl_cli.report import page as pages
from hmrl_cli.report.comparison import compare
from hmrl_cli.runner import evaluate
from hmrl_cli.runner.progress import Silent
from hmrl_cli.storage import reader
from tests.storage.documents import document, run

pytestmark = pytest.mark.xdist_group("experiment")  # one process, which trains `runs` once


def test_an_option_is_told_as_a_shell_and_toml_read_it():
    asked = {"name": "explore", "changed": {"deterministic": True, "x": [1, 2]}}
    assert comparison._options(asked) == (
        " --protocol explore --set evaluation.deterministic=true --set 'evaluation.x=[1, 2]'"
    )


def test_reports_compare_what_met_the_same_tasks_and_stand_alone(runs, tmp_path):
    for name in ("maml", "maesn"):
        evaluate.evaluate(reader.read(runs / name), split="test", progress=Silent())
    compared = compare([runs / "maml", runs / "maesn"])
    rows = compared["rows"]
    assert {(row["run"], row["split"]) for row in rows} >= {("maml", "test"), ("maesn", "test")}
    assert ("maml", "maesn", "test") in {
        (one["run"], one["minus"], one["split"]) for one in compared["differences"]
    }
    assert {row["adaptation"] for row in rows} >= {"own update"}
    other = runs / "maesn" / "eval" / "test-sparse.json"
    evaluated = json.loads(other.read_text())
    evaluated["adaptation"] |= {"rule": "refit", "imitation_steps": 2}
    other.write_text(json.dumps(evaluated))
    (row,) = [row for row in compare([runs / "maesn"])["rows"] if row["split"] == "test"]
    assert row["adaptation"] == "rule refit, imitation_steps 2"
    assert row["env_steps"] == evaluated["env_steps"][-1] > 0
    explored = evaluated["explored"]
    assert len(explored["goals"]) == evaluated["num_tasks"] and explored["cell"] == 0.05
    batches = (np.array(evaluated["per_task"]["reached"]) == 0)[..., :-1].sum() + evaluated["num_tasks"] * 2
    places = batches * evaluated["episodes"] * 7  # of each episode of a horizon of 6
    assert sum(count for _, _, count in cells_of(explored)) == places
    page = pages.write([runs / "maml", runs / "maesn", runs / "diayn"], tmp_path / "r.html").read_text()
    assert page.count("<svg") == 6 and "default-src 'none'" in page and "<script" not in page
    assert page.count("<iframe") == 1 and len(page.encode()) < 5 * 2**20
    assert "Where maml, maesn explored point" in page and "Not recorded" not in page
    assert not [link for link in page.split('"') if link.startswith("http") and "w3.org" not in link]
    with pytest.raises(InputError, match="diayn: is a run of skills, which do not adapt"):
        pages.write([runs / "diayn"], tmp_path / "skills.svg")
    with pytest.raises(ConfigError, match=r"-o: found 'r.pdf'; must end in .html"):
        pages.write([runs / "maml"], tmp_path / "r.pdf")
    assert pages.write([runs / "maml"], tmp_path / "r.svg").read_text().startswith("<svg")
    assert (
        page == pages.write([runs / "maml", runs / "maesn", runs / "diayn"], tmp_path / "s.html").read_text()
    )
    newest = runs / "maml" / "checkpoints" / "4"
    newest.rename(tmp_path / "4")
    lost = (
        r"checkpoint 4, of which test-sparse\.json is, is damaged or gone\nto restore it: hmrl resume .*maml$"
    )
    with pytest.raises(InputError, match=lost):
        compare([runs / "maml"])
    (tmp_path / "4").rename(newest)
    other.write_text(json.dumps(evaluated | {"epoch": 2}))
    with pytest.raises(InputError, match="is of epoch 2, and not of the newest checkpoint, 4") as caught:
        compare([runs / "maml", runs / "maesn"])
    assert str(caught.value).endswith(" --reward sparse")
    other.write_text(json.dumps(evaluated | {"tasks_sha256": "0"}))
    with pytest.raises(InputError, match=r"test-sparse: its tasks are not those of .*maml"):
        compare([runs / "maml", runs / "maesn"])


def test_families_have_rows_differences_and_means_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    paths, rates = [], {"a": (0.2, 0.6), "b": (0.4, 0.0)}
    for name, of_families in rates.items():
        for family, rate in zip(("one", "two"), of_families, strict=True):
            scores = rng.normal(size=(2, 4, 2))
            paths.append(run(tmp_path / family, name, document(scores, rate, family=family)))
    found = compare(paths)
    assert [(row["family"], row["run"]) for row in found["rows"]] == [
        ("one", "a"), ("one", "b"), ("two", "a"), ("two", "b"),
    ]  # fmt: skip
    assert [(one["family"], one["minus"]) for one in found["differences"]] == [("one", "b"), ("two", "b")]
    for one in found["aggregate"]:
        mine = [row["numbers"] for row in found["rows"] if row["run"] == one["run"]]
        for measure in ("success", "fraction"):
            middle = np.mean([numbers[measure]["mean"] for numbers in mine])
            np.testing.assert_allclose(one[measure]["mean"], middle)
            assert one[measure]["low"] <= middle <= one[measure]["high"]
    assert [one["families"] for one in found["aggregate"]] == [2, 2]
    assert compare(paths[:3])["aggregate"][0]["run"] == "a"
    assert compare([paths[0], paths[3]])["aggregate"] == compare(paths[::2])["aggregate"] == []


def test_only_a_group_by_a_setting_of_the_family_may_have_tasks_of_its_own(tmp_path):
    paths = [
        run(
            tmp_path,
            str(radius),
            document(tasks_sha256=str(radius)),
            sets=(f"family.sparse_radius={radius}",),
        )
        for radius in (0.1, 0.5)
    ]
    with pytest.raises(InputError, match=r"its tasks are not those of .*0.1"):
        compare(paths)
    found = compare(paths, "family.sparse_radius")
    assert [row["run"] for row in found["rows"]] == ["0.1", "0.5"] and found["differences"] == []


def test_other_reference_lines_are_those_of_another_family(tmp_path):
    near, far = (run(tmp_path, str(flat), document(flat=flat)) for flat in (-5.001, -6.0))
    assert len(compare([run(tmp_path, "a", document()), near])["differences"]) == 1
    with pytest.raises(InputError, match=r"lines are not those of .*a\n.*--group family.KEY"):
        compare([tmp_path / "a", far])


def test_a_group_of_which_some_runs_were_not_evaluated_is_refused(tmp_path):
    """Their seeds would be left out in silence."""
    sets = [
        (f"algorithm.discount={loss}", f"training.seed={seed}") for loss in (0.9, 0.95) for seed in (0, 2)
    ]
    paths = [run(tmp_path, f"r{number}", document(), sets=one) for number, one in enumerate(sets)]
    assert len(compare(paths, "algorithm.discount")["rows"]) == 2
    (paths[3] / "eval" / "test-sparse.json").unlink()
    told = (
        r"r3: holds no evaluation test-sparse, which .*r2 has\nto pool them by --group: evaluate it likewise"
    )
    with pytest.raises(InputError, match=told):
        compare(paths, "algorithm.discount")
    (paths[2] / "eval" / "test-sparse.json").unlink()
    with pytest.raises(InputError, match=r"first: hmrl eval \S*r2 \S*r3\n"):
        compare(paths, "algorithm.discount")


def test_episodes_of_other_lengths_are_not_compared(tmp_path):
    paths = [run(tmp_path, str(n), document(), sets=(f"family.horizon={n}",)) for n in (20, 40)]
    with pytest.raises(InputError, match=r"its episodes have 40 steps, those of .*20 20\nmust have equal"):
        compare(paths)
    assert len(compare(paths, "family.horizon")["rows"]) == 2


def test_all_runs_without_an_evaluation_are_named_at_once(tmp_path):
    paths = [run(tmp_path, name, document()) for name in "abc"]
    for path in paths[1:]:
        (path / "eval" / "test-sparse.json").unlink()
    with pytest.raises(
        InputError, match=r"b: holds no evaluation; first: hmrl eval \S*b \S*c\nalso without one: .*c$"
    ):
        compare(paths)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("hidden-dense", "--split hidden --reward dense$"),
        ("tasks-far-sparse", "--tasks FILE --reward sparse$"),
        ("test-sparse-explore", "--split test --reward sparse --protocol explore$"),
        ("test-sparse-episodes=9", "remove it, and repeat the hmrl eval that wrote it"),
    ],
)
def test_the_command_that_mends_a_damaged_evaluation_is_told(tmp_path, name, command):
    path = run(tmp_path, "a", document())
    way = name.partition("-sparse-")[2]
    (path / "eval" / f"{name}.json").write_text("{")
    with pytest.raises(
        InputError, match=f"{name}.json: is damaged: Invalid JSON.*\nto write it anew: .*{command}"
    ):
        compare([path], protocol=way or None)


@pytest.mark.slow
def test_a_protocol_is_compared_alone(tmp_path):
    """By its name, or by what differs; without one, the run's own."""
    paths = [run(tmp_path, name, document()) for name in ("a", "b")]
    ways = {"explore": {"name": "explore"}, "episodes=9": {"changed": {"episodes": 9}}}
    for way, asked in ways.items():
        changed = json.dumps(document(episodes=9, protocol=asked))
        (paths[0] / "eval" / f"test-sparse-{way}.json").write_text(changed)
        assert [row["episodes"] for row in compare(paths[:1], protocol=way)["rows"]] == [9]
        assert "updates 1, episodes 9, " in pages.write(paths[:1], tmp_path / "r.html", way).read_text()
        assert "updates 1, episodes 5, " in pages.write(paths[:1], tmp_path / "r.html").read_text()
    assert [row["episodes"] for row in compare(paths)["rows"]] == [5, 5]
    with pytest.raises(
        InputError, match=r"b: holds no evaluation by 'explore'; first: hmrl eval .*b --protocol"
    ):
        compare(paths, protocol="explore")
    told = r"by 'explroe'; did you mean 'explore'.*\n.*: episodes=9, explore; by its own settings: without --"
    with pytest.raises(InputError, match=told):
        compare(paths, protocol="explroe")
    (paths[0] / "eval" / "test-sparse.json").unlink()
    with pytest.raises(InputError, match="a: holds no evaluation by its own settings; first: hmrl eval"):
        pages.write(paths[:1], tmp_path / "r.html")
    (paths[0] / "eval" / "test-sparse-explore.json").unlink()
    assert compare(paths[:1])["rows"][0]["episodes"] == 9  # a quick look is all that there is
