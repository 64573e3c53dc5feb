"""Tasks: splits that have none in common, hidden ones outside the training distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pydantic
import pytest

from hmrl_cli.errors import ConfigError
from hmrl_cli.families import _goals
from hmrl_cli.families._ring import RingConfig, goal_cost, sample_goal
from tests.families.each import COUNTED, DEAR, NAMES, each, family, make, norm
from tests.families.test_rewards import PAY


def draws(name, split, seed=0, number=200):
    keys = jax.random.split(jax.random.key(seed), number)
    return np.asarray(jax.vmap(lambda key: family(name).sample(key, split))(keys))


def is_lower(goals):
    return goals[:, 1] < 0


def turns_left(routes):
    (x0, y0), (x1, y1) = routes[:, 0:2].T, routes[:, 2:4].T
    return x0 * y1 - y0 * x1 > 0


def goal_is_in_another_lane(rows):
    """Lanes of width .2 from y = -.5 on."""
    block = rows[:, 0].astype(int)
    y = rows[np.arange(len(rows)), 7 + 2 * block]
    return np.floor((y + 0.5) / 0.2) != np.floor((rows[:, 2] + 0.5) / 0.2)


IS_HIDDEN = {
    "point": lambda goals: np.abs(goals).max(axis=-1) >= 0.5,
    "sparse_point": is_lower,
    "wheeled": is_lower,
    "ant_goal": is_lower,
    "reacher": is_lower,
    "pusher": goal_is_in_another_lane,
    "ant_vel": lambda speeds: speeds[:, 0] >= 3.0,
    "ant_dir": lambda angles: angles[:, 0] >= np.pi,
    "ant_maze": lambda goals: goals[:, 0] < 0.25,
    "ant_waypoint": turns_left,
    "half_cheetah_vel": lambda speeds: speeds[:, 0] >= 2.0,
    "cheetah_hurdles": lambda distances: distances[:, 0] >= 2.0,
}


TWO_TASKS = ["half_cheetah_dir"]  # too few to keep splits apart


def test_every_family_is_looked_at():
    assert sorted([*PAY, *COUNTED]) == sorted([*IS_HIDDEN, *TWO_TASKS]) == sorted(NAMES)


@each(IS_HIDDEN, slow=DEAR)
def test_hidden_tasks_lie_outside_the_training_distribution(name):
    assert not IS_HIDDEN[name](draws(name, "train")).any()
    assert not IS_HIDDEN[name](draws(name, "test")).any()
    assert IS_HIDDEN[name](draws(name, "hidden")).all()


@each(IS_HIDDEN, slow=DEAR)
def test_no_task_of_one_split_is_a_task_of_another(name):
    train, test = draws(name, "train"), draws(name, "test")
    assert np.abs(train[:, None] - test[None]).max(axis=-1).min() > 0
    np.testing.assert_allclose(train.mean(axis=0), test.mean(axis=0), atol=0.7)
    np.testing.assert_array_equal(train, draws(name, "train"))


def test_an_ant_of_two_directions_has_them_ahead_and_back():
    both, forward = make("ant_dir", directions="both"), make("ant_dir", directions="forward")

    def angles(one, split):
        return {float(one.sample(jax.random.key(seed), split)[0]) for seed in range(12)}

    assert angles(both, "train") == angles(both, "test") == {0.0, float(np.float32(np.pi))}
    assert angles(forward, "test") == {0.0} and angles(forward, "hidden") == {float(np.float32(np.pi))}
    with pytest.raises(ConfigError, match="leaves no direction out for the hidden split"):
        both.sample(jax.random.key(0), "hidden")


def test_train_and_test_can_have_no_number_in_common(monkeypatch):
    monkeypatch.setattr(_goals, "CELLS", 16)  # so few that every one is drawn
    train, test = (
        set(np.asarray(_goals.uniform(jax.random.key(0), split, (500,), low=-1.0, high=3.0)).tolist())
        for split in ("train", "test")
    )
    assert len(train) == len(test) == 16 and not train & test
    assert sorted(train | test) == pytest.approx(np.linspace(-1, 3, 33)[:-1] + 1 / 16)


@pytest.mark.parametrize(
    ("name", "radius"), [("sparse_point", 1.0), ("wheeled", 2.0), ("ant_goal", 2.0), ("reacher", 0.18)]
)
def test_goals_lie_on_half_circles(name, radius):
    for split in ("train", "test", "hidden"):
        np.testing.assert_allclose(norm(draws(name, split)), radius, rtol=1e-5)


def test_hidden_goals_of_point_lie_around_the_training_square():
    hidden = np.abs(draws("point", "hidden", number=2000)).max(axis=-1)
    assert hidden.min() >= 0.5 and hidden.max() <= 1.0
    # Uniform in area: three quarters of the way out in one coordinate holds (1.5^2 - 1) / 3 of it.
    assert np.mean(hidden < 0.75) == pytest.approx(5 / 12, abs=0.05)
    assert np.abs(draws("point", "hidden", number=2000).mean(axis=0)).max() < 0.05


def ring_draws(split, number=2000, **settings):
    keys = jax.random.split(jax.random.key(0), number)
    return np.asarray(jax.vmap(lambda key: sample_goal(key, split, RingConfig(**settings)))(keys))


def share_of_circle(goals):
    return np.arctan2(goals[:, 1], goals[:, 0]) % (2 * np.pi) / (2 * np.pi)


@pytest.mark.parametrize("goals", ["ring", "arena"])
@pytest.mark.parametrize("sector", [0.125, 0.5, 0.8])
def test_training_and_test_goals_share_a_sector_and_hidden_ones_the_rest(goals, sector):
    train, test, hidden = (
        ring_draws(split, goals=goals, sector=sector) for split in ("train", "test", "hidden")
    )
    for inside in (train, test):
        assert share_of_circle(inside).max() < sector
        assert share_of_circle(inside).mean() == pytest.approx(sector / 2, abs=0.02)
    assert share_of_circle(hidden).min() > sector
    assert share_of_circle(hidden).mean() == pytest.approx((1 + sector) / 2, abs=0.02)
    assert not {*map(tuple, train.tolist())} & {*map(tuple, test.tolist())}


def test_goals_of_an_arena_lie_even_over_its_area_beyond_the_disc_of_the_start():
    for split in ("train", "test", "hidden"):
        goals = ring_draws(split, goals="arena", goal_radius=3.0, sparse_radius=0.8)
        radii = norm(goals)
        assert 1.1 * 0.8 <= radii.min() < 0.95 and 2.97 < radii.max() <= 3.0
        share = (radii**2 - 0.88**2) / (3.0**2 - 0.88**2)  # of the area that is nearer
        np.testing.assert_allclose(np.quantile(share, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.05)
        assert abs(np.corrcoef(share_of_circle(goals), radii)[0, 1]) < 0.1


def test_an_arena_without_room_is_refused():
    with pytest.raises(
        pydantic.ValidationError, match=r"goal_radius: found 0.85; must be more than 1.1 spar"
    ):
        RingConfig(goals="arena", goal_radius=0.85)
    RingConfig(goal_radius=0.85)  # a ring has no inside


def test_the_default_sector_draws_the_goals_of_a_half_circle():
    """As they were before sectors could be set."""
    for split, side in (("train", 1.0), ("test", 1.0), ("hidden", -1.0)):
        keys = jax.random.split(jax.random.key(0), 200)
        angle = jax.vmap(lambda key, split=split: _goals.uniform(key, split, high=jnp.pi))(keys)
        way = jnp.stack([jnp.cos(angle), side * jnp.sin(angle)], axis=-1)
        np.testing.assert_array_equal(ring_draws(split, 200), 2.0 * way)
        np.testing.assert_array_equal(draws("sparse_point", split), way)


def test_families_draw_by_their_settings():
    key = jax.random.key(3)
    settings = dict(goals="arena", sector=0.2, goal_radius=4.0)
    for name in ("wheeled", "ant_goal"):
        goal = make(name, **settings).sample(key, "train")
        np.testing.assert_array_equal(goal, sample_goal(key, "train", RingConfig(**settings)))
    goal = make("sparse_point", sector=0.2).sample(key, "train")
    np.testing.assert_array_equal(goal, _goals.sector_goal(key, "train", 1.0, 0.2))


def test_entering_the_disc_of_an_arenas_goal_never_lowers_the_reward():
    """By the norm of order 1, a corner of the disc is farther from a near goal than the start is."""
    config = RingConfig(reward="sparse", goals="arena")
    goal, around = jnp.array([0.0, 0.9]), jnp.linspace(0, 2 * jnp.pi, 33)
    rim = 0.79 * jnp.stack([jnp.cos(around), jnp.sin(around)], axis=-1)
    costs = jax.vmap(lambda offset: goal_cost(offset, goal, 1, config))(rim)
    outside = goal_cost(jnp.array([2.0, 0.0]), goal, 1, config)
    assert float(outside) == pytest.approx(0.9) and jnp.abs(rim).sum(axis=-1).max() > outside
    assert (costs <= outside).all() and (costs < outside).any()
