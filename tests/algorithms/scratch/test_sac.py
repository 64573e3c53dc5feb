"""SAC from scratch."""

import pytest

from tests import toys
from tests.algorithms.scratch.learners import BONUSES, learner


@pytest.mark.slow
@pytest.mark.parametrize("explore", ["counts", "icm"])
def test_soft_actor_critic_finds_it_with_a_bonus_only(explore):
    found, missed = (
        toys.train(learner("sac", toys.chain(), name, **settings), 8)[1]["reached"].mean()
        for name, settings in ((explore, BONUSES[explore]), (None, {}))
    )
    assert found > 0.5 and missed < 0.1
