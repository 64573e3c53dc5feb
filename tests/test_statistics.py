import numpy as np
import pytest

from hmrl_cli.statistics import bootstrap_interval, interquartile_mean, summary


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
    assert summary(scores) == summary(scores)
    assert all(isinstance(x, float) for values in summary(scores).values() for x in values)
    one = summary(scores)
    assert all(low <= mid <= high for mid, low, high in zip(one["iqm"], one["low"], one["high"], strict=True))


@pytest.mark.parametrize("num_seeds", [1, 4])
def test_more_tasks_give_a_narrower_interval(num_seeds):
    rng = np.random.default_rng(2)
    few, many = rng.normal(size=(num_seeds, 8)), rng.normal(size=(num_seeds, 200))
    width = [high - low for low, high in map(bootstrap_interval, (few, many))]
    assert width[1] < width[0] / 2
