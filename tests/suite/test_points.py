"""Points of a search: every combination of a grid, and draws that depend on the seed alone."""

import math
import re

import pytest

from hmrl_cli.suite.points import points
from tests.suite.test_declaration import ONE

RANDOM = """
[random]
samples = {samples}
seed = {seed}
ranges.algorithm.lr = {{ low = 0.001, high = 1.0, log = true }}
ranges.algorithm.width = {{ low = 1, high = 3 }}
ranges.algorithm.layers = [[8], [16, 16]]
"""


def test_without_a_search_there_is_one_point(read):
    assert points(read(ONE)) == {"": {}}


def test_a_grid_has_every_combination(read):
    found = points(read(ONE + "[grid]\nalgorithm.lr = [0.1, 1e-5]\nalgorithm.hidden = [[8], [16, 16]]\n"))
    assert list(found) == [
        "lr-0.1_hidden-8",
        "lr-0.1_hidden-16x16",
        "lr-1e-05_hidden-8",
        "lr-1e-05_hidden-16x16",
    ]
    assert found["lr-1e-05_hidden-16x16"] == {"algorithm.lr": 1e-5, "algorithm.hidden": [16, 16]}


def test_draws_are_of_the_seed_and_more_samples_keep_the_earlier_ones(read):
    few, many, other = (
        points(read(ONE + RANDOM.format(samples=samples, seed=seed)))
        for samples, seed in ((5, 0), (200, 0), (5, 1))
    )
    assert list(few) == list(many)[:5] and len(many) > 150 and not {*few} & {*other}
    assert points(
        read(ONE + RANDOM.format(samples=5, seed=0) + "[grid]\ntraining.epochs = [1, 2]\n")
    ).keys() == {f"epochs-{epochs}_{name}" for epochs in (1, 2) for name in few}
    rates = [point["algorithm.lr"] for point in many.values()]
    assert 0.001 <= min(rates) < 0.002 and 0.5 < max(rates) <= 1.0
    assert abs(sum(map(math.log10, rates)) / len(rates) + 1.5) < 0.2  # even in the logarithm
    assert {point["algorithm.width"] for point in many.values()} == {1, 2, 3}
    assert {len(point["algorithm.layers"]) for point in many.values()} == {1, 2}


def test_a_date_has_a_name_too(read):
    assert list(points(read(f"{ONE}[grid]\nalgorithm.lr = [2020-01-01]\n"))) == ["lr-2020-01-01"]


@pytest.mark.parametrize("values", ['["a/b", "a b"]', '["' + "x" * 200 + '", "' + "x" * 201 + '"]'])
def test_names_are_those_of_folders_and_differ(values, read):
    names = list(points(read(f"{ONE}[grid]\nfamily.name = {values}\n")))
    assert len({*names}) == 2 and all(re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name) for name in names)
