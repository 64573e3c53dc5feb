import jax
import jax.numpy as jnp
import numpy as np

from hmrl_cli.environment.rollout import RepeatedAction, unroll
from tests import toys


def right(key, obs):
    return jnp.array([1.0, 0.0]), jnp.float32(0.0)


def test_an_early_end_freezes_the_episode_and_masks_the_rest():
    family = toys.walker(horizon=8, ends=True)
    steps, final = unroll(jax.random.key(0), right, family, jnp.array([1.0, 0.0]))
    # 0.3 a step: past x = 1 after the fourth
    np.testing.assert_array_equal(steps.valid, [1, 1, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(steps.discount, [1, 1, 1, 0, 0, 0, 0, 0])
    assert (steps.reward[4:] == 0).all() and (steps.reward[:4] < 0).all()
    np.testing.assert_array_equal(steps.next_obs[3], final.obs)


def test_without_an_end_the_episode_has_its_whole_horizon():
    steps, final = unroll(jax.random.key(0), right, toys.walker(horizon=8), jnp.array([1.0, 0.0]))
    assert steps.valid.all() and steps.discount.all()
    assert final.reached and not final.success  # it ran through the goal


def test_episodes_repeat_for_a_key_and_differ_between_keys():
    def run(seed):
        return unroll(jax.random.key(seed), right, toys.walker(), jnp.array([1.0, 0.0]))[0].obs

    np.testing.assert_array_equal(run(1), run(1))
    assert (run(1) != run(2)).any()


def test_actions_are_repeated_one_after_another_and_the_last_goes_on():
    actions = jnp.array([[0.0, 1.0], [-1.0, 0.0]])

    def taken(repeated):
        steps, _ = unroll(jax.random.key(0), right, toys.walker(horizon=7), jnp.array([1.0, 0.0]), repeated)
        return np.asarray(steps.action)

    two = taken(RepeatedAction(jnp.int32(1), actions, jnp.int32(2)))
    np.testing.assert_array_equal(two, [[1, 0], [0, 1], [0, 1], [-1, 0], [-1, 0], [-1, 0], [-1, 0]])
    np.testing.assert_array_equal(taken(RepeatedAction(jnp.int32(7), actions, jnp.int32(2))), [[1, 0]] * 7)
    one = taken(RepeatedAction(jnp.int32(5), actions[0]))
    np.testing.assert_array_equal(one, [[1, 0]] * 5 + [[0, 1]] * 2)


def test_commands_are_given_to_the_policy_step_by_step():
    commands = jnp.arange(12.0).reshape(6, 2)

    def act(key, obs, command):
        return command, jnp.float32(0.0)

    steps, _ = unroll(jax.random.key(0), act, toys.walker(6), jnp.zeros(2), commands=commands)
    np.testing.assert_array_equal(steps.action, commands)
    plain, _ = unroll(jax.random.key(0), right, toys.walker(6), jnp.zeros(2))
    np.testing.assert_array_equal(steps.obs[0], plain.obs[0])  # the keys are the same
