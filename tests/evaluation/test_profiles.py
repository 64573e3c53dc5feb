"""Performance profiles and probabilities of improvement, against their definitions."""

import numpy as np
import pytest

from hmrl_cli.evaluation.profiles import (
    difference_over_families,
    fractions,
    performance_profile,
    probability_of_improvement,
)
from hmrl_cli.evaluation.statistics import paired_rate_difference

RNG = np.random.default_rng(0)


def test_a_profile_is_the_share_of_scores_above_each_threshold():
    """Every family counts alike, however many tasks it has."""
    scores = [np.array([[0.1, 0.5], [0.5, 0.9]]), np.ones((1, 8))]
    found = performance_profile(scores, [0.0, 0.5, 0.95, 1.0])
    np.testing.assert_allclose(found["mean"], [1.0, (0.25 + 1) / 2, (0 + 1) / 2, 0.0])
    assert (found["low"] <= found["mean"]).all() and (found["mean"] <= found["high"]).all()
    assert found["low"][0] < 1 and found["high"][-1] > 0  # as Wilson's interval


def test_improvement_is_the_mann_whitney_statistic():
    x, y = RNG.normal(size=(2, 3, 5)).round(1)  # with ties
    y[0, 0] = x[0, 0]
    wins = [(a[t] > b[t]) + 0.5 * (a[t] == b[t]) for a in x for b in y for t in range(5)]
    found = probability_of_improvement([(x, y)], [False])
    assert found["mean"] == pytest.approx(np.mean(wins)) and found["low"] <= found["mean"] <= found["high"]
    other = probability_of_improvement([(y, x)], [False])
    assert found["mean"] + other["mean"] == pytest.approx(1.0)
    sure = probability_of_improvement([(x + 9, y), (x, y - 9)], [False, True])
    assert sure["mean"] == sure["high"] == 1.0 and 0.8 < sure["low"] < 1.0


@pytest.mark.slow
def test_the_interval_covers_no_improvement_as_often_as_it_says():
    """Of two arms alike, 0.5; seeds as well as tasks are drawn."""
    covers = 0
    for _ in range(40):
        x, y = RNG.normal(size=(2, 5, 20)) + RNG.normal(size=(2, 5, 1))
        found = probability_of_improvement([(x, y)], [False])
        covers += found["low"] <= 0.5 <= found["high"]
    assert covers >= 32


def test_a_difference_over_one_family_is_the_paired_difference():
    x, y = RNG.random((2, 4, 10))
    for paired in (False, True):
        one = difference_over_families([(x, y)], [paired])
        assert one == pytest.approx(paired_rate_difference(x, y, seeds_paired=paired), abs=0.02)
    zero = difference_over_families([(0 * x, 0 * y)], [False])
    assert zero["low"] == -zero["high"] < 0
    thirds = np.tile(np.float32([1 / 3, 2 / 3]), (3, 20)).astype(float)  # as many as ones and zeros, rounded
    assert difference_over_families([(thirds, np.tile([1.0, 0.0], (3, 20)))], [False])["mean"] == 0


def test_fractions_leave_out_tasks_whose_gap_is_small():
    per_task = {"flat": [0.0, 0.0, 1.0], "feasible": [10.0, 0.1, 3.0], "return": [[[9, 5], [9, 9], [9, 2]]]}
    np.testing.assert_allclose(fractions(per_task), [[0.5, 0.5]])
    assert fractions(per_task | {"feasible": None}) is None
    assert fractions(per_task | {"feasible": [0.0, 0.0, 0.0]}) is None
