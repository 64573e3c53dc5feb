"""CSF: contrasts of skills."""

from hmrl_cli.algorithms.skills import csf
from tests.algorithms.skills.objectives import QUICK, WALKER, check_apart
from tests.algorithms.skills.test_diayn import train


def test_csf_prefers_the_skill_that_acted_and_its_skills_go_their_own_ways():
    """The contrast is least where dphi = 0 or points along z; phi's steps stay short without a constraint."""
    learner = csf.make(csf.Config(**QUICK), WALKER)
    state, metrics = train(learner, 40, num_seeds=3)
    assert (metrics["gain"] > 0.1).all() and (metrics["step_length"] < 3).all()
    check_apart(learner, state)
