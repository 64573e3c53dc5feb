"""CSF: contrasts of skills."""

import jax
import numpy as np

from hmrl_cli.algorithms.skills import csf
from hmrl_cli.algorithms.skills._representation import Steps
from tests.algorithms.skills.objectives import QUICK, WALKER, check_apart
from tests.algorithms.skills.test_diayn import train


def test_csf_prefers_the_skill_that_acted_and_its_skills_go_their_own_ways():
    """The contrast is least where dphi = 0 or points along z; phi's steps stay short without a constraint."""
    learner = csf.make(csf.Config(**QUICK), WALKER)
    state, metrics = train(learner, 40, num_seeds=3)
    assert (metrics["gain"] > 0.1).all() and (metrics["step_length"] < 3).all()
    check_apart(learner, state)


def test_the_contrast_in_closed_form():
    """-E[dphi . z] + xi E[log mean_z' exp(dphi . z')], in NumPy."""
    moves, skill, others = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    valid = np.array([1.0, 0.0, 1.0, 0.0])
    loss_of = jax.jit(csf.principle(csf.Config(contrast=4.0)).loss)
    loss, _ = loss_of({}, Steps(moves, skill, valid, others))
    of_step = 4.0 * np.log(np.exp(moves @ others.T).mean(axis=1)) - (moves * skill).sum(axis=1)
    np.testing.assert_allclose(loss, of_step[[0, 2]].mean(), rtol=1e-5)
