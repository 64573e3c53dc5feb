"""Adaptation to one held-out task: what a batch of episodes is judged by."""

import jax
import jax.numpy as jnp
import pytest

from hmrl_cli.learning.networks import policy as make_policy
from hmrl_cli.meta_gradient import test_time
from hmrl_cli.meta_gradient.inner_loop import Episodes
from hmrl_cli.schema import Evaluation
from hmrl_cli.types import AdaptState, Discrete, Transition

POLICY = make_policy(2, Discrete(3), (8,))


@pytest.mark.parametrize(
    ("own", "returned", "success"), [([1.0, 1.0, 0.0], 2.0, 0.5), ([0.0, 0.0, 0.0], 4.0, 2 / 3)]
)
def test_a_batch_is_judged_by_what_the_policy_did_itself(own, returned, success):
    """Or by all of it, where every episode held an action."""
    ones = jnp.ones((3, 1))
    steps = Transition(jnp.ones((3, 1, 2)), jnp.zeros((3, 1), jnp.int32), ones, ones, ones, ones, ones)
    returns, met = jnp.array([1.0, 3.0, 8.0]), jnp.array([0.0, 1.0, 1.0])
    batch = Episodes(steps, None, None, jnp.array(own), ones, ones[:, 0], returns, met, met)
    start = AdaptState(POLICY.init(jax.random.key(0)), None)
    budget = Evaluation(adapt_steps=0, episodes=3)
    _, went = test_time.adapt(jax.random.key(1), start, lambda *_: batch, None, POLICY, budget)
    assert [float(x[0]) for x in went] == pytest.approx([returned, success, success])


@pytest.mark.parametrize(("least_gain", "moves"), [(None, True), (6.0, True), (8.0, False)])
def test_a_refit_waits_for_a_find(least_gain, moves):
    """The best of these episodes returns 7 more than the least."""
    ones, flags, returned = jnp.ones((3, 1)), jnp.zeros(3), jnp.array([1.0, 3.0, 8.0])
    obs, action = jnp.ones((3, 1, 2)), jnp.zeros((3, 1), jnp.int32)
    steps = Transition(obs, action, ones, returned[:, None], ones, ones, ones)
    batch = Episodes(steps, None, None, jnp.ones(3), ones, ones[:, 0], returned, flags, flags)
    start = AdaptState(POLICY.init(jax.random.key(0)), None)
    budget = Evaluation(adapt_steps=1, episodes=3, rule="refit", imitation_steps=1, least_gain=least_gain)
    acted, _ = test_time.adapt(jax.random.key(1), start, lambda *_: batch, None, POLICY, budget)
    moved = jax.tree.map(lambda new, old: float(jnp.abs(new - old).max()), acted, start)
    assert (max(jax.tree.leaves(moved)) > 0) is moves
