"""Relabelled experience: which skill the decisions speak for, and whether anything was found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.learning import replay
from hmrl_cli.search import relabel
from hmrl_cli.search.relabel import DecisionBuffer


def memory(reward, skill=None, valid=None, searched=None, aim=None):
    """Episodes [M, T] of skills [M, T, 1], which aimed at skills [M] or at none."""
    reward = jnp.array(reward, jnp.float32)
    skill = jnp.zeros((*reward.shape, 1)) if skill is None else jnp.array(skill, jnp.float32)[..., None]
    valid = jnp.ones(reward.shape) if valid is None else jnp.array(valid, jnp.float32)
    searched = jnp.ones(len(reward)) if searched is None else jnp.array(searched)
    searched = jnp.broadcast_to(searched[:, None], reward.shape)
    aimed = jnp.zeros(len(reward)) if aim is None else jnp.ones(len(reward))
    aim = jnp.zeros(len(reward)) if aim is None else jnp.array(aim, jnp.float32)
    return DecisionBuffer(skill, reward, valid, searched, aim[:, None], aimed)


def test_decisions_weigh_by_what_they_earned():
    """Rewards 0, 1, 2 of mean 1 weigh exp(-2s), exp(-s), 1, whatever the units."""
    weight = np.exp([-4.0, -2.0, 0.0])
    weight /= weight.sum()
    skill = np.array([-1.0, 0.5, 0.2])
    mean = weight @ skill
    for reward in ([0.0, 1.0, 2.0], [-300.0, -200.0, -100.0]):
        got, std = relabel.target(memory([reward], [skill]), 2.0, 0.1)
        np.testing.assert_allclose(got, [mean], rtol=1e-4)
        np.testing.assert_allclose(std, [np.sqrt(weight @ (skill - mean) ** 2 + 0.01)], rtol=1e-4)


def test_what_was_not_done_speaks_for_nothing():
    mean, std = relabel.target(memory([[0.0, 9.0]], [[0.5, -0.5]], valid=[[1, 0]]), 10.0, 0.1)
    np.testing.assert_allclose((*mean, *std), [0.5, 0.1], rtol=1e-5)
    nothing = relabel.empty_buffer(2, 3, 4, 1)
    mean, std = relabel.target(nothing, 10.0, 0.1)
    np.testing.assert_allclose((*mean, *std), [0.0, 0.1], rtol=1e-5)
    assert relabel.reward_gain(nothing) == 0 and relabel.extent(nothing, mean, 0.0) == 0


def test_a_batch_is_written_to_its_rows():
    new = memory([[1.0, 2.0]])
    got = replay.put_batch(relabel.empty_buffer(3, 1, 2, 1), new, jnp.int32(1))
    np.testing.assert_array_equal(got.reward, [[0, 0], [1, 2], [0, 0]])
    np.testing.assert_array_equal(got.searched[:, 0], [0, 1, 0])


def test_a_gain_is_relative_to_episodes_that_searched():
    """Those that go for what was found, however many, do not make it usual; nor do half of the searches."""
    reward = [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 5.0, 5.0], *[[5.0] * 4] * 8]
    assert relabel.reward_gain(memory(reward, searched=[1.0, 1.0, *[0.0] * 8])) == 5
    assert relabel.reward_gain(memory([[0.0, 0.0, 5.0, 5.0, 5.0]])) == 5
    assert relabel.reward_gain(memory([[5.0, 5.0]])) == 0


def test_the_extent_is_that_of_what_stands_out():
    reward = [[0.0, 0.0, 0.0, 0.3, 2.0, 1.8]]
    seen = memory(reward, skill=[[-1.0, -0.5, 0.0, 0.3, 0.5, 0.7]])
    assert relabel.extent(seen, jnp.array([0.5]), 1.0) == pytest.approx(0.2)
    assert relabel.extent(seen, jnp.array([0.5]), 3.0) == 0


PASSED = [0.0, 0.0, 1.0, 0.0], [0.0, 0.2, 0.4, 0.6]  # rewards and skills of an episode that ran past one
NEVER = [0.0] * 4
KEPT = [0.0, 1.0, 1.0, 1.0], [0.0, 0.4, 0.4, 0.4]


def best(*episodes, aim, valid=None):
    """The best guess for a reward at 0.4, with a kernel of 0.05."""
    rewards, skills = zip(*episodes, strict=True)
    return float(relabel.best_guess(memory(rewards, skills, valid, aim=aim), jnp.array([0.4]), 0.05)[0])


def test_the_best_guess_is_the_center_until_something_else_is_known():
    assert best(PASSED, aim=[0.9]) == pytest.approx(0.4)  # one that passed it says nothing against
    assert best(PASSED, KEPT, aim=[0.9, 0.7]) == pytest.approx(0.7)  # what ended there outranks it
    assert best(PASSED, KEPT, (NEVER, NEVER), aim=[0.9, 0.7, 0.7]) == pytest.approx(0.4)  # but not by chance
    nothing = relabel.empty_buffer(2, 3, 4, 1)
    np.testing.assert_array_equal(relabel.best_guess(nothing, jnp.zeros(1), 0.05), [0.0])


def test_a_center_that_missed_is_corrected_by_the_bias_near_it():
    """Biases are shrunk by one episode without any, and those far away or of a fall do not count."""
    beyond = NEVER, [0.0, 0.2, 0.4, 0.6]
    assert best(PASSED, beyond, aim=[0.9, 0.4]) == pytest.approx(0.4 - 0.2 / 2, abs=1e-4)
    assert best(PASSED, *[beyond] * 3, aim=[0.9, *[0.4] * 3]) == pytest.approx(0.4 - 0.2 * 3 / 4, abs=1e-4)
    fallen = [[1] * 4, [1, 1, 1, 0]]
    assert best(PASSED, beyond, aim=[0.9, 0.4], valid=fallen) == pytest.approx(0.4, abs=1e-4)
    far = NEVER, [-0.8] * 4
    assert best(PASSED, beyond, far, aim=[0.9, 0.4, -0.5]) == pytest.approx(0.4 - 0.2 / 2, abs=1e-4)


def test_a_guess_lies_in_the_box_of_skills():
    """A place beyond it is credited with what was repeated at the border, and so given up."""
    outside = jnp.array([1.3])
    untold = relabel.empty_buffer(1, 2, 4, 1)
    assert relabel.best_guess(untold, outside, 0.05, bound=0.3) == pytest.approx(0.3)
    failed = memory([NEVER] * 8 + [KEPT[0]], [[1.0] * 4] * 8 + [[0.5] * 4], aim=[1.0] * 8 + [0.5])
    assert relabel.best_guess(failed, outside, 0.05)[0] == pytest.approx(0.5)


def test_false_alarms_and_misses():
    """In 600 tasks of 20 episodes of 20 decisions that cost and find nothing; in as many with one find.

    The costs of decisions spread by a fifth of what counts as found, a tenth of what a find is worth.
    """
    least_gain, worth = 1.0, 2.0

    @jax.jit
    @jax.vmap
    def gains(key):
        cost = 0.2 * jax.random.normal(key, (20, 20))
        nothing = relabel.empty_buffer(1, 20, 20, 2)
        nothing = nothing._replace(reward=-cost, valid=jnp.ones((20, 20)), searched=jnp.ones((20, 20)))
        once = nothing._replace(reward=nothing.reward.at[7, 11].add(worth))
        return relabel.reward_gain(nothing), relabel.reward_gain(once)

    nothing, once = gains(jax.random.split(jax.random.key(0), 600))
    assert (nothing > least_gain).mean() < 0.02
    assert (once > least_gain).all()


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_the_base_reward_is_a_quantile(count):
    """As numpy's by the inverted distribution, of numbers of both signs."""
    x, chosen = jax.random.normal(jax.random.key(count), (2, count)), jnp.arange(count) % 3 != 1
    for share in (0.25, 0.5, 1.0):
        expected = np.quantile(x[0][chosen], share, method="inverted_cdf")
        assert float(relabel._quantile(x[0], chosen, share)) == expected
    assert np.isnan(relabel._quantile(x[0], chosen & False, 0.25))
