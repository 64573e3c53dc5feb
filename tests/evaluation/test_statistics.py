import numpy as np
import pytest

from hmrl_cli.evaluation import statistics
from hmrl_cli.evaluation.statistics import (
    bootstrap_interval,
    fraction_over_families,
    fraction_summary,
    interquartile_mean,
    paired_difference,
    paired_rate_difference,
    rate_over_families,
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


def lines(num_tasks, seed=3):
    """Reference lines of tasks that differ far more than either line is from the other."""
    flat = 100 * np.random.default_rng(seed).normal(size=num_tasks)
    return flat, flat + np.random.default_rng(seed + 1).uniform(0.5, 2.0, size=num_tasks)


def test_half_of_every_gap_is_a_half_for_certain():
    flat, feasible = lines(40)
    found = fraction_summary(np.tile((0.5 * flat + 0.5 * feasible)[None, :, None], (3, 1, 2)), flat, feasible)
    for values in found.values():
        np.testing.assert_allclose(values, [0.5, 0.5], rtol=1e-9)
    flat, feasible = np.array([-8.0, 4.0, 64.0]), np.array([-4.0, 12.0, 65.0])  # numbers that are exact
    found = fraction_summary(np.tile((0.5 * flat + 0.5 * feasible)[None, :, None], (5, 1, 1)), flat, feasible)
    assert all(values == [0.5] for values in found.values())


def test_fractions_are_covered_as_often_as_their_intervals_say(monkeypatch):
    """Of tasks that differ by hundreds, where lines are one apart."""
    monkeypatch.setattr(statistics, "DRAWS", 500)
    flat, feasible = lines(30)
    hits, widths = 0, []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        gone = 0.4 + 0.3 * rng.normal(size=(1, 30)) + 0.1 * rng.normal(size=(5, 30))
        found = fraction_summary((flat + gone * (feasible - flat))[..., None], flat, feasible)
        hits += found["low"][0] <= 0.4 <= found["high"][0]
        widths.append(found["high"][0] - found["low"][0])
    assert 52 <= hits <= 60 and 0.1 < np.mean(widths) < 0.4


def test_a_task_of_no_gap_decides_nothing():
    flat, feasible = np.zeros(8), np.array([1e-6, *[1.0] * 7])
    returned = np.full((2, 8, 1), 0.25)  # 250,000 times the way that the first task has
    found = fraction_summary(returned, flat, feasible)
    np.testing.assert_allclose([found["mean"], found["iqm"]], [[2 / 7], [0.25]], rtol=1e-5)
    assert found["high"][0] < 1.0
    assert fraction_summary(returned, flat, flat) is None
    assert fraction_summary(returned, flat, -feasible) is None


def test_the_fraction_is_a_mean_as_published_ones_are():
    """A third of the tasks fail, which an interquartile mean hides in part."""
    gone = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    found = fraction_summary(np.tile(gone[None, :, None], (2, 1, 1)), np.zeros(6), np.ones(6))
    np.testing.assert_allclose([found["mean"][0], found["iqm"][0]], [2 / 3, 5 / 6])
    scores = np.array([[[0.0], [1.0], [1.0], [6.0]]])
    assert (score_summary(scores)["mean"], score_summary(scores)["iqm"]) == ([2.0], [1.0])


def test_differences_are_of_tasks_that_both_met():
    rng = np.random.default_rng(0)
    ours = 10 * rng.normal(size=(1, 30)) + rng.normal(size=(3, 30))
    theirs = ours.mean(axis=0) - 1 + 0.1 * rng.normal(size=(5, 30))
    found = paired_difference(ours, theirs, seeds_paired=False)
    np.testing.assert_allclose(found["mean"], 1.0, atol=0.1)
    assert 0.3 < found["low"] < found["high"] < 1.7
    assert bootstrap_interval(ours, np.mean)[1] - bootstrap_interval(ours, np.mean)[0] > 4  # of either alone


def test_a_draw_takes_tasks_anew_within_each_group():
    """Of an arm that solves all of one split and none of the other, half of the mix is certain."""
    ours, theirs = np.repeat([[1.0, 0.0]], 20, axis=1), np.zeros((1, 40))
    found = paired_difference(ours, theirs, seeds_paired=True, groups=2)
    np.testing.assert_allclose([*found.values()], 0.5)
    pooled = paired_difference(ours, theirs, seeds_paired=True)
    assert pooled["low"] < 0.4 and pooled["high"] > 0.6


def test_seeds_are_paired_where_they_stand_on_the_same_skills():
    """Libraries that differ a lot, and an arm that is better over each of them."""
    library = np.array([0.0, 5.0, 10.0])[:, None] + np.zeros((3, 20))
    paired = paired_difference(library + 1, library, seeds_paired=True)
    own = paired_difference(library + 1, library, seeds_paired=False)
    np.testing.assert_allclose([*paired.values()], 1.0)
    assert own["mean"] == paired["mean"] and own["low"] < -3 and own["high"] > 5


def test_two_rates_of_zero_are_not_equal_for_certain():
    none = np.zeros((3, 40))
    found = paired_rate_difference(none, none, seeds_paired=True)
    wide = 1.96**2 / (120 + 1.96**2)  # Wilson 1927
    np.testing.assert_allclose([found["mean"], found["low"], found["high"]], [0, -wide, wide])
    # Newcombe 1998, method 10, of 1 and of 0 in 120: a root of the squares of both of Wilson's widths
    hardly = none.copy()
    hardly[0, 0] = 1.0
    found = paired_rate_difference(hardly, none, seeds_paired=True)
    least = wilson_interval(1 / 120, 120)[0]
    assert found["low"] == pytest.approx(1 / 120 - np.hypot(1 / 120 - least, wide))
    mirrored = paired_rate_difference(1 - none, 1 - hardly, seeds_paired=False)
    assert mirrored["low"] == pytest.approx(found["low"]) and mirrored["mean"] == pytest.approx(1 / 120)
    # nor is all against nothing
    found = paired_rate_difference(1 - none, none, seeds_paired=True)
    np.testing.assert_allclose([*found.values()], [1, 1 - np.hypot(wide, wide), 1])
    assert paired_rate_difference(none, none + 0.5, seeds_paired=False)["high"] == -0.5


def test_two_arms_that_agree_on_every_task_are_not_equal_for_certain():
    """At any rate: 40 pairs without a difference leave a share of differences of up to 0.09."""
    half = np.arange(40).reshape(1, 40) % 2.0
    wide = 1.96**2 / (40 + 1.96**2)
    for paired in (False, True):
        found = paired_rate_difference(half, half, seeds_paired=paired)
        assert found["mean"] == 0 and found["low"] <= -wide and found["high"] >= wide
    found = paired_rate_difference(half, half, seeds_paired=True)
    np.testing.assert_allclose([found["low"], found["high"]], [-wide, wide])
    found = paired_rate_difference(half, 1 - half, seeds_paired=True)  # which differ everywhere
    assert found == paired_difference(half, 1 - half, seeds_paired=True)


def test_rounding_decides_no_order():
    """Two successes of three and one of three are as many as three and none, but not as float32."""
    ours = np.tile(np.float32([1 / 3, 2 / 3]), (3, 20)).astype(float)
    theirs = np.tile([1.0, 0.0], (3, 20))
    assert ours.mean() != theirs.mean()
    for scale in (1e-6, 1.0, 1e6):
        assert paired_difference(scale * ours, scale * theirs, seeds_paired=False)["mean"] == 0
    assert paired_rate_difference(ours, theirs, seeds_paired=True)["mean"] == 0
    assert paired_difference(ours, ours + 1e-5, seeds_paired=True)["mean"] == pytest.approx(-1e-5)


def test_means_over_families_count_every_family_alike():
    """However many seeds and tasks it has; with closed forms."""
    few, many = np.full((1, 2), 1.0), np.full((3, 40), 0.0)
    found = rate_over_families([few, many])
    # nothing varies, so it is Wilson's: half of the mean rests on two trials
    wide = wilson_interval(0.5, 4 / (1 / 2 + 1 / 120))
    np.testing.assert_allclose([found["mean"], found["low"], found["high"]], [0.5, *wide])
    alike = rate_over_families([np.ones((1, 40)), np.ones((1, 40))])
    assert alike["low"] == pytest.approx(wilson_interval(1.0, 80)[0])
    flat, feasible = np.zeros(4), np.array([1.0, 2.0, 3.0, 4.0])
    halves = [(np.tile(share * feasible, (2, 1)), flat, feasible) for share in (0.2, 0.6)]
    np.testing.assert_allclose(list(fraction_over_families(halves).values()), 0.4)
    assert fraction_over_families([halves[0], (halves[1][0], flat, flat)]) is None


def test_the_interval_over_families_is_as_wide_as_theory_says():
    """Of K families with independent errors, the standard error is that of one divided by sqrt(K)."""
    rates = np.random.default_rng(0).uniform(size=(4, 1, 100))
    found = rate_over_families(list(rates))
    error = rates.std(axis=-1).mean() / np.sqrt(4 * 100)
    # Wilson's interval of the same mean is wider, for rates vary less than successes and failures
    assert found["high"] - found["low"] >= 2 * 1.96 * error
    one = rate_over_families(list(rates[:1]))
    np.testing.assert_allclose((one["high"] - one["low"]) / (found["high"] - found["low"]), 2, rtol=0.1)
