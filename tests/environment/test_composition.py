import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.environment.composition import lift, repeat
from hmrl_cli.environment.rollout import unroll
from hmrl_cli.types import Continuous, Discrete
from tests import toys

DIRECTIONS = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
TASK = jnp.array([1.0, 0.0])


LIBRARY = toys.straight(DIRECTIONS)


def always(choice):
    return lambda key, obs: (choice, jnp.float32(0.0))


def test_a_skill_is_its_actions_in_a_row():
    family = toys.walker(horizon=6)
    lifted = lift(family, LIBRARY, 3, stochastic=False)
    assert lifted.action == Discrete(4) and lifted.horizon == 2
    coarse, _ = unroll(jax.random.key(0), always(jnp.int32(1)), lifted, TASK)
    # the same reset: the lifted family splits the reset key once more
    reset_key = jax.random.split(jax.random.key(0))[0]
    state = family.reset(jax.random.split(reset_key)[0], TASK)
    rewards = []
    for _ in range(6):
        state = family.step(state, DIRECTIONS[1], TASK)
        rewards.append(state.reward)
    np.testing.assert_allclose(coarse.reward, np.reshape(rewards, (2, 3)).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(coarse.next_obs[-1], state.obs, rtol=1e-5)


def test_reached_counts_the_steps_inside_a_skill():
    family = toys.walker(horizon=8)
    _, final = unroll(
        jax.random.key(0), always(jnp.int32(0)), lift(family, LIBRARY, 8, stochastic=False), TASK
    )
    assert final.reached and not final.success


def test_an_early_end_inside_a_skill_stops_the_reward():
    family = toys.walker(horizon=12, ends=True)
    fine, coarse = (
        unroll(jax.random.key(0), always(DIRECTIONS[0]), repeat(family, steps), TASK)[0] for steps in (1, 6)
    )
    np.testing.assert_allclose(coarse.reward.sum(), fine.reward.sum(), rtol=1e-5)
    np.testing.assert_array_equal(coarse.valid, [1, 0])
    np.testing.assert_array_equal(coarse.discount, [0, 0])


def test_stochastic_skills_draw_anew_at_each_step_and_repeat_for_a_key():
    lifted = lift(toys.walker(horizon=8), LIBRARY, 2, stochastic=True)
    one, two, other = (
        unroll(jax.random.key(seed), always(jnp.int32(0)), lifted, TASK)[0].next_obs for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, two)
    steps = np.diff(one, axis=0)
    assert (one != other).any() and len(np.unique(steps[:, 1])) == len(steps)


def test_repeat_keeps_the_action_space():
    repeated = repeat(toys.walker(horizon=6), 2)
    assert repeated.action == Continuous(2) and repeated.horizon == 3


def test_steps_that_do_not_divide_the_horizon_are_refused():
    with pytest.raises(ValueError, match=r"every 4 steps .* horizon of walker, 6"):
        lift(toys.walker(horizon=6), LIBRARY, 4, stochastic=True)


def test_a_family_with_repeated_actions_has_a_scene():
    def poses(state):
        return jnp.concatenate([state.obs, jnp.zeros(5)])[None]

    walker = toys.walker(horizon=6)
    walker = walker._replace(scene=walker.scene._replace(poses=poses))
    repeated = repeat(walker, 3)
    state = repeated.reset(jax.random.key(0), TASK)
    np.testing.assert_array_equal(repeated.scene.poses(state)[0, :2], state.obs)
    assert repeated.scene.dt == pytest.approx(3 * walker.scene.dt)


def test_skills_that_can_be_located_add_a_feature():
    located = LIBRARY._replace(locate=lambda params, obs: obs @ params.T)
    features = lift(toys.walker(6), located, 3, stochastic=False).features
    np.testing.assert_allclose(features["skill"](jnp.array([0.2, -0.5])), [0.2, -0.5, -0.2, 0.5])
    assert "skill" not in lift(toys.walker(6), LIBRARY, 3, stochastic=False).features
