"""Turning back: what an episode notices of its rewards, and where it goes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.environment.rollout import RepeatedAction
from hmrl_cli.search import turning_back


def after(rewards, places, *, least_gain=0.5, moves_on_at=-1, ends_at=-1):
    """The watches after each decision, leaves [T, ...], and whether the episode had turned back [T]."""
    watch, watches = turning_back.begin(jnp.float32(least_gain), 2), []
    start = jnp.array([-0.1, 0.0])
    watch = turning_back.notice(watch, start, jnp.int32(0), jnp.bool_(False))
    for t, (reward, place) in enumerate(zip(rewards, places, strict=True), 1):
        watch = turning_back.sense(watch, jnp.float32(reward), jnp.bool_(t > ends_at > 0))
        place, moves_on = jnp.asarray(place, jnp.float32), jnp.bool_(t == moves_on_at)
        watch = turning_back.notice(watch, place, jnp.int32(t), moves_on)
        watches.append(watch)
    found = jax.tree.map(lambda *x: np.stack(x), *watches)
    return found, np.asarray(turning_back.has_turned(found))


def last(watch):
    """The watch after the last decision."""
    return jax.tree.map(lambda x: x[-1], watch)


EAST = [(x / 10, 0.0) for x in range(6)]
CROSSED = [-0.1, -0.1, 0.7, 0.9, 0.7, -0.1]  # a disc on the way


def test_an_episode_turns_back_once_it_has_left_a_reward():
    watch, back = after(CROSSED, EAST)
    np.testing.assert_array_equal(back, [False] * 5 + [True])
    assert last(watch).turned == 6
    # the ways that end at 0.2, 0.3 and 0.4
    np.testing.assert_allclose(turning_back.place_of(last(watch)), [0.25, 0.0], atol=1e-6)


def test_it_stays_back_and_learns_of_the_place_again():
    watch, back = after([*CROSSED, 0.7], [*EAST, (0.4, 0.0)])
    assert back[-1] and last(watch).turned == 6 and last(watch).met == 4
    assert turning_back.place_of(last(watch))[0] > 0.25


def test_it_does_not_move_on_from_a_reward_to_its_next_aim():
    np.testing.assert_array_equal(after(CROSSED, EAST, moves_on_at=4)[1], [False] * 3 + [True] * 3)
    np.testing.assert_array_equal(after(CROSSED, EAST, moves_on_at=2)[1], [False] * 5 + [True])


@pytest.mark.parametrize(
    ("rewards", "settings"),
    [
        ([-3.0, -2.7, -2.4, -2.1, -2.0, -3.0], {}),  # dense: it rises slowly
        ([-3.0, -2.0, -0.9, 0.1, 0.2, -0.9], {}),  # or fast, but no faster than before
        ([-0.1, -0.1, 0.9, -0.1, -0.1, -0.1], {}),  # it is paid once
        ([0.9, 0.9, 0.9, 0.9, -0.1, -0.1], {}),  # it starts in the disc
        (CROSSED, {"least_gain": jnp.inf}),  # something was found before
        (CROSSED, {"least_gain": 0.0}),  # what counts as found is not known
        ([-0.4, -0.4, -0.4, 0.4, 0.2, 0.0], {"ends_at": 3}),  # a fall cuts costs short
        ([-0.1, -0.1, 0.7, 0.9, 0.0, 0.0], {"ends_at": 4}),  # nothing follows a fall in the disc
    ],
)
def test_what_does_not_stand_out_and_last_turns_nothing_back(rewards, settings):
    assert not after(rewards, EAST, **settings)[1].any()


def test_an_episode_moves_on_between_its_places():
    places = RepeatedAction(jnp.int32(0), jnp.eye(3, 2), jnp.int32(4))
    moved = [bool(turning_back.moving_on(places, jnp.int32(t))) for t in range(12)]
    assert np.flatnonzero(moved).tolist() == [4, 8]
    never = RepeatedAction(jnp.int32(12), jnp.ones(2))
    assert not any(turning_back.moving_on(never, jnp.int32(t)) for t in range(12))
