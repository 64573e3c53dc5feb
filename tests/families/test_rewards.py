"""Rewards in closed form, with the physics replaced by bodies that jump anywhere: nothing is compiled."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.evaluation.tasks import sample_tasks
from hmrl_cli.families import _physics
from tests.families.bodies import jumping
from tests.families.each import BODIES, DEAR, each, make, norm


class Pay(NamedTuple):
    """What is known of a family's reward in closed form."""

    tasks: Any  # (key, family) -> tasks [256, task_size], some of which the jump solves
    flat: Any  # (tasks, sum of squared actions) -> sparse reward [256] where it is not solved
    offset: float = 0.0  # sparse - dense reward where it is
    reach: float = 1.0
    settings: Mapping[str, float] = {}


def near(spread: float, size: int = 2) -> Any:
    return lambda key, one: spread * jax.random.normal(key, (256, size))


def drawn(key, one) -> jax.Array:
    return sample_tasks(one, "test", 256)


def blocks_near_their_goals(key, one):
    tasks = sample_tasks(one, "test", 256)
    block = tasks[:, 0].astype(int)
    row = jnp.arange(256)
    place = jnp.stack([tasks[row, 6 + 2 * block] + 0.2 * (block + 1), tasks[row, 7 + 2 * block]], axis=1)
    return tasks.at[:, 1:3].set(place + 0.2 * jax.random.normal(key, (256, 2)))


PAY = {
    "point": Pay(near(0.15), lambda task, effort: 0.0 * effort, offset=0.1),
    "sparse_point": Pay(near(0.3), lambda task, effort: 0.0 * effort, offset=1.0),
    "wheeled": Pay(near(1.2), lambda task, effort: -norm(task) - 0.05 * 4 * effort),
    "ant_goal": Pay(near(1.2), lambda task, effort: 4.05 - np.abs(task).sum(axis=-1) - 0.005 * effort),
    "pusher": Pay(blocks_near_their_goals, lambda task, effort: -5 * norm(task[:, 1:3])),
    "reacher": Pay(near(0.04), lambda task, effort: -norm(task) - 0.01 * effort),
    "ant_vel": Pay(drawn, lambda task, effort: 0.05 - 0.005 * effort, offset=0.5 - 1.0, reach=2.5),
    "ant_dir": Pay(
        drawn, lambda task, effort: 0.05 - 0.005 * effort, reach=10.0, settings={"sparse_distance": 0.5}
    ),
    "ant_maze": Pay(near(0.8), lambda task, effort: 0.0 * effort),
    "half_cheetah_vel": Pay(drawn, lambda task, effort: -0.05 * effort, offset=0.5, reach=2.0),
    "half_cheetah_dir": Pay(
        drawn, lambda task, effort: -0.05 * effort, reach=10.0, settings={"sparse_distance": 0.5}
    ),
}


@each(PAY, slow=DEAR)
def test_sparse_is_dense_inside_the_disc_and_flat_outside(name, monkeypatch):
    pay = PAY[name]
    monkeypatch.setattr(_physics, "load", jumping(pay.reach))
    # Of one step, so that a speed is kept over the whole episode.
    dense, sparse = (make(name, reward=reward, horizon=1, **pay.settings) for reward in ("dense", "sparse"))
    tasks = pay.tasks(jax.random.key(0), dense)
    actions = jax.random.normal(jax.random.key(1), (256, dense.action.size))

    def once(family, seed, task, action):
        state = family.step(family.reset(jax.random.key(seed), task), action, task)
        return state.reward, state.success

    (dense_reward, inside), (sparse_reward, inside_too) = (
        map(np.asarray, jax.jit(jax.vmap(functools.partial(once, one)))(jnp.arange(256), tasks, actions))
        for one in (dense, sparse)
    )
    assert 10 < inside.sum() < 246
    np.testing.assert_array_equal(inside, inside_too)
    effort = np.square(np.clip(actions, -1, 1)).sum(axis=-1)
    flat = pay.flat(np.asarray(tasks), effort)
    np.testing.assert_allclose(sparse_reward[~inside], flat[~inside], atol=1e-4)
    expected = dense_reward + pay.offset
    if name == "ant_goal":  # by its norm, discs of goals as near as these have corners beyond the start
        expected = np.maximum(expected, flat)
    np.testing.assert_allclose(sparse_reward[inside], expected[inside], atol=1e-4)


@each(BODIES, slow=DEAR)
@pytest.mark.parametrize(("speed", "spin"), [(120.0, 0.0), (80.0, 0.0), (0.0, 2000.0), (np.nan, 0.0)])
def test_a_jump_of_100_m_per_s_is_an_explosion(name, speed, spin, monkeypatch):
    """It is observed as it last was from then on, is no success, and ends what a fall would end."""
    still = jumping(1.0)
    monkeypatch.setattr(
        _physics, "load", lambda xml, **how: thrown(still(xml, **how), speed, spin, how["dt"])
    )
    one = make(name)
    task = one.sample(jax.random.key(0), "train")
    start = one.reset(jax.random.key(0), task)
    first = one.step(start, jnp.zeros(one.action.size), task)
    second = one.step(first, jnp.zeros(one.action.size), task)  # which is sound again
    exploded = speed != 80.0
    assert exploded == bool((second.obs == start.obs).all())
    assert not (exploded and (first.success or second.success)) and np.isfinite(second.reward)
    assert bool(first.done) == bool(second.done) == (exploded and one.terminates)


def thrown(physics, speed, spin, dt):
    """The physics of a body that is thrown along x near its start, and stays where it is elsewhere."""

    def step(state, control):
        near = jnp.abs(state.q[0]) < 2.5
        q = state.q.at[0].add(near * speed * dt)
        return state._replace(q=q, qd=state.qd.at[-1].add(near * spin))

    return physics._replace(step=step)
