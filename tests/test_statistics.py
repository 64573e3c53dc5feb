import numpy as np
import pytest

from hmrl_cli.statistics import (
    bootstrap_interval,
    interquartile_mean,
    rate_summary,
    score_summary,
    wilson_interval,
)


def test_interquartile_mean_drops_a_quarter_at_either_end():
    assert interquartile_mean(np.array([[-1e9, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 1e9]])) == 3.5


def test_axes_are_reduced_and_the_others_kept():
    scores = np.stack([np.arange(12.0).reshape(3, 4), 100 + np.arange(12.0).reshape(3, 4)], axis=-1)
    np.testing.assert_allclose(interquartile_mean(scores, (0, 1)), [5.5, 105.5])


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(100):
        # tasks differ more than seeds do; the population's interquartile mean is 0 by symmetry
        scores = rng.normal(size=(1, 30)) + 0.3 * rng.normal(size=(5, 30))
        low, high = bootstrap_interval(scores, draws=300)
        hits += low <= 0 <= high
    assert 88 <= hits <= 100


def test_equal_scores_have_an_interval_of_no_width():
    low, high = bootstrap_interval(np.full((3, 5, 2), 2.0))
    np.testing.assert_array_equal([low, high], [[2.0, 2.0]] * 2)


def test_a_summary_repeats_and_is_plain():
    scores = np.random.default_rng(1).normal(size=(2, 6, 3))
    assert score_summary(scores) == score_summary(scores)
    assert all(isinstance(x, float) for values in score_summary(scores).values() for x in values)
    one = score_summary(scores)
    assert all(low <= mid <= high for mid, low, high in zip(one["iqm"], one["low"], one["high"], strict=True))


def test_a_quarter_of_tasks_solved_is_not_hidden():
    rates = np.zeros((3, 40, 1))
    rates[:, :9] = 1.0
    summary = rate_summary(rates)
    assert summary["iqm"] == [0.0] and summary["mean"] == [0.225]
    assert 0.08 < summary["low"][0] < 0.225 < summary["high"][0] < 0.4


def test_no_success_does_not_prove_a_rate_of_zero():
    low, high = wilson_interval(np.zeros(1), 40)  # Wilson 1927: z^2 / (n + z^2)
    np.testing.assert_allclose([low[0], high[0]], [0, 1.96**2 / (40 + 1.96**2)], atol=1e-12)
    assert rate_summary(np.zeros((1, 40, 1)))["high"] == [high[0]]


@pytest.mark.parametrize("num_seeds", [1, 4])
def test_more_tasks_give_a_narrower_interval(num_seeds):
    rng = np.random.default_rng(2)
    few, many = rng.normal(size=(num_seeds, 8)), rng.normal(size=(num_seeds, 200))
    width = [high - low for low, high in map(bootstrap_interval, (few, many))]
    assert width[1] < width[0] / 2
