"""Where a reward may be: the mixture, what rules places out, and where to look next."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.schema import Relabel
from hmrl_cli.search import belief as beliefs
from hmrl_cli.search.belief import CANDIDATES, DETECTION, Bank, Belief
from hmrl_cli.types import Continuous

SETTINGS = Relabel(broad=0.2, turned=0.25, sight=0.2)
BANK = Bank(jnp.array([[0.5, 0.5], [-0.9, -0.9]]), jnp.array([1.0, 0.0]), jnp.array([0.3, 2.0]))


def shares(belief):
    """Of the broad, the learned and the turned part."""
    weight = jax.nn.softmax(belief.log_weight)
    return [float(part.sum()) for part in jnp.split(weight, [CANDIDATES, 2 * CANDIDATES])]


def within(distance, sight=0.2):
    return 0.5 + 0.5 * np.tanh(4.0 * (1.0 - np.asarray(distance) / sight))


def test_the_prior_is_a_mixture():
    belief = beliefs.prior(jax.random.key(0), BANK, Continuous(2), SETTINGS, jnp.zeros(2))
    assert shares(belief) == pytest.approx((0.2, 0.6, 0.2), abs=1e-4)
    learned = belief.places[CANDIDATES : 2 * CANDIDATES]
    np.testing.assert_allclose(learned.mean(axis=0), [0.5, 0.5], atol=0.02)  # of the known place alone
    np.testing.assert_allclose(learned.std(axis=0), SETTINGS.width, rtol=0.15)
    assert (np.abs(belief.places[:CANDIDATES]).max(axis=0) > 0.95).all()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_turned_part_keeps_the_distance_from_the_start_and_no_direction(size):
    start = jnp.full(size, -0.1)
    bank = Bank(jnp.full((1, size), 0.3), jnp.ones(1), jnp.full(1, 0.2))
    belief = beliefs.prior(jax.random.key(0), bank, Continuous(size), SETTINGS, start)
    offset = np.asarray(belief.places[2 * CANDIDATES :] - start)
    distance = np.linalg.norm(offset, axis=-1)
    assert distance.mean() == pytest.approx(0.4 * size**0.5, abs=0.02)
    assert distance.std() == pytest.approx(SETTINGS.width, rel=0.15)
    unit = offset / distance[:, None]
    np.testing.assert_allclose(unit.mean(axis=0), 0.0, atol=0.1)
    np.testing.assert_allclose(unit.T @ unit / CANDIDATES, np.eye(size) / size, atol=0.06)


def test_a_turned_place_outside_the_box_of_skills_has_no_weight():
    bank = Bank(jnp.array([[0.9, 0.0]]), jnp.ones(1), jnp.full(1, 0.2))
    belief = beliefs.prior(jax.random.key(0), bank, Continuous(2, (1.0, 0.5)), SETTINGS, jnp.zeros(2))
    outside = (np.abs(belief.places) > np.array([1.0, 0.5])).any(axis=-1)
    assert 0.5 < outside[2 * CANDIDATES :].mean() < 0.8 and not outside[: 2 * CANDIDATES].any()
    assert (jax.nn.softmax(belief.log_weight)[outside] == 0).all()


def test_a_search_never_aims_outside_the_box():
    """Also once all places in it were passed without a reward."""
    bank = Bank(jnp.array([[0.25]]), jnp.ones(1), jnp.full(1, 0.2))
    start = jnp.array([-0.75])

    @jax.jit
    def run(key):
        def batch(belief, key):
            aim = beliefs.next_places(key, belief, start, 4, SETTINGS)
            path = start + jnp.linspace(0.0, 1.0, 20)[None, :, None] * (jnp.clip(aim, -1.0, 1.0) - start)
            return beliefs.after_search(belief, aim, jnp.ones(4), path, jnp.ones((4, 20))), aim

        prior_key, key = jax.random.split(key)
        first = beliefs.prior(prior_key, bank, Continuous(1), SETTINGS, start)
        return jax.lax.scan(batch, first, jax.random.split(key, 26))[1]

    assert np.abs(run(jax.random.key(0))).max() <= 1.0


@pytest.mark.parametrize("size", [1, 3])
def test_without_anything_learned_the_prior_is_broad(size):
    none = Bank(jnp.zeros((4, size)), jnp.zeros(4), jnp.zeros(4))
    belief = beliefs.prior(jax.random.key(0), none, Continuous(size), SETTINGS, jnp.zeros(size))
    alone = beliefs.prior(jax.random.key(0), None, Continuous(size), SETTINGS, jnp.zeros(size))
    assert shares(belief)[0] == pytest.approx(1.0)
    np.testing.assert_array_equal(belief.places[:CANDIDATES], alone.places)
    assert belief.sight == alone.sight == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("extent", "known", "sight"),
    [
        ([0.1, 0.3, 0.2], [1, 1, 1], 0.2),
        ([0.1, 0.3, 0.9], [1, 1, 0], 0.2),
        ([0.3, 0.3, 0.9], [1, 1, 1], 0.3),
        ([0.9, 1.3, 1.1], [1, 1, 1], beliefs.SIGHT),  # dense rewards have no place
        ([0.0, 0.0, 0.1], [1, 1, 1], 0.02),
        ([0.3, 0.3, 0.3], [0, 0, 0], beliefs.SIGHT),
    ],
)
def test_sight_is_learned_where_rewards_have_places(extent, known, sight):
    bank = Bank(jnp.zeros((3, 2)), jnp.array(known, jnp.float32), jnp.array(extent))
    assert beliefs.sight_of(bank, Relabel()) == pytest.approx(sight)
    assert beliefs.sight_of(bank, Relabel(sight=0.7)) == pytest.approx(0.7)


def test_places_are_ruled_out_by_bayes():
    """Against a computation by hand: three places on a line, two episodes."""
    places = np.array([[0.0], [0.3], [0.9]])
    before = Belief(jnp.array(places), jnp.log(jnp.array([0.2, 0.3, 0.5])), jnp.float32(0.2))
    passed = jnp.array([[[0.0], [0.1]], [[0.25], [0.9]]])
    valid = jnp.array([[1.0, 1.0], [1.0, 0.0]])
    aim, aimed = jnp.array([[[0.9], [2.0]], [[0.3], [2.0]]]), jnp.array([1.0, 0.0])
    after = beliefs.after_search(before, aim, aimed, passed, valid)
    first = (1 - DETECTION * within([0.0, 0.2, 0.8])) * (1 - 0.5 * within([0.9, 0.6, 0.0]))
    second = 1 - DETECTION * within(
        [0.25, 0.05, 0.65]
    )  # where it was not is not ruled out, nor what nobody aimed at
    expected = np.array([0.2, 0.3, 0.5]) * first * second
    np.testing.assert_allclose(jax.nn.softmax(after.log_weight), expected / expected.sum(), rtol=1e-4)


@pytest.mark.parametrize("size", [1, 3])
def test_the_next_places_are_the_best_one_after_another(size):
    """Of the ends that are looked at, that with the most weight on its path and at its end."""
    belief = beliefs.prior(jax.random.key(1), None, Continuous(size), SETTINGS, jnp.zeros(size))
    start = jnp.full(size, 0.1)
    got = np.asarray(beliefs.next_places(jax.random.key(2), belief, start, 3, SETTINGS))[:, 0]
    places = np.asarray(belief.places)
    weight = np.full(len(places), 1 / len(places))
    along = np.linspace(0.0, 1.0, 201)[:, None, None]

    def swept(end):
        path = 0.1 + along * (end - 0.1)
        return DETECTION * within(np.linalg.norm(places - path, axis=-1).min(axis=0))

    def score(end):
        return swept(end) + beliefs.STAYING * DETECTION * within(np.linalg.norm(places - end, axis=-1))

    ends = places[:: CANDIDATES // (beliefs.ENDS // 2)]
    for place in got:
        assert score(place) @ weight >= 0.999 * max(score(end) @ weight for end in ends)
        weight = weight * (1 - swept(place))
    if size == 1:  # a path sweeps all between: one end each, and nothing is left
        assert got[0, 0] < -0.8 and got[1, 0] > 0.8 and weight.sum() < 0.15


def test_ten_dimensions_are_searched_where_the_weight_is():
    bank = Bank(jnp.full((1, 10), 0.5), jnp.ones(1), jnp.full(1, 0.2))
    belief = beliefs.prior(jax.random.key(0), bank, Continuous(10), SETTINGS, jnp.zeros(10))
    places = beliefs.next_places(jax.random.key(1), belief, jnp.zeros(10), 4, SETTINGS)[:, 0]
    assert np.isfinite(places).all() and (np.linalg.norm(places - 0.5, axis=1) < 0.5).all()


def test_the_learned_prior_is_used_up_first():
    """A search without a find looks where rewards were, then everywhere."""

    @jax.jit
    def run(key):
        def batch(belief, key):
            aim = beliefs.next_places(key, belief, jnp.zeros(2), 4, SETTINGS)
            path = jnp.linspace(0.0, 1.0, 20)[None, :, None] * aim
            return beliefs.after_search(belief, aim, jnp.ones(4), path, jnp.ones((4, 20))), aim

        prior_key, key = jax.random.split(key)
        return jax.lax.scan(
            batch,
            beliefs.prior(prior_key, BANK, Continuous(2), SETTINGS, jnp.zeros(2)),
            jax.random.split(key, 5),
        )

    belief, aims = run(jax.random.key(3))
    distance = np.linalg.norm(aims - 0.5, axis=-1)
    assert distance[0].min() < 0.2 and (distance[1:].min(axis=1) > 0.3).mean() >= 0.5
    assert shares(belief)[1] < 0.2 and np.isfinite(belief.log_weight).all()


def test_an_episode_of_several_places_sweeps_more():
    """Each way starts where the one before ends, so that the second leg of a path is not a detour."""
    belief = beliefs.prior(jax.random.key(1), None, Continuous(2), SETTINGS, jnp.zeros(2))
    tour = SETTINGS.model_copy(update={"stops": 3})
    found = np.asarray(beliefs.next_places(jax.random.key(2), belief, jnp.zeros(2), 2, tour))
    assert found.shape == (2, 3, 2)
    legs = np.concatenate([np.zeros((2, 1, 2)), found], axis=1)
    along = np.linspace(0.0, 1.0, 60)[:, None]

    def missed(path):
        """Mean probability that a path [F, 2] does not detect a reward."""
        nearest = np.linalg.norm(np.asarray(belief.places)[:, None] - path, axis=-1).min(axis=1)
        return 1 - DETECTION * within(nearest)

    paths = [np.concatenate([a + along * (b - a) for a, b in pairwise(leg)]) for leg in legs]
    together = np.mean(missed(paths[0]) * missed(paths[1]))
    single = np.asarray(beliefs.next_places(jax.random.key(2), belief, jnp.zeros(2), 2, SETTINGS))
    straight = np.mean(missed(along * single[0, 0]) * missed(along * single[1, 0]))
    assert together < 0.35 < 0.6 < straight


def test_draws_have_the_frequencies_of_their_weights():
    weight = jnp.array([0.0, 3.0, 0.0, 1.0, 1e-20, 0.0])
    counts = np.bincount(beliefs._draws(jax.random.key(0), weight, 40_000), minlength=6)
    assert counts[[0, 2, 4, 5]].sum() == 0
    assert counts[1] / counts.sum() == pytest.approx(0.75, abs=0.01)


def test_noise_spreads_the_places():
    belief = beliefs.prior(jax.random.key(0), BANK, Continuous(2), SETTINGS, jnp.zeros(2))
    choose = partial(beliefs.next_places, belief=belief, start=jnp.zeros(2), count=1)
    plain, noisy = (
        np.asarray(jax.vmap(partial(choose, settings=s))(jax.random.split(jax.random.key(1), 40)))
        for s in (SETTINGS, SETTINGS.model_copy(update={"noise": 3.0}))
    )
    assert noisy.std(axis=0).min() > 2 * plain.std(axis=0).max()
