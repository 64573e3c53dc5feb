"""Runs are named by what differs between them, and those that differ only in the seed are pooled."""

from pathlib import Path

import numpy as np
import pytest

from hmrl_cli.errors import ConfigError, InputError
from hmrl_cli.report.arms import Arm, by_family, names, pooled
from hmrl_cli.report.comparison import compare, read_arms
from tests.storage.documents import document, run


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ("hmrl maml", "hmrl maml"),
        ("seed0/meta seed1/meta", "seed0 seed1"),  # two seeds of an array of jobs
        ("s0/hmrl s0/maml s1/hmrl", "s0/hmrl s0/maml s1/hmrl"),
        ("a/x/run b/x/run", "a b"),
        ("deep/er/run run2", "run run2"),
        ("one", "one"),
        ("one two one", "one two one"),
    ],
)
def test_names_are_what_differs(paths, expected):
    assert names([Path(path) for path in paths.split()]) == expected.split()


def seeds_of(folder, algorithm, scores, **changes):
    """A run for each of the scores [seed, task, step], of one seed each."""
    return [
        run(
            folder / f"seed{seed}",
            f"{algorithm}{changes.get('family', '')}",
            document(one[None], num_seeds=1, **changes),
            sets=(f"algorithm.name={algorithm}", f"training.seed={seed}", "training.num_seeds=1"),
        )
        for seed, one in enumerate(scores)
    ]


def test_seeds_of_separate_runs_are_one_row(tmp_path):
    """With the numbers of a run that has all of the seeds."""
    scores = np.random.default_rng(0).normal(size=(3, 4, 2))
    maml = seeds_of(tmp_path, "maml", scores)
    maesn = seeds_of(tmp_path, "maesn", scores[:2] - 1)
    mixed = [maesn[1], *maml, maesn[0]]
    rows = {row["run"]: row for row in compare(mixed, "algorithm.name")["rows"]}
    assert list(rows) == ["maesn", "maml"] and [row["seeds"] for row in rows.values()] == [2, 3]
    whole = run(tmp_path, "whole", document(scores, num_seeds=3), sets=("training.num_seeds=3",))
    (expected,) = compare([whole])["rows"]
    assert rows["maml"] == expected | {"run": "maml", "paths": [str(path) for path in maml]}
    (difference,) = compare(mixed, "algorithm.name")["differences"]
    assert (difference["run"], difference["minus"], difference["pairing"]) == ("maesn", "maml", "by task")
    assert [row["run"] for row in compare(mixed)["rows"]][:2] == ["seed1/maesn", "seed0/maml"]


def test_what_differs_in_more_than_the_seed_is_not_pooled(tmp_path):
    sets = ("training.num_seeds=2", "algorithm.name=maml")
    paths = [run(tmp_path, "a", document(), sets=sets)]
    paths.append(run(tmp_path, "b", document(), sets=(*sets, "algorithm.inner_lr=0.5")))
    rows = compare(paths, "algorithm.name")["rows"]
    assert [row["run"] for row in rows] == ["maml (algorithm.inner_lr 0.1)", "maml (algorithm.inner_lr 0.5)"]
    assert [row["run"] for row in compare(paths, "algorithm.inner_lr")["rows"]] == ["0.1", "0.5"]
    other = run(tmp_path, "c", document(), sets=("algorithm.name=maesn",))
    rows = compare([*paths, other], "training.seed")["rows"]
    assert "algorithm.name maesn" in rows[2]["run"] and "inner_lr 0.5" in rows[1]["run"]


def test_runs_that_cannot_be_pooled_are_refused(tmp_path):
    one, two = seeds_of(tmp_path, "maml", np.zeros((2, 4, 2)))
    with pytest.raises(ConfigError, match=r"--group: found 'algorithm.nam'; did you mean 'algorithm.name'"):
        compare([one, two], "algorithm.nam")
    with pytest.raises(ConfigError, match=r"'hierarchy.skills', a path; must be .* skills.algorithm.name"):
        compare([one, two], "hierarchy.skills")
    with pytest.raises(InputError, match=r"maml: seed 0 is in .*maml as well\nmust differ"):
        compare([one, two, one], "algorithm.name")
    (other,) = seeds_of(tmp_path / "x", "maml", np.zeros((1, 4, 2)), adaptation={"rule": "gradient"})
    with pytest.raises(InputError, match=r"test-sparse: its adaptation is not that of"):
        compare([two, other], "algorithm.name")
    (old,) = seeds_of(tmp_path / "old", "maml", np.zeros((1, 4, 2)), per_task=None)
    with pytest.raises(InputError, match=r"test-sparse: has no number of each task\nto have it: hmrl eval"):
        compare([two, old], "algorithm.name")


def test_seeds_are_paired_where_they_stand_on_the_same_skills(tmp_path):
    paths = [
        run(tmp_path / arm, f"{arm}{seed}", document(np.zeros((1, 4, 2)), num_seeds=1), library, sets)
        for arm, rate in (("a", 0.9), ("b", 0.5))
        for seed, library in enumerate("xy")
        for sets in [("training.num_seeds=1", f"training.seed={seed}", f"algorithm.discount={rate}")]
    ]
    (difference,) = compare(paths, "algorithm.discount")["differences"]
    assert difference["pairing"] == "by task and seed"
    (difference,) = compare(paths[:3], "algorithm.discount")["differences"]
    assert difference["pairing"] == "by task"


def test_families_name_their_runs_alike_and_in_one_order(tmp_path):
    paths = [
        run(tmp_path / family, name, document(family=family))
        for family, order in (("one", "ab"), ("two", "ba"))
        for name in order
    ]
    families = by_family(read_arms(paths))
    assert [[arm.name for arm in arms] for arms in families.values()] == [["a", "b"]] * 2


def test_the_family_of_skills_does_not_name_an_arm():
    """It is that of the arm's tasks, so an arm over skills has one name in every family."""
    arms = [
        Arm(
            "",
            (Path("run"),),
            {"family.name": family, "algorithm.name": "maesn"} | skills,
            {},
            (0,),
            None,
            (),
        )
        for family in ("one", "two")
        for skills in ({}, {"skills.family.name": family, "skills.algorithm.name": "diayn"})
    ]
    named = by_family(pooled(arms, "algorithm.name"))
    assert [[arm.name for arm in members] for members in named.values()] == [
        ["maesn (skills.algorithm.name none)", "maesn (skills.algorithm.name diayn)"]
    ] * 2
