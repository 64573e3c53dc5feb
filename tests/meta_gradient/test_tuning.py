"""Adaptation by reinforcement learning: what a step moves and what it leaves, and that it leads somewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hmrl_cli.learning.distributions import Gaussian
from hmrl_cli.learning.networks import policy as make_policy
from hmrl_cli.meta_gradient import inner_loop, tuning
from hmrl_cli.schema import Tuning
from hmrl_cli.types import AdaptState, Discrete, Transition
from tests import toys

SETTINGS = Tuning()
POLICY = make_policy(2, Discrete(3), (8,), latent_size=2)
START = AdaptState(jax.jit(POLICY.init)(jax.random.key(0)), Gaussian(jnp.zeros(2), jnp.zeros(2)))


def episodes(action, advantage, own):
    """Episodes of one step in the same state, [N]; the policy that acted is START's."""
    count = len(action)
    obs, latent = jnp.ones((count, 1, 2)), jnp.zeros((count, 2))
    action = jnp.array(action)[:, None]
    ones, flags = jnp.ones((count, 1)), jnp.zeros(count)
    log_prob = jax.jit(lambda: POLICY.apply(START.params, obs, latent[:, None]).log_prob(action))()
    steps = Transition(obs, action, log_prob, ones, ones, ones, obs)
    own, advantage = jnp.array(own), jnp.array(advantage)
    return inner_loop.Episodes(steps, latent, latent, own, advantage[:, None], advantage, flags, flags, flags)


@jax.jit
def step(episodes):
    return tuning.step(START, tuning.init(START, SETTINGS), episodes, POLICY, SETTINGS)


def probabilities(state):
    return jnp.exp(POLICY.apply(state.params, jnp.ones(2), jnp.zeros(2)).log_probs())


def test_a_step_raises_what_was_good_and_not_the_latent():
    new, _ = step(episodes([0, 1], [1.0, -1.0], [1.0, 1.0]))
    ratio = probabilities(new) / probabilities(START)
    assert ratio[0] > 1.02 and ratio[1] < 0.98
    jax.tree.map(np.testing.assert_array_equal, new.latent, START.latent)


def test_what_has_moved_far_enough_moves_no_farther():
    far = episodes([0, 1], [1.0, -1.0], [1.0, 1.0])
    steps = far.transitions
    apart = 1.5 * SETTINGS.clip  # of log pi from what it was, up where good and down where not
    moved = steps._replace(log_prob=steps.log_prob - apart * far.advantage)
    new, _ = step(far._replace(transitions=moved))
    jax.tree.map(np.testing.assert_array_equal, new.params, START.params)
    back = steps._replace(log_prob=steps.log_prob + apart * far.advantage)
    new, _ = step(far._replace(transitions=back))
    assert probabilities(new)[0] > 1.02 * probabilities(START)[0]


def test_an_episode_that_repeated_an_action_is_left_out():
    one, _ = step(episodes([0, 1], [1.0, -1.0], [1.0, 0.0]))
    other, _ = step(episodes([0, 2], [1.0, 3.0], [1.0, 0.0]))
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)
    none, _ = step(episodes([0, 1], [1.0, -1.0], [0.0, 0.0]))
    jax.tree.map(np.testing.assert_array_equal, none.params, START.params)


def test_an_untrained_policy_learns_a_task():
    returns = toys.returns_untrained(adapt_steps=12, tune_after=0)
    assert returns[-1] > returns[0] + 2.0


@pytest.mark.slow
def test_tuning_takes_over_after_the_updates_by_the_rule():
    refit = {"rule": "refit", "imitation_steps": 5}
    ruled = toys.returns_untrained(adapt_steps=4, **refit)
    np.testing.assert_array_equal(toys.returns_untrained(adapt_steps=4, tune_after=4, **refit), ruled)
    mixed = toys.returns_untrained(adapt_steps=4, tune_after=2, **refit)
    np.testing.assert_allclose(mixed[:3], ruled[:3], rtol=1e-5)
    assert abs(mixed[3] - ruled[3]) > 1e-3
