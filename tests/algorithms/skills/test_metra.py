"""METRA: its constraint."""

from hmrl_cli.algorithms.skills import metra
from tests.algorithms.skills.objectives import QUICK, WALKER
from tests.algorithms.skills.test_diayn import train


def test_metra_keeps_its_steps_short():
    """The price of the constraint rises from far too low until phi's mean squared step is 1 or less."""
    learner = metra.make(metra.Config(**(QUICK | dict(learning_rate=2e-2)), multiplier=0.1), WALKER)
    _, metrics = train(learner, 60, num_seeds=2)
    assert (metrics["room"] > -0.3).all() and (metrics["multiplier"] > 0.2).all()
