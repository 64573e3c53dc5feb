"""METRA: its constraint."""

import jax
import jax.numpy as jnp
import numpy as np

from hmrl_cli.algorithms.skills import metra
from hmrl_cli.algorithms.skills._representation import Steps
from tests.algorithms.skills.objectives import QUICK, WALKER
from tests.algorithms.skills.test_diayn import train


def test_metra_keeps_its_steps_short():
    """The price of the constraint rises from far too low until phi's mean squared step is 1 or less."""
    learner = metra.make(metra.Config(**(QUICK | dict(learning_rate=2e-2)), multiplier=0.1), WALKER)
    _, metrics = train(learner, 60, num_seeds=2)
    assert (metrics["room"] > -0.3).all() and (metrics["multiplier"] > 0.2).all()


def test_a_dual_step_in_closed_form():
    """Of three steps one is too long, one has slack, one is not valid."""
    moves = jnp.array([[1.2, 0.5], [0.1, 0.0], [9.0, 9.0]])
    skill, valid = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), jnp.array([1.0, 1.0, 0.0])
    principle = metra.principle(metra.Config(multiplier=5.0, slack=0.01))
    params = principle.begin({})

    def loss(log_multiplier, moves):
        return principle.loss(
            params._replace(log_multiplier=log_multiplier), Steps(moves, skill, valid, skill)
        )[0]

    of_log, of_moves = jax.jit(jax.grad(loss, argnums=(0, 1)))(params.log_multiplier, moves)
    np.testing.assert_allclose(of_log, ((1 - 1.2**2 - 0.5**2) + 0.01) / 2, rtol=1e-5)  # lambda grows
    too_long = -skill[0] / 2 + 5.0 * 2 * moves[0] / 2
    np.testing.assert_allclose(of_moves, jnp.stack([too_long, -skill[1] / 2, jnp.zeros(2)]), rtol=1e-4)
